"""What a user gets wrong ends in one line that says what was found and what would be right."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pipeline import layout
from pipeline.stages import cache, evaluate, export, mine, train
from schemas.errors import UserError

CASES = {
    "missing file": ({"data": {"train": "gone.parquet"}}, "gone.parquet"),
    "teacher of other classes": ({"teacher": {"kwargs": {"classes": 4}, "weights": None}}, "4.*3"),
    "student of other size": ({"student": {"kwargs": {"classes": 5}}, "data": {"classes": None}}, "5.*3|3.*5"),
    "factory does not import": ({"student": {"factory": "nowhere.at_all:net", "kwargs": {}}}, "nowhere.at_all"),
    "factory has no such name": ({"student": {"factory": "torch.nn:Nothing", "kwargs": {}}}, "Nothing"),
    "factory is no module": ({"student": {"factory": "builtins:dict", "kwargs": {}}}, "dict"),
    "factory takes other arguments": ({"student": {"kwargs": {"breadth": 3}}}, "breadth"),
    "unknown zoo model": ({"student": {"factory": "zoo:vgg", "kwargs": {}}}, "vgg.*mlp"),
    "missing weights": ({"teacher": {"weights": "gone.safetensors"}}, "gone.safetensors"),
    "mean of other length": ({"teacher": {"mean": [0.5, 0.5, 0.5], "std": [1, 1, 1]}}, "mean"),
    "loss option": ({"train": {"loss": "dkd", "loss_options": {"gamma": 1}}, "run": {"rounds": 0}}, "gamma.*alpha"),
    "start option": ({"mine": {"start": "noise", "start_options": {"sigma": 1}}}, "sigma.*std"),
    "padding of crop": ({"mine": {"start": "crop", "start_options": {"padding": "edge"}}}, "edge.*zero or reflect"),
    "negative crop": ({"mine": {"start": "crop", "start_options": {"pad": -1}}}, "pad = -1.*0 or more"),
    "too wide a reflection": (
        {"mine": {"start": "crop", "start_options": {"pad": 8, "padding": "reflect"}}},
        "8x8.*pad = 7 or less",
    ),
    "a loss of one's own that is none": ({"train": {"loss": "nowhere:Loss"}}, "nowhere"),
    "no such device": ({"run": {"device": "cuda:7"}}, "cuda"),
}


def everything(config):
    cache(config), mine(config), export(config), train(config), evaluate(config)


@pytest.mark.parametrize(("changes", "named"), CASES.values(), ids=CASES)
def test_one_line_that_names_it(configure, changes, named):
    with pytest.raises(UserError, match=named) as caught:
        everything(configure(**changes))
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit(configure, tmp_path):
    torch.save({"stem.weight": torch.zeros(2, 2)}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=r"weights.pt"):
        cache(configure(teacher={"weights": "weights.pt"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"teacher": {"kwargs": {"classes": 4}, "weights": None}},
        {"mine": {"start": "noise", "start_options": {"sigma": 1}}},
    ],
)
def test_a_mistake_that_is_seen_at_once_leaves_nothing_behind(configure, tmp_path, changes):
    with pytest.raises(UserError):
        cache(configure(**changes))
    assert not (tmp_path / "run").exists()


def test_a_mistake_that_is_seen_late_costs_no_finished_shard(configure, tmp_path):
    good = (tmp_path / "train.parquet").read_bytes()
    rewrite(tmp_path / "train.parquet", 39, bytes_=png(np.zeros((9, 9), np.uint8)))
    with pytest.raises(UserError, match=r"sample train-00000039 is 9x9"):
        cache(configure())
    made = sorted(path.name for path in (tmp_path / "run" / "teacher-logits").glob("*.parquet"))
    assert made == ["shard-00000.parquet", "shard-00001.parquet"]
    (tmp_path / "train.parquet").write_bytes(good)
    with pytest.raises(UserError, match=r"of the file train.parquet.*--restart"):
        cache(configure())
    assert cache(configure(), restart=True).samples == 40


def png(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def rewrite(path: Path, row: int, bytes_: bytes) -> None:
    """Replace one image of a Parquet file."""
    table = pq.read_table(path)
    images = table["image"].to_pylist()
    images[row]["bytes"] = bytes_
    pq.write_table(table.set_column(0, "image", pa.array(images, table.schema.field("image").type)), path)


@pytest.mark.parametrize(
    ("stage", "needed"),
    [(mine, "bpkd cache"), (export, "bpkd cache"), (train, "bpkd export"), (evaluate, "bpkd train")],
)
def test_a_missing_input_names_the_command_that_makes_it(configure, stage, needed):
    with pytest.raises(UserError, match=needed):
        stage(configure())


def test_evaluate_without_held_out_data(configure):
    with pytest.raises(UserError, match=r"data.eval"):
        evaluate(configure(data={"eval": None}))


def test_label_training_without_labels(configure):
    config = configure(run={"rounds": 0}, data={"labels": False}, train={"alpha": 0.0})
    cache(config), export(config)
    with pytest.raises(UserError, match=r"train.alpha = 0.*label"):
        train(config)


def test_a_data_set_of_another_task(configure, tmp_path):
    config = configure(run={"rounds": 0})
    cache(config), export(config)
    other = configure(
        run={"output": "other"}, data={"task": "regression", "classes": None}, train={"loss": "mse", "init": "fresh"}
    )
    with pytest.raises(UserError, match=r'set data.task = "classification"'):
        train(other, dataset=layout.dataset(config.output))


def test_a_label_that_the_teacher_does_not_know(configure, tmp_path):
    table = pq.read_table(tmp_path / "train.parquet")
    labels = pa.array([7, *table["label"].to_pylist()[1:]], pa.int64())
    pq.write_table(table.set_column(1, "label", labels), tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"label 7.*3 classes"):
        cache(configure(data={"classes": None}))


def test_a_corrupt_image_costs_that_sample_alone(configure, tmp_path):
    rewrite(tmp_path / "train.parquet", 5, bytes_=png(np.zeros((8, 8), np.uint8))[:40])
    config = configure()
    manifest = cache(config)
    assert (manifest.samples, manifest.failures) == (39, 1)
    recorded = json.loads((tmp_path / "run/teacher-logits/failures.jsonl").read_text())
    assert recorded["key"].endswith("00000005") and recorded["stage"] == "read" and recorded["reason"]
    mine(config)
    assert export(config).samples == 39 * 3
    train(config)


class Fussy(torch.nn.Module):
    """Not finite for inputs whose first pixel is 1 (its output) or near 1 (its gradient)."""

    def __init__(self, where: str = "output") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.where, self.linear = where, torch.nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        corner, out = x[:, 0, 0, :1], self.linear(x.flatten(1))
        if self.where == "output":
            return torch.where(corner == 1, torch.inf, out)
        return out + (1 - corner).sqrt()


def test_outputs_and_gradients_that_are_not_finite_cost_those_samples_alone(configure, tmp_path):
    teacher = {"factory": f"{__file__}:Fussy", "kwargs": {"where": "output"}, "weights": None}
    config = configure(teacher=teacher, run={"rounds": 1})
    manifest = cache(config)
    assert manifest.failures == sum(image_corner(i, tmp_path) == 255 for i in range(40)) > 0
    broken = configure(teacher={**teacher, "kwargs": {"where": "gradient"}}, run={"rounds": 1, "output": "other"})
    assert cache(broken).failures == 0
    (mined,) = mine(broken)
    assert mined.failures == manifest.failures and mined.samples == 40 - mined.failures
    failures = (tmp_path / "other/round-01/auxiliary/failures.jsonl").read_text().splitlines()
    assert all(json.loads(line)["stage"] == "mine" for line in failures)


def image_corner(index: int, folder) -> int:
    image = pq.read_table(folder / "train.parquet")["image"][index].as_py()["bytes"]
    return int(np.asarray(Image.open(io.BytesIO(image)))[0, 0])
