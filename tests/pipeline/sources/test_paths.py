"""Keys are always fit for a file name, and paths are relative to where they are written."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.paths import beside, common_root, read_bytes, relative, row_keys, sanitise, user_key
from schemas.errors import BpkdError, SampleError, UserError

KEY = re.compile(r"[A-Za-z0-9_-]{1,180}")


@given(st.text(max_size=400))
def test_any_text_gives_a_key(text: str) -> None:
    assert KEY.fullmatch(sanitise(text))


@given(st.from_regex(KEY, fullmatch=True))
def test_a_good_key_stays_as_it_is(text: str) -> None:
    assert user_key(text) == text


@pytest.mark.parametrize(
    ("name", "key"),
    [("a/b.c", "a--b_c"), ("cat 01", "cat_01"), ("ä", "_"), ("", "_"), (17, "17"), (-3, "-3")],
)
def test_other_characters_are_replaced(name: object, key: str) -> None:
    assert user_key(name) == key


def test_long_names_stay_apart() -> None:
    assert sanitise("a" * 300 + "b") != sanitise("a" * 300 + "c")


def test_rows_are_numbered_within_their_file() -> None:
    assert list(row_keys("/d/a/x.y.parquet", "/d", [0, 12])) == ["a--x_y-00000000", "a--x_y-00000012"]


@given(st.from_regex("[a/ä_-]{0,250}a", fullmatch=True), st.integers(0, 10**12))
def test_long_and_odd_names_of_files_are_cut_and_replaced_with_their_rows(name: str, row: int) -> None:
    assert list(row_keys(f"/d/{name}.csv", "/d", [row])) == [sanitise(f"{name}-{row:08d}")]


@pytest.mark.parametrize(
    ("url", "root", "inside"),
    [
        ("/d/a/x", "/d", "a/x"),
        ("/d/a/x", "/d/", "a/x"),
        ("/dd/x", "/d", "/dd/x"),
        ("/d", "/d", "."),
        ("memory:///b/x", "memory:///b", "x"),
        ("https://u:p@h/d/x.csv?sig=s", "https://u:p@h/d", "x.csv"),
        ("https://u:p@h/x.csv?sig=s", "https://g", "https://h/x.csv"),
        ("abfs://c@a/d/x", "abfs://other@a", "abfs://c@a/d/x"),
    ],
)
def test_relative(url: str, root: str, inside: str) -> None:
    assert relative(url, root) == inside


@pytest.mark.parametrize(
    ("folders", "root"),
    [(["/a/b"], "/a/b"), (["/a/b", "/a/c/d"], "/a"), (["/a/b", "/a/bc"], "/a"), (["/a", "memory:///a"], "")],
)
def test_common_root(folders: list[str], root: str) -> None:
    assert common_root(folders) == root


@pytest.mark.parametrize(
    ("path", "url"),
    [("i/1.png", "s3://b/d/i/1.png"), ("/abs/1.png", "/abs/1.png"), ("memory://m/1.png", "memory://m/1.png")],
)
def test_beside(path: str, url: str) -> None:
    assert beside("s3://b/d/table.csv", path) == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory:///nowhere/x.png", "no such file"),
        ("nonsense://x", "nonsense"),
        ("zip://a::memory:///x.zip", "chained"),
    ],
)
def test_what_cannot_be_read_says_so(url: str, reason: str) -> None:
    found = read_bytes(url)
    assert isinstance(found, SampleError)
    assert reason in str(found)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "below"):
        found = read_bytes(str(path))
        assert isinstance(found, SampleError)
        assert str(found) == f"no such file: {path}"


class ServerError(Exception):
    """As object stores have them: no OSError."""


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """failing(error): from now on, reading from memory raises it."""

    def fail(error: Exception) -> None:
        def cat_file(*_: object, **__: object) -> bytes:
            raise error

        monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)

    return fail


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TimeoutError(), "TimeoutError"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (ServerError("503\n  slow down"), "ServerError: 503 slow down"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_says_nothing_about_the_sample_ends_the_work(
    failing: Callable[[Exception], None], error: Exception, cause: str
) -> None:
    failing(error)
    with pytest.raises(BpkdError) as raised:
        read_bytes("memory:///d/x.png")
    assert not isinstance(raised.value, UserError)
    message = str(raised.value)
    assert message.startswith("memory:///d/x.png cannot be read: ") and cause in message and "\n" not in message


@pytest.mark.parametrize(
    ("error", "reason"),
    [(FileNotFoundError("x"), "no such file: memory:///d/x.png"), (ValueError("embedded null"), "embedded null")],
)
def test_what_is_wrong_with_the_sample_costs_the_sample(
    failing: Callable[[Exception], None], error: Exception, reason: str
) -> None:
    failing(error)
    found = read_bytes("memory:///d/x.png")
    assert isinstance(found, SampleError)
    assert reason in str(found)


def test_a_missing_package_is_for_the_user_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, **_: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    with pytest.raises(UserError, match=r"s3://b/x.png: Install s3fs.*bpkd\[s3\]"):
        read_bytes("s3://b/x.png")
