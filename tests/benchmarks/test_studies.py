"""The studies of benchmarks/studies: what they run, count and choose, and that their scripts work."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

pytestmark = pytest.mark.usefixtures("benchmarks")

NAMES = ("samples", "compression", "climb", "compute", "steps", "search", "robustness")
IMAGES = 48


def study_of(name: str) -> Any:
    if name == "robustness":
        return import_module("studies.robustness").STUDY
    return getattr(import_module("studies.declared"), name.upper())


@pytest.fixture
def call(
    write_splits: Callable[[Path, int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """A function (name, *arguments) that runs the quick form of a study's script and returns its JSON."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # which the teacher's training would set as the number of threads
    write_splits(tmp_path, IMAGES)

    def run(name: str, *arguments: str) -> dict[str, Any]:
        output = tmp_path / "found.json"
        given = ["--data", str(tmp_path), "--quick", "--jobs", "1", "--work", str(tmp_path / "work"), *arguments]
        script: Any = import_module(f"studies.{name}")
        done = CliRunner().invoke(script.main, [*given, "--output", str(output)], catch_exceptions=False)
        assert done.exit_code == 0 and "| accuracy, %;" in done.output
        report: dict[str, Any] = json.loads(output.read_text())
        return report

    return run


@pytest.mark.parametrize("name", NAMES)
def test_every_run_has_a_valid_config(name: str, tmp_path: Path) -> None:
    """And what a point says is what the config has."""
    tools, comparison = import_module("studies.study"), import_module("comparison")
    study, outputs = study_of(name), {}
    scale = comparison.Scale("data", tmp_path, study.steps, study.epochs)
    for cell in tools.cells(study):
        config = comparison.config_of(*cell.task(study, scale))
        assert config.run.seed == cell.seed
        assert config.train.steps == study.points[cell.point].get("train", {"steps": 3000})["steps"]
        assert config.data.eval == ("data/test-*.parquet" if name != "search" else f"{tmp_path}/validation.parquet")
        assert outputs.setdefault(config.output, cell.key) == cell.key  # one folder for each run
    assert len(set(outputs.values())) == len(outputs)


def test_a_run_that_several_studies_want_is_one(tmp_path: Path) -> None:
    tools, comparison = import_module("studies.study"), import_module("comparison")
    found: dict[str, set[str]] = {}
    for name in NAMES:
        study = study_of(name)
        scale = comparison.Scale("data", tmp_path, study.steps, study.epochs)
        for cell in tools.cells(study):
            found.setdefault(comparison.config_of(*cell.task(study, scale)).output, set()).add(name)
    together = [names for names in found.values() if len(names) > 1]
    assert {"samples", "compression", "compute", "steps", "robustness"} in together  # plain KD from 500 images
    assert not any("search" in names for names in together)  # which is measured on other images


def test_students_have_the_weights_that_the_points_say() -> None:
    from pipeline.models import count_parameters
    from pipeline.models.cnn import cnn

    for point, sections in study_of("compression").points.items():
        student = cnn(classes=10, **sections["student"]["kwargs"])
        assert point == f"weights = {count_parameters(student):,}"


def test_methods_of_a_point_store_as_many_samples() -> None:
    """But those without auxiliary samples, and at equal cost, where they ask as much of the teacher instead."""
    tools = import_module("studies.study")
    for name in NAMES[:5]:
        study = study_of(name)
        for point in study.points:
            own = [cell for cell in tools.cells(study) if cell.point == point and cell.sections["run"]["rounds"]]
            stored = {cell.sections["run"]["rounds"] * cell.sections["mine"]["climbs"] for cell in own}
            asked = {tools.teacher_passes(cell.sections, 500) for cell in own}
            assert len(asked if name == "compute" else stored) == 1, point


@pytest.mark.parametrize(
    ("mine", "rounds", "alpha", "passes"),
    [
        ({"steps": 10, "climbs": 1}, 9, 1.0, 500 + 9 * 500 * 21),
        ({"steps": 10, "climbs": 1, "objective": "student"}, 9, 1.0, 500 + 9 * 500),
        ({"steps": 0, "climbs": 5}, 2, 1.0, 500 + 2 * 500 * 5),
        ({}, 0, 1.0, 500),
        ({}, 0, 0.0, 0),
    ],
)
def test_passes_of_the_teacher(mine: dict[str, Any], rounds: int, alpha: float, passes: int) -> None:
    sections = {"mine": mine, "run": {"rounds": rounds}, "train": {"alpha": alpha}}
    assert import_module("studies.study").teacher_passes(sections, 500) == passes


def test_the_best_setting_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools: Any = import_module("studies.methods")
    monkeypatch.setattr(tools, "SEARCHED", tmp_path / "none.json")
    assert tools.methods("bpkd")["bpkd"]["mine"]["step_size"] == 0.2
    agreement = dict.fromkeys(tools.candidates(), 0.5) | {"bpkd, step_size 0.4": 0.6}
    chosen = tools.choose(agreement)
    assert chosen["bpkd"] == "step_size 0.4" and chosen["KD + noise"] == "std 0.3"  # of equals the first
    assert "plain KD" not in chosen
    (tmp_path / "none.json").write_text(json.dumps({"chosen": chosen}))
    assert tools.methods("bpkd")["bpkd"]["mine"] == {"climbs": 1, "step_size": 0.4}
    tried = [len(method.settings) for method in tools.METHODS.values() if len(method.settings) > 1]
    assert len(tried) == 7 and set(tried) == {4}  # the same effort for all


def test_tables_have_means_and_deviations() -> None:
    tables: Any = import_module("studies.tables")
    results = [
        {"point": f"images = {images}", "method": "bpkd", "seed": seed, "accuracy": accuracy, "passes": 1500}
        for images, seed, accuracy in (("100", 0, 0.7), ("100", 1, 0.72), ("5,000", 0, 0.8))
    ]
    results.append({"point": "images = 100", "method": "plain KD", "seed": 0, "accuracy": None, "passes": 100})
    rows = list(tables.rows({"results": results}, "images", "accuracy"))
    assert rows == [["images", "100", "5,000"], ["bpkd", "71.0 ± 1.4", "80.0"], ["plain KD", "", ""]]
    assert list(tables.rows({"results": results}, "images", "passes"))[1] == ["bpkd", "1,500", "1,500"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_goes_through_is_resumed_and_drawn(call: Callable[..., dict[str, Any]]) -> None:
    report = call("climb")
    assert report["command"] == "python benchmarks/studies/climb.py --data DIR" and report["machine"]["torch"]
    found = [(row["point"], row["method"], row["stored"], row["passes"]) for row in report["results"]]
    assert found == [
        ("rounds = 1", "bpkd", 48, 24 + 24 * 5),
        ("rounds = 1", "KD + noise", 48, 48),
        ("objective = student", "bpkd", 48, 48),
    ]
    again = call("climb")
    assert again["results"] == report["results"] and again["seconds"] > report["seconds"] > 0
    pictures: Any = import_module("studies.pictures")
    drawn = pictures.lines_of(report)
    assert drawn == pictures.lines_of(again)
    for words in (b"rounds", b"objective", b"KD + noise", b"accuracy, %"):
        assert words in drawn
    assert b"passes of the teacher" in pictures.lines_of(report, "passes")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_sees_the_validation_split_alone(call: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    report = call("samples", "--search")
    assert report["study"] == "search" and report["command"].endswith("samples.py --data DIR --search")
    assert report["chosen"] == {"KD + noise": "std 0.3", "bpkd from noise": "std 0.1, step_size 0.4"}
    rows, last = pq.read_table(tmp_path / "train-0.parquet"), pq.read_table(tmp_path / "work" / "validation.parquet")
    assert last.equals(rows.slice(IMAGES // 2))
    answers = list((tmp_path / "work" / "runs").glob("*/*/evaluation/shard-*.parquet"))
    assert len(answers) == 2 and {pq.read_table(file).num_rows for file in answers} == {IMAGES // 2}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_robustness_goes_through(call: Callable[..., dict[str, Any]]) -> None:
    report = call("robustness")
    assert {row["method"] for row in report["results"]} == {"plain KD", "bpkd share"}
    points = [row["point"] for row in report["results"] if row["method"] == "plain KD"]
    assert len(points) == 4 * 4 and points[:2] == ["noise, standard deviation = 0", "blur, pixels = 0"]
    clean = {
        row["accuracy"] for row in report["results"] if row["point"].endswith(" = 0") and row["method"] == "plain KD"
    }
    assert len(clean) == 1


def test_corruptions_do_what_they_say() -> None:
    tools: Any = import_module("studies.corruptions")
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(64, 1, 9, 9, generator=generator)
    assert torch.allclose(tools.rotation(images, 0, generator), images, atol=1e-5)
    turned, either = tools.rotation(images, 90, generator), [images.rot90(k, (2, 3)) for k in (1, 3)]
    same = torch.stack([torch.isclose(turned, other, atol=1e-4).flatten(1).all(dim=1) for other in either])
    assert same.any(dim=0).all() and same.any(dim=1).all()
    grey = torch.full((200, 1, 9, 9), 0.5)
    assert torch.allclose(tools.blur(grey, 2.0, generator), grey, atol=1e-6)
    assert tools.blur(images, 1.0, generator).std() < 0.5 * images.std()
    assert (tools.noise(grey, 0.1, generator) - grey).std().item() == pytest.approx(0.1, rel=0.03)


def test_an_attack_uses_its_radius_and_stays_in_the_range() -> None:
    tools: Any = import_module("studies.corruptions")
    student = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)).requires_grad_(False)
    images = 0.25 + torch.rand(32, 1, 4, 4, generator=torch.Generator().manual_seed(0)) / 2
    labels = student(images).argmax(dim=1)
    worse = tools.attacked(student, images, labels, 0.2)
    assert torch.allclose((worse - images).flatten(1).norm(dim=1), torch.full((32,), 0.2), rtol=1e-3)
    loss = [torch.nn.functional.cross_entropy(student(x), labels, reduction="none") for x in (images, worse)]
    assert (loss[1] > loss[0]).all()
    far = tools.attacked(student, images, labels, 5.0)
    assert far.min() >= 0 and far.max() <= 1 and (student(far).argmax(dim=1) != labels).float().mean() > 0.5


def test_every_method_has_a_look_of_its_own() -> None:
    pictures, methods = import_module("studies.pictures"), import_module("studies.methods")
    assert len({tuple(pictures.look(name).values()) for name in methods.METHODS}) == len(methods.METHODS)
