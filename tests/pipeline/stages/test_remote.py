"""Every stage on this machine, in memory and in an object store: the same bytes, also through faults and stops."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomlkit

from cli.main import main
from pipeline.stages import cache, evaluate, export, mine, train
from pipeline.storage import Folder
from schemas.config import Config

STAGES: dict[str, Callable[..., Any]] = {
    "cache": cache,
    "mine": mine,
    "export": export,
    "train": train,
    "evaluate": evaluate,
}
INPUTS = ("train.parquet", "eval.parquet", "teacher.safetensors")
Contents = dict[str, bytes]


def contents(url: str) -> Contents:
    """Every file of a run but its config.toml, which names the output, and how long things took."""
    folder = Folder(url)
    names = (name for name in folder.find() if name != "config.toml" and not name.startswith("times/"))
    return {name: folder.read(name) for name in names}


def fill(url: str, files: Contents) -> None:
    for name, data in files.items():
        Folder(url).write(name, data)


_whole: dict[str, Contents] = {}
"""A run on this machine, made once: "" -> nothing, stage -> all files after it."""


@pytest.fixture
def whole(configure: Callable[..., Config]) -> dict[str, Contents]:
    config = configure(run={"output": "whole"})
    for name, stage in STAGES.items() if not _whole else ():
        stage(config)
        _whole[name] = contents(config.output)
    return {"": {}, **_whole}


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty directory elsewhere."""
    if request.param == "s3":
        return f"{request.getfixturevalue('s3').url}/place"
    return f"memory://{tmp_path.name}"


def before(stage: str) -> str:
    """The stage before; "" for the first."""
    return ["", *STAGES][list(STAGES).index(stage)]


def test_the_same_bytes_wherever_the_run_lies(configure, whole, place):
    for stage in STAGES.values():
        stage(configure(run={"output": place}))
    assert contents(place) == whole["evaluate"]


def test_the_same_samples_and_weights_wherever_the_source_and_the_teacher_lie(configure, whole, place, tmp_path):
    fill(place, {name: (tmp_path / name).read_bytes() for name in INPUTS})
    config = configure(
        data={"train": f"{place}/train.parquet", "eval": f"{place}/eval.parquet"},
        teacher={"weights": f"{place}/teacher.safetensors"},
    )
    for stage in STAGES.values():
        stage(config)
    found, expected = contents(config.output), whole["evaluate"]
    assert found.keys() == expected.keys()
    made_of = {name for name in found if found[name] != expected[name]}
    assert all(name.endswith(("manifest.json", "README.md")) for name in made_of)  # they name the source
    for name in (name for name in made_of if name.endswith("manifest.json")):
        assert json.loads(found[name])["files"] == json.loads(expected[name])["files"] or name.startswith("dataset/")


@pytest.fixture
def command(values: dict[str, Any], tmp_path: Path) -> Callable[..., int]:
    """command("cache", url): run a stage, or all, with its output there; returns the exit code."""

    def run(name: str, output: str, *options: str) -> int:
        changed = {**values, "run": {**values["run"], "output": output}}
        (tmp_path / "config.toml").write_text(tomlkit.dumps(changed))
        return main([name, str(tmp_path / "config.toml"), *options])

    return run


def test_the_whole_run_from_the_command_line(s3, command, whole, capsys):
    assert command("run", f"{s3.url}/run", "--direct", "--json") == 0
    assert json.loads(capsys.readouterr().out)["url"] == f"{s3.url}/run"
    assert contents(f"{s3.url}/run") == whole["evaluate"]


class Stop(BaseException):
    """Not an Exception, as a kill or Ctrl-C is none."""


@pytest.mark.parametrize("stage", list(STAGES)[:4])
def test_stopped_at_some_writes_and_resumed(s3, configure, whole, monkeypatch, stage):
    write, written = Folder.write, 0
    stop_at = 10_000

    def counted(self: Folder, name: str, data: bytes) -> None:
        nonlocal written
        written += 1
        if written > stop_at:
            raise Stop
        write(self, name, data)

    def run(url: str) -> None:
        fill(url, whole[before(stage)])
        with monkeypatch.context() as patch:
            patch.setattr(Folder, "write", counted)
            STAGES[stage](configure(run={"output": url}))

    run(f"{s3.url}/whole")
    for stop_at in (written // 3, written - 1):
        url, written = f"{s3.url}/{stop_at}", 0
        with pytest.raises(Stop):
            run(url)
        STAGES[stage](configure(run={"output": url}))
        assert contents(url) == whole[stage], f"stopped after {stop_at} writes"


@pytest.mark.parametrize("stage", STAGES)
def test_faults_that_pass_change_nothing(s3, configure, whole, monkeypatch, stage):
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 0.3}})
    fill(s3.url, whole[before(stage)])
    s3.fail(500, "reset", 503, "cut", 429, 0.6, when=lambda number, request: number % 7 == 3)
    STAGES[stage](configure(run={"output": s3.url}))
    assert s3.failed >= 4
    s3.heal()
    assert contents(s3.url) == whole[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_a_store_that_stays_down_ends_it_and_the_next_run_goes_on(s3, command, whole, stage, capsys):
    def fresh(name: str) -> str:
        fill(f"{s3.url}/{name}", whole[before(stage)])
        return f"{s3.url}/{name}"

    url, earlier = fresh("whole"), len(s3.requests)
    assert command(stage, url) == 0
    total = len(s3.requests) - earlier
    for first in (total // 3, total * 3 // 4):
        url = fresh(str(first))
        s3.fail(503, when=lambda number, request, first=first: number >= first)
        assert command(stage, url) == 1
        said = capsys.readouterr().err
        last = said.splitlines()[-1]
        assert last.startswith(f"error: {url}") and "tried 5 times" in last and "the same command goes on" in last
        assert "Traceback" not in said
        s3.heal()
        assert command(stage, url) == 0, capsys.readouterr().err
        assert contents(url) == whole[stage], f"down from request {first}"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies of remote shards lie."""
    monkeypatch.setenv("BPKD_CACHE", str(tmp_path / "disk"))
    return tmp_path / "disk" / "shards"


def asked(s3: Any, artifact: str, methods: str) -> Counter[str]:
    """How often the store was asked for each shard of an artifact so far."""
    shard = re.compile(rf"({methods}) .*/{artifact}/([^/]+\.(parquet|tar))")
    return Counter(match[2] for match in map(shard.fullmatch, s3.requests) if match)


def test_with_room_on_the_disk_shards_are_read_from_the_store_once(s3, configure, whole, disk):
    url = f"{s3.url}/run"
    fill(url, whole["cache"])
    config = configure(run={"output": url, "disk_cache": "1GB"})
    for name in ("mine", "export"):
        STAGES[name](config)
    # Two rounds train on them and climb from them, then they are exported.
    assert set(asked(s3, "teacher-logits", "GET").values()) == {1}
    train(config)
    before = asked(s3, "dataset", "GET|HEAD")
    assert len(before) > 1
    train(config, restart=True)
    assert asked(s3, "dataset", "GET|HEAD") == before
    assert contents(url) == whole["train"]
    kept = {path.name: path.stat().st_size for path in disk.iterdir()}
    promised = json.loads(whole["train"]["dataset/manifest.json"])["files"]
    assert all(kept[file["sha256"]] == file["bytes"] for file in promised if file["samples"])


def test_with_little_room_on_the_disk_the_bytes_are_the_same_and_the_limit_holds(configure, whole, disk, tmp_path):
    url = f"memory://{tmp_path.name}"
    fill(url, whole["cache"])
    config = configure(run={"output": url, "disk_cache": "12KB", "workers": 3})
    for name in ("mine", "export", "train"):
        STAGES[name](config)
        copies = [path.stat().st_size for path in disk.iterdir() if len(path.name) == 64]
        assert 0 < sum(copies) <= 12_000
    assert contents(url) == whole["train"]


def test_credentials_get_into_no_file_and_no_message(s3, values, disk, tmp_path, capsys):
    images = pq.read_table(tmp_path / "train.parquet")
    broken = pa.array([{"bytes": b"no image", "path": None}], images["image"].type)
    own = pa.concat_tables([images, pa.table({"image": broken, "label": pa.array([0], pa.int64())})])
    pq.write_table(own, tmp_path / "train.parquet")
    fill(s3.url, {name: (tmp_path / name).read_bytes() for name in INPUTS} | {"damaged.parquet": b"PAR1"})
    secrets = [os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], "url-user", "url-password"]
    bucket = s3.url.removeprefix("s3://")
    web = f"{s3.address.replace('://', '://url-user:url-password@')}/{bucket}"
    web_too = web.replace("127.0.0.1", "localhost")

    def run(command: str, output: str, train: list[str]) -> int:
        changed = {
            **values,
            "run": {**values["run"], "output": output, "disk_cache": "1GB"},
            "data": {**values["data"], "train": train, "eval": f"{web}/eval.parquet"},
            "teacher": {**values["teacher"], "weights": f"{web}/teacher.safetensors"},
        }
        (tmp_path / "config.toml").write_text(tomlkit.dumps(changed))
        return main([command, str(tmp_path / "config.toml"), *(["--direct"] if command == "run" else [])])

    url = f"{s3.url}/run"
    assert run("run", url, [f"{web}/train.parquet", f"{web_too}/eval.parquet"]) == 0
    written = {name: Folder(url).read(name) for name in Folder(url).find()}
    assert b"***@" in written["config.toml"] and b"not an image" in written["teacher-logits/failures.jsonl"]
    assert run("cache", f"{s3.url}/other", [f"{web}/damaged.parquet"]) == 2
    assert run("cache", f"{s3.url}/other", [f"{web}/missing.parquet"]) == 2
    # s3:// takes no user and password; its client would repeat them.
    assert run("cache", f"s3://url-user:url-password@{bucket}/run", [f"{web}/train.parquet"]) == 2
    said = capsys.readouterr()
    assert said.err.count("error: ") == 3
    kept = {str(path): path.read_bytes() for path in disk.parent.rglob("*") if path.is_file()}
    assert len(kept) > 6
    texts = [*written, *kept, said.out, said.err]
    texts += [data.decode(errors="replace") for data in (*written.values(), *kept.values())]
    assert [secret for secret in secrets if any(secret in text for text in texts)] == []
