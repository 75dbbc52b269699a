"""The configs of GLUE, on small files that have the schema of the hub's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.main import main
from pipeline.metrics import check_metrics
from pipeline.sources import open_samples
from schemas.config import Config, load_config

GLUE = Path(__file__).parents[2] / "examples" / "glue"
ENTAILS = ["entailment", "not_entailment"]

TASKS: dict[str, tuple[tuple[str, ...], list[str] | None, list[str]]] = {
    "cola": (("sentence",), ["unacceptable", "acceptable"], ["matthews"]),
    "sst2": (("sentence",), ["negative", "positive"], []),
    "mrpc": (("sentence1", "sentence2"), ["not_equivalent", "equivalent"], ["f1"]),
    "stsb": (("sentence1", "sentence2"), None, ["pearson", "spearman"]),
    "qqp": (("question1", "question2"), ["not_duplicate", "duplicate"], ["f1"]),
    "mnli": (("premise", "hypothesis"), ["entailment", "neutral", "contradiction"], []),
    "qnli": (("question", "sentence"), ENTAILS, []),
    "rte": (("sentence1", "sentence2"), ENTAILS, []),
}
"""Columns of the texts, classes (None: a number), and GLUE's own figures beside accuracy."""

SENTENCES = ["the film was good", "a bad story", "great plot and actor", "dull scene", "no joy", "very fine"]
NUMBERS = [0.0, 5.0, 2.5, 3.8, 1.2, 4.25]


def hub_table(task: str, labelled: bool = True) -> pa.Table:
    """Six rows as `nyu-mll/glue` has them."""
    texts, classes, _ = TASKS[task]
    columns: dict[str, pa.Array] = {
        name: pa.array([f"{sentence} {name[-1]}" for sentence in SENTENCES]) for name in texts
    }
    label: dict[str, Any] = {"dtype": "float32", "_type": "Value"}
    if classes is None:
        columns["label"] = pa.array(NUMBERS, pa.float32())
    else:
        label = {"names": classes, "_type": "ClassLabel"}
        indices = [row % len(classes) if labelled else -1 for row in range(len(SENTENCES))]
        columns["label"] = pa.array(indices, pa.int64())
    columns["idx"] = pa.array(range(len(SENTENCES)), pa.int32())
    features = {name: {"dtype": "string", "_type": "Value"} for name in texts}
    features |= {"label": label, "idx": {"dtype": "int32", "_type": "Value"}}
    return pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Config]:
    """opened(task, *overrides): the config, with local files in the place of the hub's."""

    def load(task: str, *overrides: str, labelled: bool = True) -> Config:
        for split, known in (("train", True), ("eval", labelled)):
            pq.write_table(hub_table(task, known), tmp_path / f"{split}.parquet")
        files = [f"data.{split}={tmp_path / split}.parquet" for split in ("train", "eval")]
        return load_config(GLUE / f"{task}.toml", [*files, f"run.output={tmp_path / 'run'}", *overrides])

    return load


def test_there_is_one_config_for_every_task() -> None:
    assert {path.stem for path in GLUE.glob("*.toml")} == TASKS.keys()


@pytest.mark.parametrize("task", TASKS)
def test_files_of_the_hub(task: str) -> None:
    config = load_config(GLUE / f"{task}.toml")
    split = "validation_matched" if task == "mnli" else "validation"
    for url, name in ((config.data.train, "train"), (config.data.eval, split)):
        assert url == f"hf://datasets/nyu-mll/glue/{task}/{name}-00000-of-00001.parquet"
    assert (config.teacher.factory, config.student.factory) == (
        "hf:FacebookAI/roberta-large",
        "hf:distilbert/distilroberta-base",
    )
    assert config.locate(str(config.teacher.weights)) == str(GLUE.parents[1] / f"runs/glue/{task}-teacher.safetensors")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("which", ["train", "eval"])
@pytest.mark.parametrize("overrides", [[], ["data.columns={}"]], ids=["columns named", "columns found"])
def test_texts_and_labels(opened: Callable[..., Config], task: str, which: Any, overrides: list[str]) -> None:
    texts, classes, _ = TASKS[task]
    samples = open_samples(opened(task, *overrides), which)
    block = samples.read(samples.chunks[0])
    assert [sentence.texts for sentence in block.stored] == [
        tuple(f"{sentence} {name[-1]}" for name in texts) for sentence in SENTENCES
    ]
    assert block.keys == [f"{which}-{row:08d}" for row in range(len(SENTENCES))]
    assert samples.class_names == classes
    if classes is None:
        assert samples.targets == 1
        assert np.array_equal(block.labels, np.array(NUMBERS, np.float32)[:, None])
    else:
        assert block.labels.tolist() == [row % len(classes) for row in range(len(SENTENCES))]


@pytest.mark.parametrize("task", [task for task, (_, classes, _) in TASKS.items() if classes])
def test_labels_of_the_test_split_are_unknown(opened: Callable[..., Config], task: str) -> None:
    samples = open_samples(opened(task, labelled=False), "eval")
    assert samples.read(samples.chunks[0]).labels.tolist() == [-1] * len(SENTENCES)


@pytest.mark.parametrize("task", TASKS)
def test_figures_are_those_of_glue(task: str) -> None:
    data = load_config(GLUE / f"{task}.toml").data
    assert data.metrics == TASKS[task][2]
    check_metrics(data.task, data.metrics)


@pytest.mark.parametrize(("task", "metric", "takes"), [("stsb", "f1", "pearson, spearman"), ("cola", "pearson", "f1")])
def test_a_metric_of_another_task_is_refused_before_any_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], task: str, metric: str, takes: str
) -> None:
    """The files on the hub are not even looked at."""
    given = ["--set", f'data.metrics=["{metric}"]', "--set", f"run.output={tmp_path / 'run'}"]
    assert main(["run", str(GLUE / f"{task}.toml"), "--direct", "--quiet", *given]) == 2
    assert f"data.metrics: {metric} is for" in (error := capfd.readouterr().err) and f"takes {takes}" in error


def test_the_readme_lists_every_config() -> None:
    rows = re.findall(r"^\| `(\w+)\.toml` \|.*\| (.*) \|$", (GLUE / "README.md").read_text(), re.MULTILINE)
    listed = {task: set(re.findall(r"`(\w+)`", figures)) - {"accuracy"} for task, figures in rows}
    assert listed == {task: set(metrics) for task, (_, _, metrics) in TASKS.items()}


@pytest.mark.parametrize("task", TASKS)
def test_from_end_to_end_with_tiny_models(
    opened: Callable[..., Config],
    text_models: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    task: str,
) -> None:
    """RoBERTas of random weights, the student's embeddings narrower than the teacher's."""
    _, classes, metrics = TASKS[task]
    outputs = len(classes) if classes else 1
    opened(task)
    overrides = {
        "run.output": tmp_path / "run",
        "run.rounds": 1,
        "data.train": tmp_path / "train.parquet",
        "data.eval": tmp_path / "eval.parquet",
        "data.max_length": 16,
        "teacher.factory": f"hf:{text_models('roberta', num_labels=outputs)}",
        "student.factory": f"hf:{text_models('roberta', num_labels=outputs, hidden_size=8, seed=1)}",
        "train.epochs": 2,
        "train.batch_size": 4,
    }
    config = tmp_path / "own.toml"
    lines = (GLUE / f"{task}.toml").read_text().splitlines()
    config.write_text("\n".join(line for line in lines if not line.startswith("weights =")))
    given = [part for key, value in overrides.items() for part in ("--set", f"{key}={value}")]
    assert main(["run", str(config), "--direct", "--quiet", "--json", *given]) == 0
    figures = json.loads(capfd.readouterr().out)["evaluation"]
    assert {*metrics, "gap"} <= figures.keys()
    assert all(np.isfinite(value) for value in figures.values())
