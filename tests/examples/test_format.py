"""The code in docs/format.md gives the student's logits, and the teacher's as they are stored."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.datasets import Dataset, open_dataset
from pipeline.models import TextModel
from pipeline.stages.cache import cache
from pipeline.stages.export import export
from pipeline.stages.mine import mine
from pipeline.text.sentences import Sentences
from pipeline.work.setup import open_student
from schemas.config import Config

DOCUMENT = Path(__file__).parents[2] / "docs" / "format.md"


@pytest.fixture
def logits_of() -> Callable[..., torch.Tensor]:
    """What the document defines."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    function: Callable[..., torch.Tensor] = names["logits_of"]
    return function


def made(config: Config) -> tuple[Dataset, list[dict[str, Any]], TextModel]:
    """A data set of the config's run, its perturbed rows, and the student."""
    for stage in (cache, mine, export):
        stage(config)
    data = open_dataset(f"{config.output}/dataset")
    rows = [row for part in data.parts for row in part.table().to_pylist() if row["ids"] is not None]
    student = open_student(config, data.rows.kind_, data.rows.shape, data.rows.width, torch.device("cpu"))
    assert isinstance(student, TextModel) and len(rows) == data.details.counts.auxiliary > 0
    return data, rows, student


@pytest.mark.parametrize("delta", ["fp16", "int8"])
@pytest.mark.parametrize("pair", [False, True], ids=["texts", "pairs"])
@pytest.mark.parametrize("same", [True, False], ids=["same embeddings", "other embeddings"])
def test_code_of_the_document(
    logits_of: Callable[..., torch.Tensor],
    text_config: Callable[..., Config],
    text_models: Callable[..., Path],
    delta: str,
    pair: bool,
    same: bool,
) -> None:
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file

    narrower = {"factory": f"hf:{text_models(seed=1, hidden_size=8, num_hidden_layers=1)}", "layers": None}
    config = text_config(
        pair=pair, mine={"delta": delta}, export={"format": "parquet"}, student={} if same else narrower
    )
    data, rows, student = made(config)
    matrix = None if same else load_file(f"{data.url}/embedding-map.safetensors")["Q"]
    teacher = transformers.AutoModelForSequenceClassification.from_pretrained(text_models()).eval()
    stored = {key: one for part in data.parts for key, one in zip(part.rows().keys, part.rows().stored, strict=True)}
    special = {"ids": [2, 3], "segments": [-1, -1], "delta": [], "scale": []}
    assert torch.equal(logits_of(special, teacher), teacher(torch.tensor([[2, 3]])).logits[0])
    moved = 0
    for row in rows:
        with torch.no_grad():
            own = student.eval()(Sentences(data.rows.kind_.stack([stored[row["key"]]])))[0]
            assert torch.allclose(logits_of(row, student.inner), own, atol=1e-5)
            labels = torch.tensor(row["teacher_logits"], dtype=torch.float32)
            assert torch.allclose(logits_of(row, teacher, matrix), labels, atol=2e-3, rtol=1e-3)
            # Without its shifts the row means something else, unless its climb found nothing better than its start.
            still = logits_of({**row, "delta": [[0.0] * len(shift) for shift in row["delta"]]}, teacher, matrix)
            moved += not torch.allclose(still, labels, atol=2e-3, rtol=1e-3)
    assert moved > len(rows) / 2
