"""Image folders: directories are classes, and the first rows are a fair sample of them."""

from __future__ import annotations

from typing import Any

import fsspec
import pytest

from pipeline.sources.folder import FolderSource
from schemas.errors import SampleError, UserError
from schemas.sections import Columns


def source(root: str, *entries: str) -> FolderSource:
    return FolderSource(list(entries) or [root], Columns(), "image", root)


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


def test_folders_hold_images_only(classes: str) -> None:
    with pytest.raises(UserError, match=r'data.kind = "image"'):
        FolderSource([classes], Columns(), "tensor", classes)
