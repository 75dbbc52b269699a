"""What identifies samples and sources: unique keys, and fingerprints that change with what is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.sources import open_samples
from schemas.errors import UserError

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ((["a", "b"], ["c", "a"]), r"key 'a' comes in .*0.parquet and in .*1.parquet"),
        ((["a", "b"], ["c", "c"]), r"key 'c' comes twice in .*1.parquet"),
        ((["a.b"], ["a_b"]), r"key 'a_b' comes in"),
    ],
)
def test_duplicate_keys_name_both_files(
    place: Any, config: Make, parquet: Make, keys: tuple[list[str], ...], message: str
) -> None:
    for number, column in enumerate(keys):
        place.write(f"{number}.parquet", parquet(x=[[1.0]] * len(column), key=column))
    with pytest.raises(UserError, match=message):
        open_samples(config(kind="array", train=place.url)).check_keys()
    open_samples(config(kind="array", train=place.url, limit=1)).check_keys()


def test_keys_are_relative_to_what_is_named(place: Any, config: Make, parquet: Make) -> None:
    for name in ("p/a", "p/q/a"):
        place.write(f"{name}.parquet", parquet(x=[[1.0]]))
    samples = open_samples(config(kind="array", train=f"{place.url}/p"))
    assert [key for chunk in samples.chunks for key in samples.read(chunk).keys] == ["a-00000000", "q--a-00000000"]
    assert list(samples.fingerprint()["files"]) == ["a.parquet", "q/a.parquet"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("limit", 2),
        ("mode", "RGB"),
        ("size", [2, 2]),
        ("labels", False),
        ("classes", ["cat", "dog", "eel"]),
        ("columns", {"image": "image"}),
        ("shard_size", 2),
    ],
)
def test_fingerprint_changes_with_settings(
    place: Any, write_images: Make, config: Make, setting: str, value: Any
) -> None:
    url = write_images(place, "parquet")
    plain = open_samples(config(train=url)).fingerprint()
    assert open_samples(config(train=url, **{setting: value})).fingerprint() != plain
    assert open_samples(config(train=url)).fingerprint() == plain


@pytest.mark.parametrize("format", ["parquet", "webdataset", "folder", "csv", "jsonl", "numpy"])
def test_fingerprint_does_not_change_with_the_place(local: Any, write_images: Make, config: Make, format: str) -> None:
    found = []
    for name in ("here", "there"):
        place = type(local)(f"{local.url}/{name}")
        found.append(open_samples(config(train=write_images(place, format))).fingerprint())
    assert found[0] == found[1]


@pytest.mark.parametrize("format", ["folder", "csv", "jsonl"])
def test_fingerprint_changes_with_an_image(
    place: Any, png: Make, write_images: Make, config: Make, format: str
) -> None:
    url = write_images(place, format)
    before = open_samples(config(train=url)).fingerprint()
    place.write("f/cat/2.png", png(9))
    assert open_samples(config(train=url)).fingerprint() != before


def test_fingerprint_bears_a_missing_image(local: Any, png: Make, config: Make) -> None:
    local.write("1.png", png(1))
    url = local.write("a.csv", "path,label\n1.png,0\ngone.png,1\n")
    before = open_samples(config(train=url)).fingerprint()
    local.write("gone.png", png(2))
    assert open_samples(config(train=url)).fingerprint() != before
