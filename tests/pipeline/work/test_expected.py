"""A worker tells its inputs from those of the run, and says which are others, without reading the source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.models import pick_device
from pipeline.sources import open_samples
from pipeline.work.expected import expect
from pipeline.work.setup import identify_model, open_pair
from schemas.config import parse_config
from schemas.errors import UserError

MODEL = """
import torch


class Net(torch.nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs) * {factor}
"""


def write(root: Path, files: dict[str, int], factor: int = 1, weight: float = 0.5, dtype: str = "float32") -> None:
    """A source with so many rows in each file, and a teacher."""
    (root / "data").mkdir(exist_ok=True)
    for old in (root / "data").iterdir():
        old.unlink()
    for name, rows in files.items():
        np.savez(root / "data" / name, x=np.zeros((rows, 4), dtype), y=np.zeros(rows, np.int64))
    code = (
        MODEL.format(factor=factor) + f"\n    def reset_parameters(self):\n        self.weight.data.fill_({weight})\n"
    )
    (root / "net.py").write_text(code)


def inputs(root: Path):
    config = parse_config(
        {
            "run": {"output": "run", "rounds": 0, "device": "cpu"},
            "data": {"kind": "array", "train": "data", "classes": 2, "shard_size": 8},
            "teacher": {"factory": "net.py:Net", "kwargs": {"in_features": 4, "out_features": 2, "bias": False}},
            "student": {"factory": "zoo:mlp"},
        },
        root=root,
    )
    samples = open_samples(config)
    return samples, open_pair(config, samples, pick_device("cpu"))[0]


HERE = {"files": {"a.npz": 8, "b.npz": 8}}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"files": {"a.npz": 8}}, "a worker finds 8 samples in 1 shards where the run has 16 in 2; data.train"),
        ({"files": {"a.npz": 8, "c.npz": 8}}, "as many samples as the run, but in files with other names or sizes"),
        ({**HERE, "dtype": "float64"}, "as many samples as the run, but in files with other names or sizes"),
        ({**HERE, "factor": 2}, "a worker builds another teacher than the run"),
        ({**HERE, "factor": 1, "weight": 0.25}, "a worker builds another teacher than the run"),
        (HERE, None),
    ],
)
def test_other_inputs_are_refused(tmp_path, there, said):
    write(tmp_path, **HERE)
    samples, teacher = inputs(tmp_path)
    expected = expect(samples, teacher=identify_model(samples.config, "teacher", teacher))
    write(tmp_path, **there)
    found, other = inputs(tmp_path)
    if said is None:
        expected.require(found, teacher=other)
        return
    with pytest.raises(UserError, match=said):
        expected.require(found, teacher=other)


def test_other_weights_are_refused(tmp_path):
    write(tmp_path, **HERE)
    samples, teacher = inputs(tmp_path)
    expected = expect(samples, teacher=identify_model(samples.config, "teacher", teacher))
    next(teacher.parameters()).data.fill_(0.1)
    with pytest.raises(UserError, match="a worker's teacher has other weights than the run's"):
        expected.require(samples, teacher=teacher)
