"""Labelling stored inputs again: rule 1, stored logits belong to stored bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import freeze, load_model, weights_bytes, weights_sha256
from pipeline.models.cnn import cnn
from pipeline.shards.rows import Climbs, RowFormat, Rows
from pipeline.storage import Folder
from pipeline.verify import relabel, verify
from pipeline.verify.relabel import draw
from pipeline.work.setup import autocast, predict
from schemas.config import Config, parse_config
from schemas.errors import UserError
from schemas.manifest import MANIFEST, FileEntry, Manifest, pack
from schemas.registry import FORMATS

COUNT, CPU = 20, torch.device("cpu")


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Config]:
    """A config whose data do not exist, with a random teacher in a file."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        (tmp_path / "teacher.safetensors").write_bytes(weights_bytes(cnn(classes=3, width=8, depth=1)))

    def build(**changes: dict[str, Any]) -> Config:
        teacher = {"factory": "zoo:cnn", "kwargs": {"width": 8, "depth": 1}, "weights": "teacher.safetensors"}
        values: dict[str, dict[str, Any]] = {
            "run": {"output": "run", "device": "cpu"},
            "data": {"train": "nowhere.parquet"},
            "teacher": teacher,
            "student": {"factory": "nowhere:gone"},
        }
        return parse_config({name: {**values[name], **changes.get(name, {})} for name in values}, root=tmp_path)

    return build


def label(config: Config, rows: RowFormat, stored: np.ndarray, rounded: bool) -> tuple[torch.Tensor, str]:
    """(N, 3) logits in batches of 7, and the hash of the weights; else of what would be rounded to `stored`."""
    teacher = freeze(
        load_model(config.teacher, config.locate, role="teacher", shape=rows.shape, classes=3, seed=0, device=CPU)
    )
    if not rounded:
        floats = stored + np.random.default_rng(1).uniform(-0.5, 0.5, stored.shape)
        with torch.no_grad():
            return teacher(torch.from_numpy(floats / 255).float()), weights_sha256(teacher)
    with autocast(config, CPU):
        return predict(teacher, rows.kind_, stored, 7, CPU), weights_sha256(teacher)


def write(
    url: str,
    config: Config,
    codec: str = "fp16",
    shift: float = 0.0,
    format: str = "parquet",
    rounded: bool = True,
) -> None:
    """Two shards of source and auxiliary samples; the first logit of the auxiliary sample s3+r01 is off by `shift`."""
    rows = RowFormat("image", codec, 3, (1, 8, 8), "classification")
    stored = np.random.default_rng(0).integers(0, 256, (2 * COUNT, *rows.shape), np.uint8)
    logits, digest = label(config, rows, stored, rounded)
    logits[COUNT + 3, 0] += shift
    keys, unknown, gaps = [f"s{i}" for i in range(COUNT)], np.full(COUNT, -1), np.ones(COUNT, np.float32)
    own = rows.encode(Rows(keys, stored[:COUNT], unknown, logits[:COUNT], np.ones(COUNT, np.bool_)))
    climbs = Climbs(keys, 1, gaps, gaps, np.ones(COUNT, np.int64))
    names = [f"{key}+r01" for key in keys]
    mined = rows.encode(Rows(names, stored[COUNT:], unknown, logits[COUNT:], np.zeros(COUNT, np.bool_)), climbs)
    table, kind, folder, files = pa.concat_tables([own, mined]), FORMATS.build(format), Folder(url), []
    for number, piece in enumerate((table.slice(0, COUNT + 5), table.slice(COUNT + 5))):
        path, data = f"train-{number:05d}.{kind.suffix}", kind.write(piece.combine_chunks(), rows)
        folder.write(path, data)
        counts = {"samples": piece.num_rows, "source": piece["origin"].to_pylist().count("source")}
        files.append(FileEntry(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), **counts))
    details = {
        "rows": {"kind": "image", "codec": codec, "width": 3, "shape": [1, 8, 8], "task": "classification"},
        "format": format,
        "split": "train",
        "counts": {
            "source": COUNT,
            "auxiliary": COUNT,
            "rounds": [{"round": 1, "samples": COUNT, "gap": {}}],
        },
        "provenance": {"teacher": {"sha256": digest}},
    }
    manifest = Manifest(artifact="dataset", bpkd="1", files=files, fingerprint={}, details=details)
    folder.write(MANIFEST, pack(manifest))


@pytest.mark.parametrize("format", FORMATS.names)
@pytest.mark.parametrize("codec", ["fp16", "fp32"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_its_own_teacher_agrees(tmp_path, configure, codec, precision, format):
    config = configure(run={"precision": precision})
    write(str(tmp_path / "set"), config, codec, format=format)
    verdict = verify(str(tmp_path / "set"), teacher=config)
    assert verdict.ok and verdict.relabelled and verdict.relabelled.samples == 2 * COUNT
    assert verdict.relabelled.difference <= verdict.relabelled.allowed


@pytest.mark.parametrize(("codec", "shift"), [("fp32", 0.01), ("fp16", 0.01), ("fp16", -0.01)])
def test_a_logit_that_is_off_is_named(tmp_path, configure, codec, shift):
    write(str(tmp_path / "set"), configure(), codec, shift)
    verdict = verify(str(tmp_path / "set"), teacher=configure())
    (problem,) = verdict.problems
    assert (problem.file, problem.key) == ("train-00000.parquet", "s3+r01")
    assert problem.what.startswith("logit 0 is ") and verdict.relabelled
    assert verdict.relabelled.difference == pytest.approx(0.01, abs=1e-3) and verdict.relabelled.allowed < 0.01
    assert verify(str(tmp_path / "set")).ok, "without the teacher nothing can tell"


def test_a_teacher_that_gives_no_number_agrees_with_nothing(tmp_path, configure, monkeypatch):
    write(str(tmp_path / "set"), configure())
    monkeypatch.setattr(relabel, "predict", lambda model, kind, stored, *rest: torch.full((len(stored), 3), torch.nan))
    problems = verify(str(tmp_path / "set"), teacher=configure()).problems
    assert len(problems) == 2 * COUNT and all(problem.what.endswith("the teacher gives nan") for problem in problems)


def test_labels_of_inputs_before_they_were_rounded_are_found(tmp_path, configure):
    write(str(tmp_path / "set"), configure(), rounded=False)
    problems = verify(str(tmp_path / "set"), teacher=configure()).problems
    assert len(problems) > COUNT and all("the teacher gives" in problem.what for problem in problems)


def test_other_weights_are_one_problem_and_nothing_is_compared(tmp_path, configure):
    write(str(tmp_path / "set"), configure())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        (tmp_path / "teacher.safetensors").write_bytes(weights_bytes(cnn(classes=3, width=8, depth=1)))
    verdict = verify(str(tmp_path / "set"), teacher=configure())
    assert len(verdict.problems) == 1 and verdict.relabelled is None
    assert verdict.problems[0].file == MANIFEST and "no logits are compared" in verdict.problems[0].what


def test_other_normalisation_shows_in_the_logits(tmp_path, configure):
    write(str(tmp_path / "set"), configure())
    other = configure(teacher={"mean": [0.5], "std": [0.5]})
    assert any("the teacher gives" in problem.what for problem in verify(str(tmp_path / "set"), teacher=other).problems)


def test_a_few_samples_of_both_origins(tmp_path, configure):
    write(str(tmp_path / "set"), configure())
    relabelled = verify(str(tmp_path / "set"), teacher=configure(), samples=6).relabelled
    assert relabelled and relabelled.samples == 6


def test_a_student_has_nothing_to_label(tmp_path, configure):
    manifest = Manifest(artifact="student", bpkd="1", files=[], fingerprint={})
    Folder(str(tmp_path / "student")).write(MANIFEST, pack(manifest))
    with pytest.raises(UserError, match="no stored inputs that a teacher could label"):
        verify(str(tmp_path / "student"), teacher=configure())


def entries(sizes: list[tuple[int, int]]) -> list[FileEntry]:
    return [
        FileEntry(path=f"f{number}", bytes=1, sha256="0" * 64, samples=own + mined, source=own)
        for number, (own, mined) in enumerate(sizes)
    ]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=6), st.integers(1, 60), st.integers(0, 9))
def test_the_draw_is_even_and_within_the_shards(sizes, count, seed):
    drawn = draw(entries(sizes), count, np.random.default_rng(seed))
    again = draw(entries(sizes), count, np.random.default_rng(seed))
    assert {path: [part.tolist() for part in parts] for path, parts in drawn.items()} == {
        path: [part.tolist() for part in parts] for path, parts in again.items()
    }
    totals = []
    for which in (0, 1):
        numbers = [(path, number) for path, parts in drawn.items() for number in parts[which].tolist()]
        assert len(set(numbers)) == len(numbers)
        assert all(0 <= number < sizes[int(path[1:])][which] for path, number in numbers)
        totals.append(len(numbers))
    available = [sum(size[which] for size in sizes) for which in (0, 1)]
    assert sum(totals) == min(count, sum(available))
    for which in (0, 1):
        assert totals[which] >= min(available[which], count // 2)


def test_the_draw_reaches_every_part_of_a_large_set():
    drawn = draw(entries([(1000, 0)] * 10), 20, np.random.default_rng(0))
    assert [len(own) for own, _ in drawn.values()] == [2] * 10
