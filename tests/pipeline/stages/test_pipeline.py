"""The stages one after the other, on real files: what each leaves behind and what it promises."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from pipeline import layout
from pipeline.artifacts.artifact import read_manifest
from pipeline.datasets import open_dataset
from pipeline.models import freeze, load_model
from pipeline.progress import Silent
from pipeline.runs import record_config
from pipeline.sources import open_samples
from pipeline.stages import cache, evaluate, export, mine, train
from pipeline.storage import Folder
from pipeline.verify import verify
from pipeline.work.climbing import Miner
from schemas.config import load_config
from schemas.errors import UserError
from schemas.registry import CODECS, FORMATS, KEEPS, LOSSES, OBJECTIVES, STARTS, STEP_RULES

CPU = torch.device("cpu")


def run(config):
    cache(config)
    mine(config)
    export(config)
    return train(config)


def teacher_of(config):
    model = load_model(
        config.teacher, config.locate, role="teacher", shape=(1, 8, 8), classes=3, seed=config.run.seed, device=CPU
    )
    return freeze(model)


def dataset_table(config) -> pl.DataFrame:
    """The exported data set of a Parquet run."""
    return pl.read_parquet(f"{layout.dataset(config.output)}/*.parquet")


def test_a_run_leaves_the_artifacts_of_the_design(configure, files):
    config = configure()
    run(config)
    figures = evaluate(config)
    assert set(figures) == {"accuracy", "agreement", "gap", "nll", "ece"}
    assert all(0 <= figures[name] <= 1 for name in ("accuracy", "agreement", "ece"))
    found = files(config.output)
    assert {Path(name).parts[0] for name in found} == {
        "teacher-logits", "round-01", "round-02", "dataset", "student", "evaluation"
    }  # fmt: skip
    for name in ("teacher-logits", "round-01/opponent", "round-02/auxiliary", "dataset", "student", "evaluation"):
        manifest = json.loads(found[f"{name}/manifest.json"])
        listed = {f"{name}/{file['path']}" for file in manifest["files"]} | {f"{name}/manifest.json"}
        assert listed == {path for path in found if path.startswith(f"{name}/")}
        assert all(file["bytes"] == len(found[f"{name}/{file['path']}"]) for file in manifest["files"])


def test_a_student_of_samples_that_were_mined_anew_is_not_evaluated(configure):
    run(configure())
    mine(configure(mine={"steps": 1}), restart=True)
    with pytest.raises(UserError, match=r"dataset was made from another round-01/auxiliary .*`bpkd export CONFIG"):
        evaluate(configure(mine={"steps": 1}))
    assert evaluate(configure(), student=layout.student(configure().output), output=f"{configure().output}/other")


def test_an_evaluation_shows_samples_only_of_what_its_student_was_trained_on(configure):
    config = configure()
    run(config)

    def shown(**inputs):
        evaluate(config, restart=True, **inputs)
        return Folder(layout.evaluation(config.output)).exists(layout.GALLERY)

    assert shown()
    export(configure(export={"shard_size": 20}), output=f"{config.output}/other")
    train(config, dataset=f"{config.output}/other", output=f"{config.output}/another")
    assert not shown(student=f"{config.output}/another")
    Folder(layout.dataset(config.output)).remove()
    assert not shown()


def test_an_evaluation_tells_the_mean_gap_as_it_goes(configure):
    gaps = []

    class Told(Silent):
        @contextmanager
        def task(self, title, total, unit="samples"):
            # Other tasks of the stage have no gap to tell.
            yield SimpleNamespace(advance=lambda count, **figures: gaps.extend(figures.values()))

    config = configure(run={"rounds": 0}, train={"steps": 2})
    for stage in (cache, export, train):
        stage(config)
    figures = evaluate(config, progress=Told())
    assert len(gaps) > 1 and gaps[-1] == pytest.approx(figures["gap"], rel=1e-5)


def test_cached_logits_are_the_teachers(configure):
    config = configure(cache={"codec": "fp32"})
    manifest = cache(config)
    assert manifest.samples == 40 and manifest.details["width"] == 3
    table = pl.read_parquet(f"{layout.teacher_logits(config.output)}/*.parquet")
    samples = open_samples(config)
    blocks = [samples.read(chunk) for chunk in samples.chunks]
    stored = np.concatenate([block.stored for block in blocks])
    with torch.inference_mode():
        expected = teacher_of(config)(samples.kind.to_inputs(stored))
    assert table["key"].to_list() == [key for block in blocks for key in block.keys]
    assert np.allclose(table["logits"].to_numpy(), expected.numpy(), atol=1e-6)


def test_teacher_labels_belong_to_the_stored_bytes(configure):
    config = configure(cache={"codec": "fp32"}, export={"format": "parquet", "shard_size": 30})
    cache(config), mine(config), export(config)
    table, kind, teacher = dataset_table(config), open_samples(config).kind, teacher_of(config)
    stored = np.stack([kind.decode(image["bytes"]) for image in table["image"]])
    with torch.inference_mode():
        expected = teacher(kind.to_inputs(stored)).numpy()
    assert np.allclose(table["teacher_logits"].to_numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("codec", [name for name in CODECS.names if name != "fp16"])
@pytest.mark.parametrize("format", FORMATS.names)
def test_every_codec_goes_all_the_way(configure, codec, format):
    options = {"topk": {"k": 2}, "sampled": {"draws": 200}}.get(codec, {})
    config = configure(cache={"codec": codec, "codec_options": options}, export={"format": format, "shard_size": 30})
    trained = run(config)
    assert np.isfinite(trained.details["loss"])
    for url in (layout.dataset(config.output), layout.teacher_logits(config.output)):
        assert not verify(url, teacher=config if "dataset" in url else None).problems
    options = {"topk": {"k": 2, "temperature": 4.0}, "sampled": {"draws": 200, "temperature": 4.0}}.get(codec, {})
    assert open_dataset(layout.dataset(config.output)).rows.codec_options == options
    again = train(config, dataset=layout.dataset(config.output), output=f"{config.output}/again")
    assert again.details["loss"] == trained.details["loss"]


def test_the_data_set_holds_the_source_and_every_round(configure):
    config = configure(export={"format": "parquet", "shard_size": 30})
    cache(config), mine(config)
    manifest = export(config)
    table = dataset_table(config)
    assert table["key"].is_unique().all() and manifest.samples == table.height == 120
    own = table.filter(pl.col("origin") == "source")
    mined = table.filter(pl.col("origin") == "auxiliary")
    assert own.height == 40 and own["label"].null_count() == 0 and own["parent_key"].null_count() == 40
    assert sorted(mined["round"].to_list()) == [1] * 40 + [2] * 40
    assert mined["label"].null_count() == 80 and set(mined["parent_key"]) == set(own["key"])
    assert (mined["gap_after"] > mined["gap_before"]).mean() > 0.9
    assert manifest.details["counts"]["auxiliary"] == 80
    assert [file.samples for file in manifest.files if file.samples] == [30] * 4
    assert table["key"].to_list() != sorted(table["key"].to_list()), "shuffled"


def test_shard_size_in_bytes_bounds_the_files(configure):
    config = configure(export={"format": "parquet", "shard_size": "8KB"})
    cache(config), mine(config)
    manifest = export(config)
    assert len(manifest.files) > 1 and max(file.bytes for file in manifest.files) < 16_000


def test_auxiliary_samples_alone(configure):
    config = configure(export={"format": "parquet", "include_source": False})
    cache(config), mine(config), export(config)
    assert set(dataset_table(config)["origin"]) == {"auxiliary"}


@pytest.mark.parametrize("format", FORMATS.names)
def test_both_formats_train_the_same_student(configure, files, format):
    config = configure(export={"format": format, "shard_size": 50})
    run(config)
    weights = files(layout.student(config.output))["model.safetensors"]
    other = configure(run={"output": "other"}, export={"format": "parquet", "shard_size": 50})
    run(other)
    assert weights == files(layout.student(other.output))["model.safetensors"]


@pytest.mark.parametrize("section", ["teacher-logits", "round-01/auxiliary", "round-02/opponent", "dataset", "student"])
def test_stages_run_again_change_nothing(configure, files, section):
    config = configure()
    run(config)
    before = files(f"{config.output}/{section}")
    run(config)
    assert files(f"{config.output}/{section}") == before


def test_the_same_config_gives_the_same_bytes_and_another_seed_does_not(configure, files):
    first, again, other = (
        configure(run={"output": f"out{i}", "rounds": 1, "seed": s}) for i, s in enumerate((7, 7, 8))
    )
    for config in (first, again, other):
        run(config)
    same, twin, different = (files(config.output) for config in (first, again, other))
    assert same == twin
    assert same["student/model.safetensors"] != different["student/model.safetensors"]


def test_no_rounds_is_plain_distillation(configure):
    config = configure(run={"rounds": 0})
    cache(config)
    assert mine(config) == []
    assert export(config).samples == 40
    assert train(config).details["steps"] == 12


def test_the_budget_is_shared_by_opponents_and_the_final_training(configure):
    config = configure(train={"steps": 13})
    final = run(config)
    segments = [read_manifest(layout.opponent(config.output, r), "mine").details["steps"] for r in (1, 2)]
    assert [*segments, final.details["steps"]] == [4, 5, 4]
    fresh = configure(run={"output": "fresh"}, train={"steps": 13, "init": "fresh"})
    assert run(fresh).details["steps"] == 13


def test_a_data_set_trains_elsewhere_without_teacher_source_or_opponent(configure, tmp_path):
    config = configure()
    cache(config), mine(config), export(config)
    (tmp_path / "elsewhere").symlink_to(layout.dataset(config.output))
    (tmp_path / "train.parquet").unlink()
    alone = configure(
        run={"output": "alone"}, teacher={"factory": "nowhere:gone", "kwargs": {}}, train={"init": "fresh", "steps": 5}
    )
    assert train(alone, dataset=str(tmp_path / "elsewhere")).details["steps"] == 5
    continued = configure(run={"output": "alone"})
    with pytest.raises(UserError, match=r'set train.init = "fresh"'):
        train(continued, dataset=str(tmp_path / "elsewhere"), restart=True)


@pytest.mark.parametrize("rule", [name for name in STEP_RULES.names if name not in ("sentence", "token")])
@pytest.mark.parametrize("start", STARTS.names)
def test_every_step_rule_from_every_start(configure, rule, start):
    config = configure(run={"rounds": 1}, mine={"step_rule": rule, "start": start, "step_size": 0.05})
    cache(config)
    assert mine(config)[0].samples == 40


def test_fresh_opponents_are_other_students_trained_as_if_alone(configure, files):
    config = configure(run={"rounds": 2}, mine={"opponent": "fresh"}, train={"steps": 60})
    run(config)
    first, second = (load_file(f"{layout.opponent(config.output, round_)}/model.safetensors") for round_ in (1, 2))
    assert not any(torch.equal(first[name], second[name]) for name in first if name.endswith("weight"))
    rates = [pl.read_parquet(f"{layout.opponent(config.output, round_)}/metrics.parquet")["lr"] for round_ in (1, 2)]
    assert all(rate[-1] < config.train.lr / 10 for rate in rates)  # each at the end of a schedule of its own
    made = files(layout.dataset(config.output))
    Folder(layout.opponent(config.output, 2)).remove()
    Folder(layout.auxiliary(config.output, 2)).remove()
    mine(config), export(config, restart=True)
    assert files(layout.dataset(config.output)) == made


@pytest.mark.parametrize("objective", OBJECTIVES.names)
@pytest.mark.parametrize("keep", KEEPS.names)
def test_every_objective_with_every_keep_rule(configure, objective, keep):
    config = configure(run={"rounds": 1}, mine={"objective": objective, "keep": keep, "keep_fraction": 0.25})
    cache(config)
    (manifest,) = mine(config)
    assert manifest.samples + manifest.details["dropped"] == 40
    assert manifest.samples == {"all": 40, "top": 10}.get(keep, manifest.samples)


@pytest.mark.parametrize("loss", LOSSES.names)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_every_loss_trains(configure, loss, optimizer):
    config = configure(run={"rounds": 0}, train={"loss": loss, "optimizer": optimizer, "steps": 60, "lr": 0.003})
    cache(config), export(config), train(config)
    metrics = pl.read_parquet(f"{layout.student(config.output)}/metrics.parquet")
    assert metrics["loss"].tail(1).item() < metrics["loss"].head(1).item()


def test_several_climbs_per_sample_differ(configure):
    config = configure(run={"rounds": 1}, mine={"climbs": 2, "start": "noise", "start_options": {"std": 0.1}})
    cache(config)
    (manifest,) = mine(config)
    table = pl.read_parquet(f"{layout.auxiliary(config.output, 1)}/*.parquet")
    assert manifest.samples == 80 and table["key"].is_unique().all()
    assert table["image"].struct.field("bytes").n_unique() == 80


def test_a_ball_keeps_climbs_near_their_parents(configure):
    config = configure(
        run={"rounds": 1}, mine={"ball": "linf", "radius": 0.1, "steps": 5}, export={"format": "parquet"}
    )
    cache(config), mine(config), export(config)
    table, kind = dataset_table(config), open_samples(config).kind
    pixels = {
        key: kind.decode(image["bytes"]).astype(int) for key, image in zip(table["key"], table["image"], strict=True)
    }
    mined = table.filter(pl.col("origin") == "auxiliary")
    distances = [abs(pixels[k] - pixels[p]).max() for k, p in zip(mined["key"], mined["parent_key"], strict=True)]
    assert 0 < max(distances) <= round(0.1 * 255)


def test_models_are_only_looked_at(configure, monkeypatch):
    seen = []

    def remembering(self, parents, shard):
        models = (self.teacher, self.opponent)
        before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
        result = miner(self, parents, shard)
        seen.append(
            all(
                torch.equal(was[n], v) for was, m in zip(before, models, strict=True) for n, v in m.state_dict().items()
            )
        )
        assert not any(m.training or any(p.requires_grad for p in m.parameters()) for m in models)
        return result

    miner = Miner.mine
    monkeypatch.setattr(Miner, "mine", remembering)
    config = configure()
    cache(config), mine(config)
    assert seen == [True] * 6


def test_layers_that_the_student_has_frozen_stay_so(configure, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 3))\n"
        "    model[1].requires_grad_(False)\n"
        "    return model\n"
    )
    config = configure(student={"factory": "net.py:net", "kwargs": {}})
    run(config)
    frozen, trained = (
        [load_file(f"{url}/model.safetensors")[f"{layer}.weight"] for url in opponents_and_student(config)]
        for layer in (1, 2)
    )
    assert all(torch.equal(frozen[0], other) for other in frozen)
    assert not any(torch.equal(trained[0], other) for other in trained[1:])


def opponents_and_student(config):
    return [layout.opponent(config.output, 1), layout.opponent(config.output, 2), layout.student(config.output)]


def test_a_data_set_is_a_source_again(configure, tmp_path):
    config = configure(export={"format": "parquet", "shard_size": 60})
    run(config)
    again = configure(run={"output": "again"}, data={"train": "run/dataset/*.parquet", "labels": False})
    run(again)
    assert read_manifest(layout.dataset(again.output), "export").samples == 360


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("format", FORMATS.names)
def test_vectors_from_end_to_end(configure, tmp_path, task, format):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 5)).astype(np.float32)
    y = x[:, :2] if task == "regression" else (x[:, 0] > 0).astype(np.int64)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    classes = None if task == "regression" else 2
    net = {"factory": "zoo:mlp", "kwargs": {"hidden": [8]}, "weights": None}
    config = configure(
        data={"kind": "array", "task": task, "train": "data.npz", "eval": "data.npz", "classes": classes},
        teacher=net,
        student=net,
        export={"format": format},
    )  # fmt: skip
    run(config)
    figures = evaluate(config)
    assert set(figures) >= ({"mse", "mae", "r2", "gap"} if task == "regression" else {"accuracy", "agreement"})
    mined = pl.read_parquet(f"{layout.auxiliary(config.output, 1)}/*.parquet")["tensor"].to_numpy()
    assert (mined >= x.min(axis=0)).all() and (mined <= x.max(axis=0)).all() and not np.allclose(mined, x)


def test_half_precision_climbs_nearly_as_well(configure):
    full, half = configure(), configure(run={"precision": "bf16", "output": "half"})
    gaps = []
    for config in (full, half):
        cache(config)
        gaps.append(mine(config)[0].details["gap"]["gap_after"]["mean"])
    assert gaps[0] != gaps[1] == pytest.approx(gaps[0], rel=0.1)


@pytest.mark.parametrize("rounds", [0, 2])
def test_a_budget_in_epochs(configure, rounds):
    config = configure(run={"rounds": rounds}, train={"steps": None, "epochs": 6})
    final = run(config)
    batches = 5 if rounds == 0 else 80 // 4
    assert final.details["steps"] == round(6 / (rounds + 1) * batches)


def test_the_recorded_config_makes_the_same_run(configure, tmp_path, files):
    (tmp_path / "net.py").write_text("from pipeline.models.cnn import cnn as net\n")
    config = configure(
        run={"rounds": 1}, student={"factory": "net.py:net", "kwargs": {"classes": 3, "width": 4, "depth": 1}}
    )
    run(config)
    record_config(config)
    again = load_config(tmp_path / "run/config.toml")
    assert again.model_dump(include={"mine", "train", "export"}) == config.model_dump(
        include={"mine", "train", "export"}
    )
    before = files(config.output)
    run(again)
    assert files(again.output) == before
