"""Which auxiliary samples are shown: of every round the extremes, with their parents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.datasets import open_dataset, pairs
from pipeline.datasets.pairs import STUDENT, choose_pairs, with_answers
from pipeline.shards.rows import Climbs, RowFormat, Rows
from pipeline.storage import Folder, sha256
from schemas.manifest import MANIFEST, FileEntry, Manifest, pack
from schemas.registry import FORMATS


@pytest.fixture(params=["parquet", "webdataset"])
def write(request, tmp_path):
    """A function (parents of each round, source=True) -> a data set of 30 vectors, and of climbs from these parents.

    Of a round's climbs each has a larger gap than the one before.
    """
    rows = RowFormat("array", "fp32", 2, (1,), "classification")

    def shard(keys, own, climbs=None):
        count = len(keys)
        made = Rows(
            keys, np.ones((count, 1), np.float32), np.full(count, -1), torch.ones(count, 2), np.full(count, own)
        )
        return rows.encode(made, climbs)

    def build(rounds, *, source=True):
        tables = [(shard([f"s{i:02d}" for i in range(30)], True), 30)] if source else []
        for number, parents in enumerate(rounds, 1):
            names, gaps = [f"s{i:02d}" for i in parents], np.arange(len(parents), dtype=np.float32)
            climbs = Climbs(names, number, gaps, 2 * gaps, np.full(len(parents), 3))
            tables.append((shard([f"{name}+r{number:02d}" for name in names], False, climbs), 0))
        files, shards = [], FORMATS.build(request.param)
        for index, (table, own) in enumerate(tables):
            path, data = f"train-{index:05d}-of-{len(tables):05d}.{shards.suffix}", shards.write(table, rows)
            Folder(str(tmp_path)).write(path, data)
            entry = {"path": path, "bytes": len(data), "sha256": sha256(data), "samples": table.num_rows, "source": own}
            files.append(FileEntry(**entry))
        details = {
            "rows": {"kind": "array", "codec": "fp32", "width": 2, "shape": [1], "task": "classification"},
            "format": request.param,
            "split": "train",
            "counts": {"source": 30 * source, "auxiliary": sum(map(len, rounds)), "rounds": []},
            "provenance": {},
        }
        manifest = Manifest(artifact="dataset", bpkd="0", files=files, fingerprint={}, details=details)
        Folder(str(tmp_path)).write(MANIFEST, pack(manifest))
        return open_dataset(str(tmp_path))

    return build


def test_of_every_round_the_extremes_and_then_the_parents(write):
    found = choose_pairs(write([range(30), range(5, 20)])).to_pylist()
    chosen = {number: [row for row in found if row["round"] == number] for number in (1, 2, None)}
    assert [row["round"] for row in found] == [1] * 12 + [2] * 12 + [None] * len(chosen[None])
    for number, largest in ((1, 58), (2, 28)):
        gaps = [row["gap_after"] for row in chosen[number]]
        assert gaps == sorted(gaps, reverse=True) and (gaps[0], gaps[-1]) == (largest, 0)
    parents = [row["parent_key"] for row in found if row["parent_key"]]
    assert [row["key"] for row in chosen[None]] == list(dict.fromkeys(parents))


def test_many_rounds_share_the_room(write):
    rounds = [row["round"] for row in choose_pairs(write([range(2)] * 50)).to_pylist() if row["round"]]
    assert len(rounds) == pairs.PAIRS and (rounds[0], rounds[-1]) == (1, 50) and len(set(rounds)) == pairs.PAIRS


def test_few_are_all_there(write):
    assert [row["key"] for row in choose_pairs(write([[3, 4]])).to_pylist()] == ["s04+r01", "s03+r01", "s04", "s03"]


@pytest.mark.parametrize(("limit", "value"), [("SCANNED", 31), ("SCANNED_BYTES", None)])
def test_no_more_is_read_than_enough(write, monkeypatch, limit, value):
    if value is None:
        value = sum(part.promised.entry.bytes for part in write([[1], [2]]).parts[:2])
    monkeypatch.setattr(pairs, limit, value)
    found = choose_pairs(write([[1], [2]]))
    assert found["key"].to_pylist() == ["s01+r01", "s01"]


def test_without_the_source_there_are_no_parents(write):
    assert choose_pairs(write([[1, 2]], source=False))["key"].to_pylist() == ["s02+r01", "s01+r01"]


def test_without_rounds_there_is_nothing(write):
    assert choose_pairs(write([])).num_rows == 0


def test_answers_stand_beside_the_rows(write):
    table = choose_pairs(write([[1]]))
    both = with_answers(table, np.array([[1, 2], [3, 4]], np.float32))
    assert both[STUDENT.name].to_pylist() == [[1, 2], [3, 4]] and both.schema == table.schema.append(STUDENT)
