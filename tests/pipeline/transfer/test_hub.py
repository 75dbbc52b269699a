"""Push to a repository of the Hugging Face hub, and pull from it, on a server here that answers as the hub does."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
import pytest

from cli.main import main
from pipeline.storage import Folder
from pipeline.transfer.copying import transfer
from pipeline.verify import verify
from schemas.errors import BpkdError, UserError
from schemas.manifest import MANIFEST

hub = pytest.importorskip("huggingface_hub")

URL = "hf://datasets/me/digits"
HUB = "https://huggingface.co/datasets"
OWN = ".gitattributes"
"""A file that a repository has from its begin."""


class Repository:
    """What the hub has: files of the newest commit, large ones by their content, and every commit.

    Attributes:
        files: path -> content.
        commits: what each put and removed.
        before_commit: called when one is asked for.
        damages: what becomes of content that is committed.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {OWN: b"*.parquet filter=lfs"}
        self.large: dict[str, bytes] = {}
        self.commits: list[tuple[set[str], set[str]]] = []
        self.before_commit: Callable[[], None] = lambda: None
        self.damages: Callable[[bytes], bytes] = lambda data: data

    @property
    def state(self) -> str:
        return f"{len(self.commits):040x}"

    def commit(self, put: dict[str, bytes], removed: set[str]) -> None:
        self.files = {name: data for name, data in {**self.files, **put}.items() if name not in removed}
        self.commits.append((set(put), removed))


def is_large(path: str) -> bool:
    return path.endswith((".tar", ".parquet", ".jpg"))


class Answers(BaseHTTPRequestHandler):
    repository: Repository
    _api, _tree, _resolve = (
        "/api/datasets/me/digits",
        "/api/datasets/me/digits/tree/main",
        "/datasets/me/digits/resolve/main/",
    )

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        split = urlsplit(unquote(self.path))
        files = self.repository.files
        if split.path in (self._api, f"{self._api}/revision/main"):
            self.answer({"id": "me/digits", "sha": self.repository.state, "siblings": []})
        elif split.path == self._tree or split.path.startswith(f"{self._tree}/"):
            self.list(split.path.removeprefix(self._tree).strip("/"), "recursive=true" in split.query.lower())
        elif split.path.startswith(self._resolve) and (name := split.path.removeprefix(self._resolve)) in files:
            self.answer(files[name])
        else:
            self.answer({}, 404, "EntryNotFound" if "/me/digits" in split.path else "RepoNotFound")

    def list(self, folder: str, recursive: bool) -> None:
        start, found = f"{folder}/" if folder else "", dict[str, Any]()
        for path, data in self.repository.files.items():
            if not path.startswith(start):
                continue
            parts = path.removeprefix(start).split("/")
            for depth in range(1, len(parts)):
                name = start + "/".join(parts[:depth])
                found[name] = {"type": "directory", "path": name, "oid": "0" * 40}
            oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            found[path] = {"type": "file", "path": path, "size": len(data), "oid": oid}
            if is_large(path):
                large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
                found[path] |= {"oid": "1" * 40, "lfs": large}
        if folder and not found:
            self.answer({}, 404, "EntryNotFound")
            return
        shown = [item for path, item in found.items() if recursive or "/" not in path.removeprefix(start)]
        self.answer(sorted(shown, key=lambda item: str(item["path"])))

    def do_POST(self) -> None:
        path, given = urlsplit(self.path).path, self.rfile.read(int(self.headers["Content-Length"]))
        if path == "/api/validate-yaml":
            self.answer({"warnings": [], "errors": []})
        elif path == f"{self._api}/preupload/main":
            files = [file["path"] for file in json.loads(given)["files"]]
            modes = {True: "lfs", False: "regular"}
            self.answer(
                {"files": [{"path": p, "uploadMode": modes[is_large(p)], "shouldIgnore": False} for p in files]}
            )
        elif path == "/datasets/me/digits.git/info/lfs/objects/batch":
            host = self.headers["Host"]
            objects = [
                {**item, "actions": {"upload": {"href": f"http://{host}/large/{item['oid']}"}}}
                for item in json.loads(given)["objects"]
            ]
            self.answer({"transfer": "basic", "objects": objects})
        elif path == f"{self._api}/commit/main":
            self.commit([json.loads(line) for line in given.splitlines()])
        else:
            self.answer({}, 404, "RepoNotFound")

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.repository.large[self.path.rpartition("/")[2]] = data
        self.answer({})

    def commit(self, lines: list[dict[str, Any]]) -> None:
        repository = self.repository
        repository.before_commit()
        put, removed = dict[str, bytes](), set[str]()
        for line in lines:
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit", repository.state) != repository.state:
                self.answer({"error": "A commit has happened since. Please refresh and try again."}, 412)
                return
            if line["key"] == "file":
                put[value["path"]] = repository.damages(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                put[value["path"]] = repository.damages(repository.large[value["oid"]])
            elif line["key"] == "deletedFile":
                removed.add(value["path"])
        repository.commit(put, removed)
        self.answer({"success": True, "commitOid": repository.state, "commitUrl": f"{HUB}/me/digits/commit/0"})

    def answer(self, content: Any, status: int = 200, error: str = "") -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        begin, end = 0, len(data)
        if "Range" in self.headers:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            begin, end, status = int(first), min(int(last) + 1, end) if last else end, 206
        self.send_response(status)
        self.send_header("Content-Length", str(end - begin))
        if error:
            self.send_header("X-Error-Code", error)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[begin:end])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """`hf://datasets/me/digits`, just made."""

    class Own(Answers):
        repository = Repository()

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_DISABLE_XET", True
    )  # a protocol of its own, with other servers
    endpoint = f"http://127.0.0.1:{listening.server_port}"
    hub.HfFileSystem.clear_instance_cache()
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": endpoint, "token": "hf_token"})
    yield Own.repository
    hub.HfFileSystem.clear_instance_cache()
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def dataset(tmp_path: Path, write_dataset: Any) -> str:
    write_dataset(f"{tmp_path}/set")
    return f"{tmp_path}/set"


def contents(url: str) -> dict[str, bytes]:
    return {name: Folder(url).read(name) for name in Folder(url).find()}


def test_there_and_back_in_one_commit(repository: Repository, dataset: str, tmp_path: Path) -> None:
    assert main(["push", dataset, URL, "--quiet"]) == 0
    assert repository.files == {OWN: repository.files[OWN], **contents(dataset)}
    assert repository.commits == [(set(contents(dataset)), set())]  # nobody sees some of the files without the others
    assert main(["pull", URL, str(tmp_path / "back"), "--quiet"]) == 0
    assert contents(f"{tmp_path}/back") == contents(dataset)
    assert verify(URL).ok


def test_what_is_there_is_not_sent_again(repository: Repository, dataset: str) -> None:
    transfer(dataset, URL)
    again = transfer(dataset, URL)
    assert (again.sent, again.kept, len(repository.commits)) == (0, len(contents(dataset)) - 1, 1)
    lost = next(name for name in repository.files if is_large(name))
    del repository.files[lost]
    assert transfer(dataset, URL).sent == 1
    assert repository.commits[1:] == [({lost}, set())]


def test_in_a_folder_of_a_repository(repository: Repository, dataset: str, tmp_path: Path) -> None:
    repository.files["notes/mine.txt"] = b"mine"
    transfer(dataset, f"{URL}/sets/first")
    assert {f"sets/first/{name}" for name in contents(dataset)} == set(repository.files) - {OWN, "notes/mine.txt"}
    transfer(f"{URL}/sets/first", f"{tmp_path}/back")
    assert contents(f"{tmp_path}/back") == contents(dataset)


def test_from_another_store(repository: Repository, dataset: str, tmp_path: Path) -> None:
    remote = f"memory://{tmp_path.name}/set"
    transfer(dataset, remote)
    transfer(remote, URL)
    assert repository.files == {OWN: repository.files[OWN], **contents(dataset)}


def test_another_data_set_is_replaced_only_when_asked_to(
    repository: Repository, dataset: str, tmp_path: Path, write_dataset: Any
) -> None:
    write_dataset(f"{tmp_path}/other", "webdataset")
    transfer(f"{tmp_path}/other", URL)
    with pytest.raises(UserError, match=rf"{URL} holds another 'dataset'; --replace puts this one in its place"):
        transfer(dataset, URL)
    transfer(dataset, URL, replace=True)
    assert repository.files == {OWN: repository.files[OWN], **contents(dataset)}
    assert len(repository.commits) == 2


def test_files_of_others_stay(repository: Repository, dataset: str) -> None:
    repository.files["mine.txt"] = b"mine"
    with pytest.raises(UserError, match=r"holds other files, such as 'mine.txt'; name another place"):
        transfer(dataset, URL)
    assert not repository.commits


def test_nothing_is_seen_where_a_file_is_damaged(repository: Repository, dataset: str) -> None:
    shard = next(path for path in Path(dataset).iterdir() if is_large(path.name))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(BpkdError, match="is damaged: its sha256 is not the manifest's"):
        transfer(dataset, URL)
    assert not repository.commits


def test_somebody_else_commits_meanwhile(repository: Repository, dataset: str) -> None:
    repository.before_commit = lambda: repository.commit({"theirs.txt": b"theirs"}, set())
    with pytest.raises(BpkdError, match=r"cannot be written: .*A commit has happened since"):
        transfer(dataset, URL)
    assert MANIFEST not in repository.files


def test_what_the_hub_has_is_looked_at(repository: Repository, dataset: str) -> None:
    repository.damages = lambda data: data[:-1] + b"?"
    with pytest.raises(BpkdError, match="is not what was sent; run the same command again"):
        transfer(dataset, URL)


def test_no_such_repository_is_one_line(repository: Repository, dataset: str) -> None:
    with pytest.raises(UserError, match=r"hf://datasets/me/nothing: no such repository, .*`hf repos create`") as caught:
        transfer(dataset, "hf://datasets/me/nothing")
    assert "\n" not in str(caught.value)
