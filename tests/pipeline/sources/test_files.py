"""What a config may name: files, directories, globs and URLs, all of one format."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.sources.files import find_files
from schemas.errors import UserError

TREE = [
    "p/a.parquet",
    "p/b.parquet",
    "p/deep/c.parquet",
    "p/README.md",
    "p/.hidden/d.parquet",
    "t/0.tar",
    "f/cat/1.png",
    "f/dog/1.JPG",
    "mixed/a.parquet",
    "mixed/a.tar",
    "odd/a.xyz",
    "n/pos/1.txt",
    "n/neg/1.txt",
    "p/licence.txt",
    "note.txt",
    "one.csv",
    "one.jsonl",
    "x.npy",
    "y.npy",
    "data.bin",
]


@pytest.fixture
def tree(place: Any) -> str:
    for name in TREE:
        place.write(name, b"x")
    return str(place.url)


@pytest.mark.parametrize(
    ("given", "format", "expected", "root"),
    [
        ("p/a.parquet", "parquet", ["p/a.parquet"], "p"),
        ("p", "parquet", ["p/a.parquet", "p/b.parquet", "p/deep/c.parquet"], "p"),
        ("p/*.parquet", "parquet", ["p/a.parquet", "p/b.parquet"], "p"),
        ("p/**/*.parquet", "parquet", ["p/a.parquet", "p/b.parquet", "p/deep/c.parquet"], "p"),
        ("*/[ab].parquet", "parquet", ["mixed/a.parquet", "p/a.parquet", "p/b.parquet"], ""),
        ("p/*", "parquet", ["p/a.parquet", "p/b.parquet"], "p"),
        (["p/b.parquet", "p/a.parquet", "p/a.*"], "parquet", ["p/a.parquet", "p/b.parquet"], "p"),
        (["p/deep", "p/a.parquet"], "parquet", ["p/a.parquet", "p/deep/c.parquet"], "p"),
        ("t", "webdataset", ["t/0.tar"], "t"),
        ("f", "folder", ["f"], "f"),
        ("f/*/*.png", "folder", ["f/*/*.png"], "f"),
        ("f/cat/1.png", "folder", ["f/cat/1.png"], "f/cat"),
        (["f/dog", "f/cat"], "folder", ["f/cat", "f/dog"], "f"),
        ("n", "folder", ["n"], "n"),
        ("n/*/*.txt", "folder", ["n/*/*.txt"], "n"),
        ("one.csv", "csv", ["one.csv"], ""),
        ("one.jsonl", "jsonl", ["one.jsonl"], ""),
        (["x.npy", "y.npy"], "numpy", ["x.npy", "y.npy"], ""),
    ],
)
def test_format_and_files(tree: str, given: str | list[str], format: str, expected: list[str], root: str) -> None:
    listing = find_files(given, lambda name: f"{tree}/{name}")
    assert listing.format == format
    assert listing.files == [f"{tree}/{name}" for name in expected]
    assert listing.root == f"{tree}/{root}".rstrip("/")


@pytest.mark.parametrize(
    ("given", "format", "expected"),
    [
        ("data.bin", "parquet", ["data.bin"]),
        ("mixed", "webdataset", ["mixed/a.tar"]),
        ("odd", "mine:Source", ["odd/a.xyz"]),
    ],
)
def test_a_given_format_decides(tree: str, given: str, format: str, expected: list[str]) -> None:
    listing = find_files(given, lambda name: f"{tree}/{name}", format)
    assert (listing.format, listing.files) == (format, [f"{tree}/{name}" for name in expected])


@pytest.mark.parametrize(
    ("given", "format", "message"),
    [
        ("nowhere", None, "data.train: .*nowhere: no such file or directory"),
        ("p/*.tar", None, r"p/\*.tar matches no file"),
        ("mixed", None, r"mixes formats: parquet \(.*a.parquet\), webdataset"),
        (["p/a.parquet", "t/0.tar"], None, "mixes formats"),
        ("data.bin", None, "data.format"),
        ("note.txt", None, "data.format"),
        ("odd", None, "holds no Parquet.* for example .*a.xyz"),
        ("odd/*.xyz", None, "holds no"),
        ("t", "parquet", "holds no parquet file"),
        ([], None, "empty list"),
    ],
)
def test_what_is_wrong_is_named(tree: str, given: Any, format: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_files(given, lambda name: f"{tree}/{name}", format)


def test_unknown_protocol() -> None:
    with pytest.raises(UserError, match=r"data.eval: nonsense://x"):
        find_files("nonsense://x", str, setting="data.eval")
