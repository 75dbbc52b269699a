"""Folders of images or texts: directories are classes, and the first rows are a fair sample of them."""

from __future__ import annotations

from typing import Any

import fsspec
import pytest

from pipeline.sources.folder import FolderSource
from schemas.errors import SampleError, UserError
from schemas.sections import Columns


def source(root: str, *entries: str, content: str = "image") -> FolderSource:
    return FolderSource(list(entries) or [root], Columns(), content, root)


@pytest.fixture
def classes(place: Any) -> str:
    for name in ["dog/2.png", "dog/1.png", "cat/b/x.jpeg", "cat/a.JPG", "cat/z.webp", "dog/notes.txt", "cat/.h.png"]:
        place.write(name, name)
    return str(place.url)


def test_class_folders(classes: str) -> None:
    found = source(classes)
    assert found.sizes() == [(classes, 5)]
    assert found.class_names() == ["cat", "dog"]
    rows = [("cat--a", "cat"), ("dog--1", "dog"), ("cat--b--x", "cat"), ("dog--2", "dog"), ("cat--z", "cat")]
    assert [(record.key, record.label) for record in found.read(classes, 0, 5)] == rows
    assert found.keys(classes) == [key for key, _ in rows]
    assert [record.payload for record in found.read(classes, 1, 3)] == [b"dog/1.png", b"cat/b/x.jpeg"]
    assert found.parts(classes)[:2] == [f"{classes}/cat/a.JPG", f"{classes}/dog/1.png"]


def test_flat_folder_has_no_labels(place: Any) -> None:
    for name in ["b.png", "a.png"]:
        place.write(name, name)
    found = source(place.url)
    assert found.class_names() is None
    assert [(record.key, record.label) for record in found.read(place.url, 0, 2)] == [("a", None), ("b", None)]


def test_globs_and_several_folders(classes: str) -> None:
    pattern = f"{classes}/*/*.png"
    assert source(classes, pattern).class_names() == ["dog"]
    both = source(classes, f"{classes}/dog", f"{classes}/cat/a.JPG")
    assert [rows for _, rows in both.sizes()] == [2, 1]
    assert both.keys(f"{classes}/dog") == ["dog--1", "dog--2"]
    assert both.keys(f"{classes}/cat/a.JPG") == ["cat--a"]


def test_an_image_that_is_gone_is_one_failure(place: Any) -> None:
    place.write("a.png", "a")
    url = place.write("b.png", "b")
    found = source(place.url)
    assert found.sizes() == [(place.url, 2)]
    fs, path = fsspec.core.url_to_fs(url)
    fs.rm(path)
    assert [isinstance(record.payload, SampleError) for record in found.read(place.url, 0, 2)] == [False, True]


def test_equal_keys_name_both_images(place: Any) -> None:
    place.write("a.png", "a")
    place.write("a.jpg", "b")
    with pytest.raises(UserError, match=r"a.jpg and .*a.png give the same key 'a'"):
        source(place.url).keys(place.url)


def test_images_beside_class_folders(classes: str, place: Any) -> None:
    place.write("stray.png", "x")
    with pytest.raises(UserError, match=r"both beside and inside the class folders, for example .*stray.png"):
        source(classes).sizes()


@pytest.fixture
def reviews(place: Any) -> str:
    """As those of IMDB lie there."""
    for name, text in {"pos/0_9": "good", "pos/1_8": "grüß", "neg/0_1": "bad", "unsup/0_0": "so"}.items():
        place.write(f"train/{name}.txt", text)
    place.write("train/neg/1_2.txt", b"caf\xe9")
    place.write("train/urls_pos.txt", "http")
    place.write("train/bags.feat", "1")
    return f"{place.url}/train"


def test_texts_in_class_folders(reviews: str) -> None:
    pattern = f"{reviews}/[pn]*/*.txt"
    found = FolderSource([pattern], Columns(), "text", reviews)
    assert found.class_names() == ["neg", "pos"]
    records = list(found.read(pattern, 0, 9))
    rows = [("neg--0_1", ("bad",), "neg"), ("pos--0_9", ("good",), "pos"), ("pos--1_8", ("grüß",), "pos")]
    assert [(record.key, record.payload, record.label) for record in records if record.key != "neg--1_2"] == rows
    assert isinstance(records[2].payload, SampleError)


def test_files_beside_class_folders_name_the_glob(reviews: str) -> None:
    with pytest.raises(UserError, match=r"example .*urls_pos.txt; .* by a glob"):
        source(reviews, content="text").sizes()


@pytest.mark.parametrize(("content", "message"), [("image", "no file of .*image.* for example .*txt"), ("text", "")])
def test_a_folder_without_a_file_of_the_kind(place: Any, content: str, message: str) -> None:
    place.write("only/a.txt", "x") if content == "image" else place.write("only/a.png", "x")
    with pytest.raises(
        UserError, match=message or r"no file of data.kind = \"text\" \(.txt\), but for example .*a.png"
    ):
        source(f"{place.url}/only", content=content).sizes()


def test_folders_hold_images_or_texts_only(classes: str) -> None:
    with pytest.raises(UserError, match=r'data.kind = "image" or "text"'):
        source(classes, content="tensor")
