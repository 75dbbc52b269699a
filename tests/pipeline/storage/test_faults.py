"""What may pass is tried again; what does not is one line with the remedy."""

from __future__ import annotations

import errno
import os
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import botocore.exceptions
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from tenacity import stop_after_attempt

from pipeline.storage import Folder, UrlError, faults, file_fingerprint, open_file, read_file
from schemas.errors import BpkdError, UserError


class ServerError(Exception):
    """As object stores have them: no OSError."""

    def __init__(self, status: int) -> None:
        super().__init__("from the\n  server")
        self.status = status


def answer(status: int, code: str = "") -> botocore.exceptions.ClientError:
    response = {"Error": {"Code": code, "Message": "said"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(response, "PutObject")


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


PASSING = [
    *(ServerError(status) for status in (408, 409, 425, 429, 500, 502, 503, 504)),
    *(answer(400, code) for code in ("RequestTimeout", "IncompleteBody", "BadDigest")),
    caused(OSError(errno.EBUSY, "slow down"), answer(503, "SlowDown")),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    TimeoutError(),
    OSError(errno.EHOSTUNREACH, "no route"),
    fsspec.exceptions.FSTimeoutError(),
    botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"),
    botocore.exceptions.ReadTimeoutError(endpoint_url="http://x"),
    aiohttp.ClientPayloadError("cut"),
    aiohttp.ServerDisconnectedError(),
]
LASTING = [
    (caused(PermissionError("no"), answer(403, "AccessDenied")), "access denied.*HTTP 403 AccessDenied: said.*account"),
    (answer(403, "SignatureDoesNotMatch"), "no valid credentials.*environment.*same command"),
    (botocore.exceptions.NoCredentialsError(), "no valid credentials"),
    (ServerError(401), "access denied"),
    (ServerError(501), "HTTP 501: from the server"),
    (OSError(errno.EINVAL, "odd"), "odd"),
    (caused(aiohttp.ClientConnectionError(), ssl.SSLCertVerificationError("bad")), "ClientConnectionError"),
]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[int]]]:
    """failing(error, times): the next reads and writes in memory raise it; returns the list that counts them."""

    def fail(error: Exception, times: int = 1000) -> list[int]:
        calls: list[int] = []
        for name in ("cat_file", "pipe_file", "info", "ls", "find", "rm"):
            monkeypatch.setattr(MemoryFileSystem, name, broken(getattr(MemoryFileSystem, name), error, times, calls))
        return calls

    def broken(real: Callable[..., object], error: Exception, times: int, calls: list[int]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            calls.append(1)
            if len(calls) <= times:
                raise error
            return real(*args, **kwargs)

        return call

    yield fail
    monkeypatch.undo()
    Folder("memory://faults").remove()


DO: dict[str, Callable[[Folder], object]] = {
    "read": lambda folder: folder.read("a"),
    "written": lambda folder: folder.write("a", b"1"),
    "created": lambda folder: folder.create("b", b"1"),
    "looked at": lambda folder: folder.exists("a"),
    "listed": lambda folder: folder.names(),
    "removed": lambda folder: folder.remove("a"),
}


@pytest.mark.parametrize("error", PASSING, ids=lambda error: f"{type(error).__name__} {getattr(error, 'status', '')}")
def test_a_fault_that_passes_is_not_noticed(failing: Callable[..., list[int]], error: Exception) -> None:
    Folder("memory://faults").write("a", b"1")
    failing(error, times=faults.ATTEMPTS - 1)
    assert Folder("memory://faults").read("a") == b"1"


@pytest.mark.parametrize("doing", DO)
def test_a_fault_that_stays_is_one_line(failing: Callable[..., list[int]], doing: str) -> None:
    folder = Folder("memory://faults")
    folder.write("a", b"1")
    calls = failing(ServerError(503))
    with pytest.raises(BpkdError) as raised:
        DO[doing](folder)
    said = str(raised.value)
    assert len(calls) == faults.ATTEMPTS and raised.value.exit_code == 1 and "\n" not in said
    doing = doing.replace("removed", "listed")  # which comes first
    assert said.startswith("memory://faults") and f"cannot be {doing}: HTTP 503: from the server; tried 5 times" in said
    assert said.endswith("what is committed stays, and the same command goes on from there")


@pytest.mark.parametrize("doing", DO)
def test_a_fault_that_passes_is_not_noticed_whatever_is_done(failing: Callable[..., list[int]], doing: str) -> None:
    folder = Folder("memory://faults")
    folder.write("a", b"1")
    calls = failing(ServerError(503), times=2)
    DO[doing](folder)
    assert len(calls) >= 3


@pytest.mark.parametrize(("error", "message"), LASTING, ids=lambda value: type(value).__name__)
def test_what_does_not_pass_is_not_tried_again(
    failing: Callable[..., list[int]], error: Exception, message: str
) -> None:
    calls = failing(error)
    with pytest.raises(BpkdError, match=message) as raised:
        Folder("memory://faults").read("a")
    assert len(calls) == 1 and not isinstance(raised.value, UserError)


def test_the_waits_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    waits: list[float] = []
    retrying = faults._retrying().copy(sleep=waits.append, stop=stop_after_attempt(faults.ATTEMPTS))
    with pytest.raises(TimeoutError):
        retrying(lambda: (_ for _ in ()).throw(TimeoutError()))
    assert len(waits) == faults.ATTEMPTS - 1 and waits == sorted(waits) and 20 < sum(waits) < 35


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"disk is full \(.* MB free\); make room, .*the same command"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "input/output error"),
        (errno.EPERM, "permission denied"),
        (errno.ENOENT, "No such file or directory$"),
    ],
)
def test_what_this_machine_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(BpkdError, match=rf"^{tmp_path}/deep/a cannot be written: .*{message}") as raised:
        Folder(str(tmp_path)).write("deep/a", b"1")
    assert raised.value.exit_code == 1 and Folder(str(tmp_path)).find() == {}
    assert "Error" not in str(raised.value), "the name of a class tells a user nothing"


@pytest.mark.parametrize("name", ["b", "deep/b"])
@pytest.mark.parametrize("doing", ["written", "created"])
def test_a_file_in_the_way_is_named(tmp_path: Path, name: str, doing: str) -> None:
    (tmp_path / "a").write_text("")
    folder = Folder(str(tmp_path / "a"))
    with pytest.raises(UserError, match=rf"^{tmp_path}/a cannot be {doing}: a file is in the way"):
        folder.write(name, b"") if doing == "written" else folder.create(name, b"")


@pytest.mark.parametrize("how", [500, 503, "reset", "cut", 1.0])
def test_a_store_that_fails_for_a_moment_is_not_noticed(s3, monkeypatch: pytest.MonkeyPatch, how: object) -> None:
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 0.5}})
    folder, data = Folder(s3.url), bytes(range(256)) * 8
    folder.write("a", data)
    s3.fail(how, when=lambda number, request: number < 2)
    assert folder.read("a") == data
    s3.fail(how, when=lambda number, request: number < 2)
    with folder.open("a") as file:
        assert file.seek(100) == 100 and file.read(1000) == data[100:1100]
    s3.fail(how, when=lambda number, request: number < 2)
    folder.write("b", data)
    assert folder.find() == {"a": 2048, "b": 2048} and folder.read("b") == data
    assert s3.failed >= 5


def test_a_lock_that_was_made_but_not_confirmed_is_ones_own(s3) -> None:
    s3.fail("reset", when=lambda number, request: number == 0)
    assert Folder(s3.url).create("lock", b"mine") and s3.failed == 1
    s3.fail("reset", when=lambda number, request: number == 0)
    assert not Folder(s3.url).create("lock", b"other") and s3.failed == 2


def test_reading_on_through_a_handle_ends_in_one_line_also_below_parquet(s3) -> None:
    table = pa.table({"x": list(range(100_000))})
    with fsspec.open(f"{s3.url}/a.parquet", "wb") as file:
        pq.write_table(table, file)
    opened = pq.ParquetFile(open_file(f"{s3.url}/a.parquet"))
    s3.fail(503, when=lambda number, request: number < 2)
    opened.read()
    reopened = pq.ParquetFile(Folder(s3.url).open("a.parquet"))
    s3.fail(503)
    with pytest.raises(BpkdError, match=r"a.parquet cannot be read: HTTP 503"):
        reopened.read()


def test_a_store_that_is_not_there(s3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(BpkdError, match="tried 5 times") as raised:
        Folder(s3.url).write("a", b"")
    assert not isinstance(raised.value, UserError)


@pytest.mark.parametrize("doing", ["looked at", "read"])
def test_a_web_server_that_cannot_be_reached_has_not_said_that_nothing_is_there(
    doing: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BpkdError, match=rf"/x\S* cannot be {doing}: ClientConnectorError: .*; tried 5 times") as raised:
        DO[doing](Folder("http://127.0.0.1:9/x"))
    assert raised.value.exit_code == 1 and "committed" not in str(raised.value), "nothing has begun"
    assert len(caplog.messages) == faults.ATTEMPTS - 1 and "FileNotFoundError" not in caplog.text


def test_a_store_that_has_answered_that_nothing_is_there_has_answered(failing: Callable[..., list[int]]) -> None:
    url = f"memory://{uuid.uuid4()}"
    assert not Folder(url).exists()
    failing(ServerError(503))
    with pytest.raises(BpkdError, match=r"the same command goes on from there$"):
        Folder(url).exists()


def test_a_certificate_that_is_wrong_is_told_at_once(failing: Callable[..., list[int]]) -> None:
    refused = caused(aiohttp.ClientConnectionError("refused"), ssl.SSLCertVerificationError("bad"))
    calls = failing(caused(FileNotFoundError("memory://faults/a"), refused))
    with pytest.raises(BpkdError, match="cannot be looked at: ClientConnectionError: refused"):
        Folder("memory://faults").exists("a")
    assert len(calls) == 1


@pytest.mark.parametrize("doing", [*list(DO)[:5], "found", "opened"])
def test_no_such_bucket_is_said_and_none_is_made(s3, doing: str) -> None:
    do = {**DO, "found": lambda folder: folder.find(), "opened": lambda folder: folder.open("a")}
    with pytest.raises(UrlError, match=r"s3://no-such-bucket/run.*: no such bucket; correct the URL"):
        do[doing](Folder("s3://no-such-bucket/run"))
    assert not any(request.startswith("PUT /no-such-bucket") and request.count("/") == 1 for request in s3.requests)


def test_access_denied_is_said_at_once(s3) -> None:
    s3.fail(403)
    with pytest.raises(BpkdError, match="access denied"):
        Folder(s3.url).write("a", b"")
    assert s3.failed == 1


def test_no_credentials(s3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"default_block_size": 2**20})  # another client than the others'
    with pytest.raises(BpkdError, match="no valid credentials"):
        Folder(s3.url).write("a", b"")


def test_what_the_user_configured_stays(s3, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"config_kwargs": {"read_timeout": 77}, "use_listings_cache": True}
    monkeypatch.setitem(fsspec.config.conf, "s3", given)
    fs = Folder(s3.url)._fs
    assert fs.config_kwargs["read_timeout"] == 77 and fs.dircache.use_listings_cache


@pytest.mark.parametrize("read", [read_file, open_file])
def test_a_file_that_is_not_there(tmp_path: Path, s3, read: Callable[[str], object]) -> None:
    for url in (str(tmp_path / "a"), "memory://nowhere/a", f"{s3.url}/a"):
        with pytest.raises(FileNotFoundError):
            read(url)


@pytest.mark.parametrize("protocol", ["file", "memory", "s3"])
def test_a_fingerprint_is_of_the_content(request: pytest.FixtureRequest, tmp_path: Path, protocol: str) -> None:
    root = {"file": str(tmp_path), "memory": "memory://prints"}.get(protocol) or request.getfixturevalue("s3").url
    for name, data in (("a", b"same"), ("b", b"same"), ("c", b"other")):
        Folder(root).write(name, data)
    first, twin, other = (file_fingerprint(f"{root}/{name}") for name in "abc")
    assert first == twin != other and first["bytes"] == 4
    with pytest.raises(UserError, match="no such file"):
        file_fingerprint(f"{root}/gone")
