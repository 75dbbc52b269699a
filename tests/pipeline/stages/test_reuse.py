"""A run takes over from a finished one what it would make from the same, and only that."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import layout
from pipeline.artifacts.artifact import Artifact, read_manifest
from pipeline.artifacts.failures import failure_files
from pipeline.artifacts.ledger import parse_manifest
from pipeline.artifacts.units import Target
from pipeline.runs import discard_run
from pipeline.stages import cache, evaluate, export, mine, train
from pipeline.storage import Folder, sha256
from pipeline.verify import verify
from schemas.config import parse_config
from schemas.errors import UserError
from schemas.manifest import FailedSample, FileEntry, ShardReport, pack

from .conftest import write_images

STAGES = (cache, mine, export, train, evaluate)


@pytest.fixture
def grow(tmp_path: Path, values):
    """The source is a folder of two files; `grow()` adds one between them, in the order of their names."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, count, seed in (("a", 20, 2), ("c", 12, 3)):
        write_images(folder / f"{name}.parquet", count, seed)
    values["data"]["train"] = "photos"
    return lambda: write_images(folder / "b.parquet", 10, 4)


@pytest.fixture
def written(monkeypatch):
    """Names of the shards that were made, by artifact."""
    found: list[str] = []
    write = Target._write

    def noted(self, folder, file):
        found.append("/".join([*self.url.split("/")[-2:], file.path]))
        return write(self, folder, file)

    monkeypatch.setattr(Target, "_write", noted)
    return found


def run(config):
    for stage in STAGES:
        stage(config)
    return config


def test_only_new_files_are_cached_and_mined(configure, grow, written):
    first = run(configure(run={"output": "first"}))
    grow()
    written.clear()
    second = run(configure(run={"output": "second", "base": "first"}))
    shards = [name for name in written if not name.startswith("second/dataset")]
    # Of the files a (2 shards), b and c (1 each) the new one is the third shard.
    assert shards == [
        "second/teacher-logits/shard-00002.parquet",
        "round-01/auxiliary/shard-00002.parquet",
        "round-02/auxiliary/shard-00002.parquet",
    ]
    data = read_manifest(layout.dataset(second.output), None)
    assert data.details["counts"]["source"] == 42
    assert [entry["samples"] for entry in data.details["counts"]["rounds"]] == [42, 42]
    for place, old, new in ((layout.teacher_logits, 2, 3), (partial(layout.auxiliary, round_=1), 2, 3)):
        before, after = Folder(place(first.output)), Folder(place(second.output))
        assert before.read(f"shard-{old:05d}.parquet") == after.read(f"shard-{new:05d}.parquet")
    assert verify(second.output).problems == []


def test_cached_logits_are_those_of_a_run_without_a_base(configure, grow, files):
    cache(configure(run={"output": "first"}))
    grow()
    for name, base in (("alone", None), ("taken", "first")):
        cache(configure(run={"output": name, "base": base}))
    assert files(configure(run={"output": "alone"}).output) == files(configure(run={"output": "taken"}).output)


@pytest.mark.parametrize(
    ("changes", "cached_anew"),
    [
        ({"student": {"kwargs": {"classes": 3, "width": 2, "depth": 1}}}, False),
        ({"mine": {"steps": 2}}, False),
        ({"data": {"train": "photos/a.parquet"}}, False),
        ({"cache": {"codec": "fp32"}}, True),
        ({"run": {"seed": 3}}, False),
    ],
)
def test_with_another_setting_the_bytes_are_those_of_a_run_without_a_base(
    configure, grow, written, files, changes, cached_anew
):
    run(configure(run={"output": "first"}))
    grow()
    written.clear()
    runs = {}
    for name, base in (("alone", None), ("taken", "first")):
        own = {"run": {"output": name, "base": base, **changes.get("run", {})}}
        runs[name] = configure(**{**changes, **own})
        cache(runs[name])
        mine(runs[name])
    assert files(runs["alone"].output) == files(runs["taken"].output)
    assert ("taken/teacher-logits/shard-00000.parquet" in written) == cached_anew


def test_a_changed_file_is_made_anew(configure, grow, tmp_path, written, files):
    run(configure(run={"output": "first"}))
    write_images(tmp_path / "photos" / "c.parquet", 12, seed=9)
    written.clear()
    for name, base in (("taken", "first"), ("alone", None)):
        config = configure(run={"output": name, "base": base})
        cache(config)
        mine(config)
    assert written[0] == "taken/teacher-logits/shard-00002.parquet"
    assert written[1] == "round-01/auxiliary/shard-00000.parquet", "opponents saw samples that are gone"
    assert files(str(tmp_path / "taken")) == files(str(tmp_path / "alone"))


@pytest.mark.slow
def test_what_is_taken_over_resumes_exactly(configure, grow, files, stopped):
    run(configure(run={"output": "first"}))
    grow()
    whole = run(configure(run={"output": "whole", "base": "first"}))
    broken = configure(run={"output": "broken", "base": "first"})
    for stage in STAGES[:3]:
        writes = 0
        while stopped(partial(stage, broken), writes):
            writes += 3
    for stage in STAGES[3:]:
        stage(broken)
    assert files(whole.output) == files(broken.output)


def test_a_base_that_is_not_there(configure):
    with pytest.raises(UserError, match=r"run\.base = gone: .*/gone/teacher-logits does not exist"):
        cache(configure(run={"base": "gone"}))


def test_failed_samples_are_taken_over_with_their_reasons(configure, grow, tmp_path):

    path = tmp_path / "photos" / "a.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[17]["image"]["bytes"] = b"broken"
    schema = pq.read_schema(path)

    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    first = cache(configure(run={"output": "first"}))
    grow()
    config = configure(run={"output": "second", "base": "first"})
    second = cache(config)
    assert (first.failures, second.failures) == (1, 1)
    assert b"a-00000017" in Folder(layout.teacher_logits(config.output)).read("failures.jsonl")


@pytest.mark.slow
def test_a_finished_run_does_not_need_its_base(configure, grow, files):
    run(configure(run={"output": "first"}))
    grow()
    second = run(configure(run={"output": "second", "base": "first"}))
    before = files(second.output)
    discard_run(configure(run={"output": "first"}).output)
    run(second)
    assert files(second.output) == before
    with pytest.raises(UserError, match=r"run\.base = first"):
        mine(second, restart=True)


def test_a_base_that_mined_nothing_gives_its_logits(configure, grow, written):
    cache(configure(run={"output": "first", "rounds": 0}))
    grow()
    written.clear()
    config = configure(run={"output": "second", "base": "first"})
    cache(config)
    mine(config)
    assert written[:2] == ["second/teacher-logits/shard-00002.parquet", "round-01/auxiliary/shard-00000.parquet"]


def test_failed_samples_that_were_taken_over_are_tried_again(configure, grow, tmp_path, written):
    run(configure(run={"output": "first"}))
    grow()
    config = configure(run={"output": "second", "base": "first"})
    url = layout.auxiliary(config.output, 1)
    cache(config)
    failed = FailedSample(key="a-00000001", stage="mine", reason="odd", unit="shard-00000.parquet")
    donor = Artifact(layout.auxiliary(configure(run={"output": "first"}).output, 1), "auxiliary", {})
    manifest = parse_manifest(donor.folder)
    reports = {
        file.path: ShardReport(files=[file], failures=[failed] if number == 0 else [], details={"dropped": 0})
        for number, file in enumerate(manifest.files)
    }
    lists = [
        FileEntry(path=name, bytes=len(data), sha256=sha256(data))
        for name, data in failure_files(reports).items()
        if donor.folder.write(name, data) is None
    ]
    changed = manifest.model_copy(update={"files": [*manifest.files, *lists], "failures": 1})
    donor.folder.write("manifest.json", pack(changed))
    assert mine(config)[0].failures == 1
    written.clear()
    assert mine(config, retry_failed=True)[0].failures == 0
    assert written[0] == "round-01/auxiliary/shard-00000.parquet"
    assert read_manifest(url, None).failures == 0


def test_arrays_whose_range_is_not_known_are_cached_anew(tmp_path, files):
    (tmp_path / "data").mkdir()
    for name, scale in (("a", 1), ("z", 100)):
        generator = np.random.default_rng(scale)
        values = generator.normal(size=(6, 3)) * scale
        np.savez(tmp_path / "data" / f"{name}.npz", x=values, y=np.array([0, 1] * 3))

    def config(output, base=None):
        model = {"factory": "zoo:mlp", "kwargs": {"hidden": [4]}}
        data = {"kind": "array", "train": "data", "classes": 2}
        run_ = {"output": output, "rounds": 1, "device": "cpu", "base": base}
        return parse_config({"run": run_, "data": data, "teacher": model, "student": model}, root=tmp_path)

    cache(config("first"))
    (tmp_path / "data" / "z.npz").unlink()
    cache(config("alone"))
    cache(config("taken", "first"))
    assert files(str(tmp_path / "alone")) == files(str(tmp_path / "taken"))
