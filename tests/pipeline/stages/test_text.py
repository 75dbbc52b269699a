"""Text through every stage: labels belong to what is stored, shifts to real tokens, and any student takes sentences."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.datasets import open_dataset
from pipeline.mining.embedding import mean_norm
from pipeline.models import TextModel, pick_device
from pipeline.progress import Silent
from pipeline.sources import open_samples
from pipeline.stages.cache import cache
from pipeline.stages.evaluate import evaluate
from pipeline.stages.export import export
from pipeline.stages.mine import mine
from pipeline.stages.train import train
from pipeline.storage import Folder
from pipeline.text.sentences import Sentences
from pipeline.verify import verify
from pipeline.work.embeddings import open_embeddings
from pipeline.work.setup import open_student, open_teacher
from pipeline.work.training import load_trained
from schemas.config import Config, parse_config
from schemas.errors import UserError

WORDS = "the film is a good bad dull fine story and plot was not very great poor actor scene with no joy".split()  # noqa: SIM905
Configure = Callable[..., Config]


def write_texts(path: Path, count: int, seed: int, *, pair: bool = False, target: bool = False) -> None:
    generator = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for name in ("sentence1", "sentence2") if pair else ("sentence",):
        columns[name] = [
            " ".join(generator.choice(WORDS, generator.integers(1, 12))).capitalize() for _ in range(count)
        ]
    labels = generator.random(count) if target else generator.integers(0, 2, count)
    pq.write_table(pa.table({**columns, "label": labels}), path)


@pytest.fixture
def configure(tmp_path: Path, text_models: Callable[..., Path]) -> Configure:
    """`configure(mine={...})`: 20 sentences, a random BERT of 3 layers, a student of 2 of them, 2 rounds."""
    write_texts(tmp_path / "train.parquet", 20, 0)
    write_texts(tmp_path / "eval.parquet", 10, 1)
    values: dict[str, dict[str, Any]] = {
        "run": {"output": "run", "rounds": 2, "device": "cpu"},
        "data": {
            "kind": "text",
            "train": "train.parquet",
            "eval": "eval.parquet",
            "max_length": 16,
            "shard_size": 8,
        },
        "teacher": {"factory": f"hf:{text_models()}"},
        "student": {"layers": [0, 2]},
        "mine": {
            "output": "embedding",
            "steps": 2,
            "step_size": 0.5,
            "batch_size": 4,
            "neighbours": 5,
            "max_changes": 0.4,
        },
        "export": {"shard_size": 30},
        "train": {"steps": 9, "batch_size": 4, "lr": 1e-3, "checkpoint_every": 2},
    }

    def build(**changes: dict[str, Any]) -> Config:
        merged = {name: {**section, **changes.get(name, {})} for name, section in values.items()}
        merged |= {name: section for name, section in changes.items() if name not in values}
        return parse_config(merged, root=tmp_path)

    return build


def through(config: Config) -> dict[str, float]:
    for stage in (cache, mine, export, train):
        stage(config)
    return evaluate(config)


def models(config: Config, round_: int | None = None) -> tuple[TextModel, TextModel]:
    """Teacher, as it takes the student's shifts, and the student or the opponent of a round."""
    device, samples = pick_device("cpu"), open_samples(config)
    teacher, width = open_teacher(config, samples, device)
    student = open_student(config, samples.kind, samples.shape, width, device)
    assert isinstance(teacher, TextModel) and isinstance(student, TextModel)
    found = open_embeddings(f"{config.output}/embeddings", teacher, student, Silent())
    teacher = teacher.carrying(found.map.matrix, config.mine.carry, student.embeddings)
    if round_ is not None:
        load_trained(f"{config.output}/round-{round_:02d}/opponent", student)
    return teacher.eval(), student.eval()


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
@pytest.mark.parametrize(("output", "delta"), [("embedding", "fp16"), ("embedding", "int8"), ("token", "fp16")])
def test_labels_and_gaps_belong_to_what_is_stored(configure: Configure, output: str, delta: str, format: str) -> None:
    config = configure(mine={"output": output, "delta": delta}, export={"format": format})
    figures = through(config)
    assert set(figures) == {"accuracy", "agreement", "gap", "nll", "ece"}
    assert verify(config.output).problems == []
    data = open_dataset(f"{config.output}/dataset")
    assert (data.details.counts.source, data.details.counts.auxiliary) == (20, 40)
    for part in data.parts:
        table, rows = part.table(), part.rows()
        for round_ in (1, 2):
            teacher, opponent = models(config, round_)
            mined = np.flatnonzero(np.array(table["round"].to_pylist()) == round_)
            with torch.no_grad():
                label = teacher(Sentences(rows.stored[mined]))
                gap = (label - opponent(Sentences(rows.stored[mined]))).square().sum(dim=1)
            assert torch.allclose(label, rows.logits[mined], atol=5e-3)
            assert np.allclose(gap, table["gap_after"].to_numpy()[mined], rtol=1e-3, atol=1e-4)


def test_climbs_grow_the_gap_and_move_real_tokens_by_the_step_size(configure: Configure) -> None:
    config = configure(mine={"steps": 1, "step_size": 0.5, "step_rule": "token"}, run={"rounds": 1})
    cache(config)
    (manifest,) = mine(config)
    gaps = manifest.details["gap"]
    assert gaps["gap_after"]["mean"] > gaps["gap_before"]["mean"]
    export(config)
    stored = np.concatenate([part.rows().stored for part in open_dataset(f"{config.output}/dataset").parts])
    _, student = models(config)
    unit = mean_norm(student.embeddings)
    perturbed = [sentence.perturbed for sentence in stored if sentence.perturbed is not None]
    assert len(perturbed) == 20
    for one in perturbed:
        assert len(one.delta) == one.tokens.real.sum() == len(one.tokens) - 2
        lengths = np.linalg.norm(one.delta, axis=1) / unit
        # A climb that found nothing better stays where it was.
        assert np.allclose(lengths, 0.5, atol=0.01) or np.allclose(lengths, 0)
    assert sum(sentence.texts != ("",) for sentence in stored) == 20


def test_sentences_differ_from_their_parents_in_a_few_words(configure: Configure) -> None:
    config = configure(mine={"output": "token"}, run={"rounds": 1})
    through(config)
    table = pa.concat_tables([part.table() for part in open_dataset(f"{config.output}/dataset").parts]).to_pylist()
    parents = {row["key"]: row["text"] for row in table if row["origin"] == "source"}
    moved = 0
    for row in table:
        if row["origin"] == "auxiliary":
            words, before = row["text"].split(), parents[row["parent_key"]].split()
            changed = sum(new != old for new, old in zip(words, before, strict=True))
            assert changed == row["steps"] <= max(1, 0.4 * len(before))
            assert {word.lower() for word in words} <= set(WORDS)
            assert row["text"][0].isupper()
            moved += changed > 0
            assert (row["gap_after"] > row["gap_before"]) == (changed > 0)
    assert moved > 10


@pytest.mark.parametrize("carry", ["offset", "embedding"])
def test_a_student_with_other_embeddings_is_mapped(configure: Configure, carry: str, text_models: Any) -> None:
    narrow = {"factory": f"hf:{text_models(seed=1, hidden_size=8, num_hidden_layers=1)}", "layers": None}
    config = configure(student=narrow, mine={"carry": carry})
    through(config)
    details = open_dataset(f"{config.output}/dataset").details
    assert details.embeddings is not None
    assert details.embeddings.residual > 0
    assert details.embeddings.student != details.embeddings.teacher
    assert verify(config.output, teacher=config).problems == []
    assert Folder(f"{config.output}/dataset").exists("embedding-map.safetensors")


def test_another_vocabulary_takes_sentences_but_no_shifts(configure: Configure, text_models: Any) -> None:
    other = {"factory": f"hf:{text_models('roberta', words='film story joy')}", "layers": None}
    for output in ("token", "embedding"):
        made = configure(mine={"output": output}, run={"output": output, "rounds": 1})
        for stage in (cache, mine, export):
            stage(made)
        fresh = configure(
            mine={"output": output}, run={"output": f"{output}-fresh"}, student=other, train={"init": "fresh"}
        )
        if output == "token":
            assert train(fresh, dataset=f"{made.output}/dataset").details["steps"] == 9
        else:
            with pytest.raises(UserError, match="other token embeddings"):
                train(fresh, dataset=f"{made.output}/dataset")


def test_models_without_a_shared_vocabulary_do_not_climb(configure: Configure, text_models: Any) -> None:
    config = configure(student={"factory": f"hf:{text_models(words='film story joy')}", "layers": None})
    with pytest.raises(UserError, match="must share the vocabulary: the teacher has"):
        cache(config)
    cache(configure(student=config.student.model_dump(), run={"rounds": 0}))


@pytest.mark.parametrize(("pair", "target"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("output", ["embedding", "token"])
def test_pairs_and_regression(
    configure: Configure, tmp_path: Path, text_models: Any, pair: bool, target: bool, output: str
) -> None:
    for name, count in (("train", 20), ("eval", 10)):
        write_texts(tmp_path / f"{name}.parquet", count, len(name), pair=pair, target=target)
    task = {"task": "regression", "metrics": ["pearson", "spearman"]} if target else {"metrics": ["f1", "matthews"]}
    labels = {"num_labels": 1} if target else {}
    config = configure(data=task, teacher={"factory": f"hf:{text_models(**labels)}"}, mine={"output": output})
    figures = through(config)
    assert verify(config.output).problems == []
    assert set(task["metrics"]) <= set(figures)
    rows = open_dataset(f"{config.output}/dataset").rows
    assert rows.shape[0] == (2 if pair else 1)


def test_frozen_embeddings_stay_as_they_are(configure: Configure) -> None:
    config = configure(mine={"output": "token"})
    _, before = (None, None) if through(config) is None else models(config)
    assert before is not None
    trained = models(config, 2)[1]
    assert torch.equal(trained.embeddings, before.embeddings)
    free = configure(mine={"output": "token"}, run={"output": "free"}, train={"freeze_embeddings": False})
    through(free)
    assert not torch.equal(models(free, 2)[1].embeddings, before.embeddings)


@pytest.mark.slow
def test_an_interrupted_run_of_text_ends_in_the_same_bytes(
    configure: Configure, stopped: Callable[..., bool], files: Callable[[str], dict[str, bytes]]
) -> None:
    for output in ("embedding", "token"):
        whole = configure(mine={"output": output}, run={"output": f"{output}-whole"})
        through(whole)
        broken = configure(mine={"output": output}, run={"output": f"{output}-broken"})
        for stage in (cache, mine, export, train):
            writes = 3
            while stopped(lambda stage=stage, broken=broken: stage(broken), writes):
                writes += 2
        evaluate(broken)
        assert files(broken.output) == files(whole.output)


def test_a_teacher_whose_classifier_is_new_is_warned_of(
    configure: Configure, text_models: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache(configure(run={"output": "own"}))
    assert not caplog.messages
    cache(configure(teacher={"factory": f"hf:{text_models()}", "kwargs": {"num_labels": 3}}, student={"layers": [0]}))
    (message,) = caplog.messages
    assert "its classifier is new (classifier.bias) and knows nothing; fine-tune it" in message


def test_rounding_that_costs_too_much_of_the_gap_is_refused(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(mine={"delta": "int8"})
    cache(config)
    monkeypatch.setattr("pipeline.kinds.deltas.int8._LEVELS", 1)
    with pytest.raises(UserError, match=r'mine.delta = "int8" loses .*% of the gap by rounding, more than 1%'):
        mine(config)


@pytest.mark.parametrize("output", ["embedding", "token"])
def test_workers_and_repeated_climbs_change_no_byte(
    configure: Configure, files: Callable[[str], dict[str, bytes]], output: str
) -> None:
    own = {"output": output, "steps": 1, "climbs": 2, "start": "noise", "start_options": {"std": 0.3}}
    made = []
    for workers in (1, 3):
        config = configure(mine=own, run={"output": f"workers-{workers}", "workers": workers})
        cache(config)
        assert [manifest.samples for manifest in mine(config)] == [40, 40]
        made.append(files(config.output))
    assert made[0] == made[1]


def test_a_restart_takes_other_embeddings(configure: Configure, text_models: Any) -> None:
    config = configure()
    cache(config)
    mine(config)
    other = configure(student={"factory": f"hf:{text_models(seed=1)}", "layers": None})
    with pytest.raises(UserError, match="bpkd mine CONFIG --restart"):
        mine(other)
    assert [manifest.samples for manifest in mine(other, restart=True)] == [20, 20]


def test_a_data_set_says_how_it_was_mined(configure: Configure) -> None:
    config = configure(mine={"carry": "embedding"})
    cache(config)
    mine(config)
    export(configure(mine={"carry": "offset"}))
    details = open_dataset(f"{config.output}/dataset").details
    assert details.embeddings is not None and details.embeddings.carry == "embedding"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_model_that_has_changed_beside_its_weights_is_another(
    configure: Configure, text_models: Any, tmp_path: Path, name: str
) -> None:
    shutil.copytree(text_models(), tmp_path / "teacher")
    config = configure(teacher={"factory": "hf:teacher"}, student={"layers": [0]})
    for stage in (cache, mine, export, train):
        stage(config)
    file = tmp_path / "teacher" / name
    changes = {"config.json": ('"gelu"', '"relu"'), "tokenizer.json": ('"lowercase": true', '"lowercase": false')}
    old, new = changes[name]
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    for stage in (cache, evaluate):
        with pytest.raises(UserError, match=r"sha256"):
            stage(config)


def test_embeddings_that_are_new_are_trained_unless_shifts_need_them(configure: Configure) -> None:
    for output, expected in (("token", False), ("embedding", True)):
        new = {"kwargs": {"pretrained": False}}
        config = configure(mine={"output": output}, student={**new, "layers": [0]}, run={"output": output, "rounds": 1})
        cache(config)
        mine(config)
        assert torch.equal(models(config)[1].embeddings, models(config, 1)[1].embeddings) is expected


def test_metrics_without_labels_are_an_error_and_broken_samples_are_told(configure: Configure, tmp_path: Path) -> None:
    config = configure(run={"rounds": 0})
    for stage in (cache, mine, export, train):
        stage(config)
    said: list[str] = []

    class Told(Silent):
        def say(self, line: str) -> None:
            said.append(line)

    pq.write_table(pa.table({"sentence": ["a film", "", "joy"]}), tmp_path / "eval.parquet")
    with pytest.raises(UserError, match=r"data\.metrics: f1 needs labels, and data.eval has none"):
        evaluate(configure(run={"rounds": 0}, data={"metrics": ["f1"]}))
    assert set(evaluate(config, progress=Told())) == {"agreement", "gap"}
    assert said == ["evaluate: 1 of 3 samples cannot be read and do not count; the first: empty text"]
