"""Parquet of the Hugging Face hub by its hf:// URL, from a server on this machine that answers as the hub does."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.registry import _registry, known_implementations

from pipeline.sources import open_samples
from schemas.errors import BpkdError, UserError

hub = pytest.importorskip("huggingface_hub")

FILE = "cola/train-00000-of-00001.parquet"
URL = f"hf://datasets/nyu-mll/glue/{FILE}"
Make = Callable[..., Any]


class Hub(BaseHTTPRequestHandler):
    """One data set with one file."""

    data = b""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in ("/api/datasets/nyu-mll/glue/tree/main", "/api/datasets/nyu-mll/glue/tree/main/cola"):
            oid = hashlib.sha1(self.data).hexdigest()
            self.answer(json.dumps([{"type": "file", "path": FILE, "size": len(self.data), "oid": oid}]).encode())
        elif path in ("/api/datasets/nyu-mll/glue", "/api/datasets/nyu-mll/glue/revision/main"):
            self.answer(json.dumps({"id": "nyu-mll/glue", "sha": "0" * 40, "siblings": []}).encode())
        elif path == f"/datasets/nyu-mll/glue/resolve/main/{FILE}":
            self.answer(self.data)
        else:
            self.answer(b"{}", 404, "EntryNotFound" if "/glue/" in path else "RepoNotFound")

    def answer(self, content: bytes, status: int = 200, error: str = "") -> None:
        begin, end = 0, len(content)
        if "Range" in self.headers:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            begin, end, status = int(first), min(int(last) + 1, end) if last else end, 206
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(end - begin))
        if error:
            self.send_header("X-Error-Code", error)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[begin:end])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """endpoint(url): from now on the hub is there; no client of before is used again."""
    hub.HfFileSystem.clear_instance_cache()
    yield lambda url: monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": url, "token": False})
    hub.HfFileSystem.clear_instance_cache()


@pytest.fixture
def server(endpoint: Callable[[str], None]) -> Iterator[type[Hub]]:
    class Own(Hub):
        pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    endpoint(f"http://127.0.0.1:{listening.server_port}")
    yield Own
    listening.shutdown()
    thread.join()
    listening.server_close()


def parquet(sentences: list[str]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"sentence": sentences, "label": [1] * len(sentences)}), sink)
    return sink.getvalue()


def test_a_file_of_the_hub(server: type[Hub], config: Make) -> None:
    server.data = parquet(["They drank the pub.", "They drank the pub dry."])
    samples = open_samples(config(kind="text", train=URL, classes=2))
    block = samples.read(samples.chunks[0])
    assert [sentence.texts for sentence in block.stored] == [("They drank the pub.",), ("They drank the pub dry.",)]
    assert block.keys == ["train-00000-of-00001-00000000", "train-00000-of-00001-00000001"]
    before = samples.fingerprint()["files"]
    hub.HfFileSystem.clear_instance_cache()
    assert open_samples(config(kind="text", train=URL, classes=2)).fingerprint()["files"] == before
    server.data = parquet(["They drank the pub!", "They drank the pub dry."])
    hub.HfFileSystem.clear_instance_cache()
    assert open_samples(config(kind="text", train=URL, classes=2)).fingerprint()["files"] != before


@pytest.mark.parametrize("url", [URL.replace("cola", "ola"), URL.replace("glue", "gleu")])
def test_what_the_hub_does_not_have(server: type[Hub], config: Make, url: str) -> None:
    with pytest.raises(UserError, match=rf"data.train: {url}: no such file or directory"):
        open_samples(config(kind="text", train=url))


def test_no_connection_is_one_line(endpoint: Callable[[str], None], config: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(BpkdError, match=rf"{URL} cannot be looked at: .*tried 5 times") as caught:
            open_samples(config(kind="text", train=URL))
    assert "\n" not in str(caught.value)


def test_offline_by_wish_is_not_tried_again(
    endpoint: Callable[[str], None], config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        raise hub.errors.OfflineModeIsEnabled("unset HF_HUB_OFFLINE")

    monkeypatch.setattr(hub.HfFileSystem, "info", refuse)
    with pytest.raises(BpkdError, match=r"unset HF_HUB_OFFLINE$"):
        open_samples(config(kind="text", train=URL))
    assert calls == [1]


def test_without_the_package_one_line_names_the_extra(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"class": "huggingface_hub_that_is_absent.HfFileSystem", "err": "Install huggingface_hub"}
    monkeypatch.setitem(known_implementations, "hf", absent)
    monkeypatch.delitem(_registry, "hf", raising=False)
    with pytest.raises(UserError, match=rf"{URL}: Install huggingface_hub; `pip install 'bpkd\[text\]'`$"):
        open_samples(config(kind="text", train=URL))
