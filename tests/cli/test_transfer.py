"""`bpkd push` and `bpkd pull`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage import Folder
from pipeline.storage.faults import ATTEMPTS


@pytest.fixture
def dataset(tmp_path: Path, write_dataset: Any) -> str:
    write_dataset(f"{tmp_path}/set")
    return f"{tmp_path}/set"


def test_push_and_pull_in_words(bpkd: Any, dataset: str, tmp_path: Path) -> None:
    said = bpkd("push", dataset, f"memory://{tmp_path.name}/set")
    assert said.code == 0
    first, second = said.out.splitlines()
    assert first.startswith(f"dataset: 10 samples in memory://{tmp_path.name}/set (")
    assert second.startswith("  2 files (") and second.endswith(" copied, 0 files (0 bytes) there already")
    assert "copy: " in said.err and "B/s" in said.err
    pulled = bpkd("--quiet", "pull", f"memory://{tmp_path.name}/set", tmp_path / "copy")
    assert (pulled.code, pulled.err) == (0, "")
    for path in Path(dataset).iterdir():
        assert Path(tmp_path, "copy", path.name).read_bytes() == path.read_bytes()


def test_json_is_one_object(bpkd: Any, dataset: str, tmp_path: Path) -> None:
    bpkd("pull", dataset, tmp_path / "copy")
    found = json.loads(bpkd("pull", dataset, tmp_path / "copy", "--jobs", "2", "--json").out)
    assert (found["artifact"], found["samples"], found["url"]) == ("dataset", 10, f"{tmp_path}/copy")
    assert found["sent"] == {"files": 0, "bytes": 0} and found["kept"]["files"] == 2


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_nobody_sees_what_lets_one_in(bpkd: Any, dataset: str, tmp_path: Path, json_: list[str]) -> None:
    url = f"memory://user:s3cret@host/{tmp_path.name}"
    outs = [bpkd("push", dataset, url, *json_), bpkd("pull", url, tmp_path / "copy", *json_)]
    outs += [bpkd("inspect", url, *json_), bpkd("verify", url, *json_)]
    assert [said.code for said in outs] == [0] * 4
    assert "***@host" in outs[0].out + outs[2].out and not any("s3cret" in said.out + said.err for said in outs)


def test_replace(bpkd: Any, dataset: str, tmp_path: Path, write_dataset: Any) -> None:
    write_dataset(f"{tmp_path}/other", "webdataset")
    said = bpkd("push", dataset, tmp_path / "other")
    assert said.code == 2 and "--replace" in said.err
    assert bpkd("push", dataset, tmp_path / "other", "--replace").code == 0
    assert {path.name for path in (tmp_path / "other").iterdir()} == {path.name for path in Path(dataset).iterdir()}


def test_damage_is_one_line(bpkd: Any, dataset: str, tmp_path: Path) -> None:
    Path(dataset, "train-00001-of-00002.parquet").write_bytes(b"short")
    said = bpkd("--quiet", "pull", dataset, tmp_path / "copy")
    assert said.code == 1 and said.err.count("\n") == 1 and "the manifest promises" in said.err


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_ctrl_c_while_the_store_hangs(bpkd: Any, dataset: str, tmp_path: Path, s3: Any, direction: str) -> None:
    source, target = dataset, f"{s3.url}/set"
    if direction == "pull":
        assert bpkd("push", source, target).code == 0
        source, target = target, f"{tmp_path}/copy"
    asked = threading.Event()

    def hangs(number: int, request: str) -> bool:
        if "train-" in request:
            asked.set()
        return asked.is_set()

    s3.fail(60.0, when=hangs)
    command = [sys.executable, "-m", "cli.main", direction, source, target]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert asked.wait(60)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "run the same command again" in said
    s3.fail(503, when=lambda number, request: False)
    assert not Folder(target).exists("manifest.json")
    assert bpkd(direction, source, target).code == 0
    assert sorted(Folder(target).find()) == sorted(path.name for path in Path(dataset).iterdir())


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_a_file_where_a_directory_belongs_is_one_line(bpkd: Any, dataset: str, tmp_path: Path, direction: str) -> None:
    (tmp_path / "file").write_text("mine")
    said = bpkd("--quiet", direction, dataset, tmp_path / "file")
    assert said.code == 2 and said.err.count("\n") == 1
    assert f"{tmp_path}/file cannot be created: a file is in the way where a directory belongs" in said.err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_store_that_cannot_be_reached_is_asked_for_one_name_only(
    bpkd: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = bpkd("pull", "http://127.0.0.1:9/x", tmp_path / "copy")
    assert said.code == 1 and not (tmp_path / "copy").exists()
    assert len([message for message in caplog.messages if "the store does not answer" in message]) == ATTEMPTS - 1
    assert "error: http://127.0.0.1:9/x" in said.err and said.err.endswith("then run the same command again\n")


@pytest.mark.parametrize("source", ["", "{set}"])
def test_an_empty_path_is_one_line(bpkd: Any, dataset: str, source: str) -> None:
    said = bpkd("--quiet", "pull", source.format(set=dataset), "")
    assert (said.code, said.err) == (2, "error: a path is empty; name a directory, a file or a URL\n")
