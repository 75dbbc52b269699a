"""Labelling perturbed text again: with the map that carried the perturbations to the teacher."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save

from pipeline.artifacts.artifact import read_manifest
from pipeline.datasets import open_dataset
from pipeline.stages.cache import cache
from pipeline.stages.export import export
from pipeline.stages.mine import mine
from pipeline.storage import Folder, sha256
from pipeline.verify import verify
from schemas.config import Config
from schemas.manifest import MANIFEST, Manifest, pack

AUXILIARY = 12
MAP = "embedding-map.safetensors"


def make(config: Config) -> str:
    """The URL of the run, which is mined and exported."""
    for stage in (cache, mine, export):
        stage(config)
    return config.output


def other_student(text_models: Any) -> dict[str, Any]:
    return {"factory": f"hf:{text_models(seed=1, hidden_size=8, num_hidden_layers=1)}", "layers": None}


@pytest.mark.parametrize(
    "mined",
    [{"delta": "fp16"}, {"delta": "int8"}, {"output": "token"}, {"carry": "embedding"}],
    ids=lambda mined: next(iter(mined.values())),
)
@pytest.mark.parametrize(("mapped", "format"), [(False, "parquet"), (True, "webdataset")])
def test_its_own_teacher_agrees(
    text_config: Any, text_models: Any, mined: dict[str, Any], mapped: bool, format: str
) -> None:
    student = other_student(text_models) if mapped else {}
    config = text_config(mine=mined, student=student, export={"format": format}, data={"labels": not mapped})
    run = make(config)
    assert Folder(f"{run}/dataset").exists(MAP) == (mapped and "output" not in mined)
    for url, samples in ((f"{run}/dataset", 12 + AUXILIARY), (f"{run}/round-01/auxiliary", AUXILIARY)):
        verdict = verify(url, teacher=config)
        assert verdict.problems == [] and verdict.relabelled and verdict.relabelled.samples == samples
    assert verify(run, teacher=config).problems == []


def rewrite(url: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the table of a Parquet data set of one shard, with a manifest that has its new hash."""
    data = open_dataset(url)
    (part,) = data.parts
    changed = data.format.write(change(part.table().combine_chunks()), data.rows)
    Folder(url).write(part.path, changed)
    replace_files(url, {part.path: changed})


def replace_files(url: str, files: dict[str, bytes], **details: Any) -> None:
    """Give files of an artifact other bytes, and its manifest their hashes."""
    manifest = read_manifest(url, None)
    entries = [
        entry.model_copy(update={"bytes": len(files[entry.path]), "sha256": sha256(files[entry.path])})
        if entry.path in files
        else entry
        for entry in manifest.files
    ]
    for name, content in files.items():
        Folder(url).write(name, content)
    changed = manifest.model_copy(update={"files": entries, "details": {**manifest.details, **details}})
    Folder(url).write(MANIFEST, pack(Manifest(**changed.model_dump(exclude={"manifest_sha256"}))))


def with_values(table: pa.Table, name: str, change: Callable[[list[Any]], list[Any]]) -> pa.Table:
    field = table.schema.field(name)
    index = table.schema.get_field_index(name)
    return table.set_column(index, field, pa.array(change(table[name].to_pylist()), field.type))


def first_perturbed(table: pa.Table) -> int:
    return table["ids"].is_valid().to_pylist().index(True)


@pytest.mark.parametrize("column", ["delta", "teacher_logits", "ids", "text"])
def test_what_was_changed_is_found_by_its_key(text_config: Any, column: str) -> None:
    config = text_config(export={"format": "parquet"})
    url, keys = f"{make(config)}/dataset", []

    def change(table: pa.Table) -> pa.Table:
        row = first_perturbed(table) if column != "text" else table["ids"].is_null().to_pylist().index(True)
        keys.append(table["key"][row].as_py())

        def one(values: list[Any]) -> list[Any]:
            if column == "delta":
                new = [[np.float16(5) for _ in token] for token in values[row]]
            elif column == "teacher_logits":
                new = [np.float16(values[row][0] + 1), *values[row][1:]]
            elif column == "ids":
                new = [values[row][0], 5 if values[row][1] != 5 else 6, *values[row][2:]]
            else:
                new = f"{values[row]} joy joy joy"
            return [*values[:row], new, *values[row + 1 :]]

        return with_values(table, column, one)

    rewrite(url, change)
    assert verify(url).problems == [], "without the teacher nothing can tell"
    (problem,) = verify(url, teacher=config).problems
    assert problem.key == keys[0] and "the teacher gives" in problem.what


def test_a_token_that_the_teacher_does_not_know_is_a_problem(text_config: Any) -> None:
    config = text_config(export={"format": "parquet"})
    url = f"{make(config)}/dataset"

    def change(table: pa.Table) -> pa.Table:
        row = first_perturbed(table)
        return with_values(table, "ids", lambda ids: [[*x[:-1], 10**6] if i == row else x for i, x in enumerate(ids)])

    rewrite(url, change)
    (problem,) = verify(url, teacher=config).problems
    assert "token id 1000000" in problem.what


@pytest.mark.parametrize(
    ("matrix", "named"),
    [
        (torch.eye(16)[:, :8] * 2, "the teacher gives"),
        (torch.full((16, 8), torch.nan), "must be finite"),
        (torch.zeros(8, 16), "must be finite float32 (16, 8)"),
        (torch.zeros(16, 8, dtype=torch.int32), "must be finite float32"),
    ],
)
def test_another_map_is_found(text_config: Any, text_models: Any, matrix: torch.Tensor, named: str) -> None:
    config = text_config(student=other_student(text_models), export={"format": "parquet"})
    url = f"{make(config)}/dataset"
    replace_files(url, {MAP: save({"Q": matrix.contiguous()})})
    assert any(named in problem.what for problem in verify(url, teacher=config).problems)


def test_a_map_that_is_missing_is_a_problem(text_config: Any, text_models: Any) -> None:
    config = text_config(student=other_student(text_models))
    run = make(config)
    Path(f"{run}/embeddings/manifest.json").unlink()
    (problem,) = verify(f"{run}/round-01/auxiliary", teacher=config).problems
    assert "embeddings has no manifest.json" in problem.what and problem.what.endswith("no logits are compared")
    Path(f"{run}/dataset/{MAP}").unlink()
    problems = verify(f"{run}/dataset", teacher=config).problems
    assert {problem.file for problem in problems} == {MANIFEST, MAP}


def test_mapped_embeddings_need_the_student_that_they_came_from(text_config: Any, text_models: Any) -> None:
    config = text_config(mine={"carry": "embedding"})
    url = f"{make(config)}/dataset"
    other = text_config(mine={"carry": "embedding"}, student={"factory": f"hf:{text_models(seed=2)}"})
    (problem,) = verify(url, teacher=other).problems
    assert "another student" in problem.what
    for student in ({"factory": f"hf:{text_models(seed=2)}"}, {"factory": "nowhere:gone"}):
        offsets = text_config(run={"output": "offsets"})
        assert verify(f"{make(offsets)}/dataset", teacher=text_config(student=student)).ok, "offsets need no student"


def test_a_teacher_that_reads_less_is_another(text_config: Any) -> None:
    url = f"{make(text_config())}/dataset"
    (problem,) = verify(url, teacher=text_config(data={"max_length": 8})).problems
    assert "made with data.max_length = 16, the config has 8" in problem.what
