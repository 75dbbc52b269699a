"""Tables of answers: what they hold, and that they are read as carefully as any other file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.shards.answers import AnswersFormat
from pipeline.shards.parquet import table_to_parquet
from schemas.errors import UserError


def test_classes_with_how_sure_each_model_is():
    teacher, student = torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 3.0]])
    format_ = AnswersFormat("classification", 2)
    found = format_.read(format_.write(format_.table(["a", "b"], np.array([1, -1]), teacher, student)), 2).to_pydict()
    sure = {name: found.pop(f"{name}_confidence") for name in ("teacher", "student")}
    assert found == {"key": ["a", "b"], "label": [1, None], "teacher": [1, 0], "student": [1, 1], "gap": [1.0, 10.0]}
    assert sure["teacher"] == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))])
    assert sure["student"] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-3))])


def test_numbers():
    teacher, student = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 1.0], [3.0, 2.0]])
    format_ = AnswersFormat("regression", 2)
    table = format_.table(["a", "b"], np.array([[5, 6], [np.nan, 1]], np.float32), teacher, student)
    assert format_.read(format_.write(table), 2).to_pydict() == {
        "key": ["a", "b"],
        "label": [[5, 6], None],
        "teacher": [[1, 2], [3, 4]],
        "student": [[1, 1], [3, 2]],
        "gap": [1, 4],
    }


def test_other_tables_are_refused():
    format_ = AnswersFormat("classification", 2)
    data = format_.write(format_.table(["a"], np.array([1]), torch.zeros(1, 2), torch.zeros(1, 2)))
    with pytest.raises(UserError, match="1 samples, the manifest promises 2"):
        format_.read(data, 2)
    with pytest.raises(UserError, match="column 'label'"):
        AnswersFormat("regression", 2).read(data, 1)
    wide = AnswersFormat("regression", 4).table(
        ["a"], np.zeros((1, 4), np.float32), torch.zeros(1, 4), torch.zeros(1, 4)
    )
    long = wide.set_column(2, "teacher", [[[0.0] * 100_000]]).cast(wide.schema)
    with pytest.raises(UserError, match=r"too many|at most"):
        AnswersFormat("regression", 4).read(table_to_parquet(long), 1)
