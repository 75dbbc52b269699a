"""benchmarks/paper/ works, chooses on what it says it chooses on, and its tables say what the results say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
Module = Callable[[str], Any]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # which the teacher's training would set as the number of threads
    threads = torch.get_num_threads()
    yield import_module
    torch.set_num_threads(threads)


def quick(module: Module, experiment: Any, data: Path, work: Path, *methods: str) -> dict[str, Any]:
    """The report of a quick form with some of its methods, and its first pair of models."""
    models, comparison = next(iter(experiment.comparisons.items()))
    some = replace(comparison, methods={name: comparison.methods[name] for name in methods})
    command = module("paper.experiment").command(replace(experiment, comparisons={models: some}), "About.")
    output = work / "report.json"
    arguments = ["--data", str(data), "--work", str(work / "runs"), "--quick", "--jobs", "1", "--output", str(output)]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    report: dict[str, Any] = json.loads(output.read_text())
    assert report["seconds"] > 0 and report["machine"]["torch"]
    assert [(result["method"], result["seed"]) for result in report["results"]] == [(name, 0) for name in methods]
    return report


def test_a_curve(module: Module, tmp_path: Path) -> None:
    regression = module("paper.regression")
    report = quick(module, regression.EXPERIMENT, tmp_path, tmp_path, "plain KD", "bpkd")
    ((_, shown),) = report["picture"].items()
    for result in report["results"]:
        curves = shown[result["method"]]
        # The gap is the error to the teacher on an even grid; the picture is of the same student.
        error = np.mean((np.array(curves["teacher"]) - np.array(curves["student"])) ** 2)
        assert result["gap"] == pytest.approx(error, rel=0.02)
        rounds = [round_ for *_, round_ in curves["samples"]]
        known = [round_ for round_ in rounds if round_ == 0]
        assert (len(known), len(rounds)) == (regression.KNOWN, result["stored"])
        assert all(-1 <= x <= 1 for x, *_ in curves["samples"])
    assert [sample for sample in shown["bpkd"]["samples"] if not sample[2]] == shown["plain KD"]["samples"]
    image = (tmp_path / "report.svg").read_bytes()
    assert image == regression.draw(report) and b"auxiliary sample" in image and b"<dc:date>" not in image
    assert [row[0] for row in regression.rows(report)[1:]] == ["plain KD", "bpkd"]


def test_points_are_others_for_every_seed(module: Module, tmp_path: Path) -> None:
    """The teacher's are the same, in another order; a search measures on what no student sees."""
    splits = module("paper.regression").splits

    def points(seed: int, split: str, searching: bool = False) -> list[float]:
        folder = splits("", tmp_path / str(searching), seed, searching)
        return pq.read_table(f"{folder}/{split}-0.parquet")["x"].to_pylist()  # type: ignore[no-any-return]

    first, second = points(0, "train"), points(1, "train")
    assert not set(first[:10]) & set(second[:10]) and sorted(first) == sorted(second)
    assert points(0, "test") == points(1, "test") != points(0, "test", searching=True)
    assert sorted(points(0, "train", True) + points(0, "test", True)) == sorted(first)


def test_digits(module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = module("paper.digits")
    for split in ("train", "test"):
        module("images").write_source(tmp_path / split, 32)
        (tmp_path / split / "00000.parquet").rename(tmp_path / f"{split}-0.parquet")
    monkeypatch.setattr(module("paper.splits"), "QUICK_ROWS", 24)
    report = quick(module, digits.EXPERIMENT, tmp_path, tmp_path, "label-only", "bpkd")
    assert [result["stored"] for result in report["results"]] == [24, 24 * 4]
    (heads, labels, mined) = digits.rows(report)
    assert heads[0] == "method" and (labels[0], mined[0]) == ("label-only", "bpkd")


def test_the_nets_of_digits_are_the_papers(module: Module) -> None:
    from pipeline.models import count_parameters, load_model

    def weights(role: Any) -> int:
        section = module("schemas.sections").ModelConfig(**module("paper.digits").COMPARISON.base[role])
        model = load_model(section, str, role=role, shape=(1, 28, 28), classes=10, seed=0, device="cpu", kind="image")
        return count_parameters(model)

    assert (weights("teacher"), weights("student")) == (636_010, 3_985)


def test_text(module: Module, tmp_path: Path, text_models: Callable[..., Path]) -> None:
    text = module("paper.text")
    sentences = ["the film is good", "a bad story", "great plot and actor", "dull scene", "no joy", "very fine"] * 3
    for split in ("train", "test"):
        table = pa.table({"text": [f"{words} {split}" for words in sentences], "label": [1, 0, 1, 0, 0, 1] * 3})
        pq.write_table(table, tmp_path / f"{split}-0.parquet")
    ((models, comparison),) = text.EXPERIMENT.comparisons.items()
    tiny = {"factory": f"hf:{text_models(num_hidden_layers=6)}"}
    own = replace(comparison, base={**comparison.base, "teacher": tiny})
    experiment = replace(text.EXPERIMENT, comparisons={models: own})
    report = quick(module, experiment, tmp_path, tmp_path, "plain KD", "bpkd")
    assert [result["stored"] for result in report["results"]] == [18, 36]
    assert len(text.rows(report)) == 3


def test_a_search_measures_on_a_part_of_the_training_split(module: Module, tmp_path: Path) -> None:
    pq.write_table(pa.table({"row": range(80)}), tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"row": range(80, 100)}), tmp_path / "test-0.parquet")
    cut = Path(module("paper.splits").cut_splits(str(tmp_path), tmp_path / "work", 0, True))
    train, test = (pq.read_table(cut / f"{split}-0.parquet")["row"].to_pylist() for split in ("train", "test"))
    assert len(test) == 10 and sorted(train + test) == list(range(80))


def test_a_search_keeps_the_best_of_every_stage(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made-up students: the best rate is 0.2, whichever the seed; among those more rounds are better."""
    search, comparison = module("paper.search"), module("comparison")

    def run_all(tasks: list[Any], jobs: int) -> list[Any]:
        results = []
        for made, method, seed, _ in tasks:
            sections = made.methods[method]
            score = -abs(sections["train"]["lr"] - 0.2) + sections["run"]["rounds"] / 100 + seed
            results.append(comparison.Result(method, "continued", seed, score, 0.5, 1, None, -score))
        return results

    monkeypatch.setattr(search, "run_all", run_all)
    monkeypatch.setattr(search, "make_teacher", lambda *given: None)
    methods = {"plain": {"run": {"rounds": 0}}, "mined": {"run": {"rounds": 2}}}
    made = replace(module("paper.digits").COMPARISON, methods=methods)
    runs = search.Runs(made, lambda seed: "validation", tmp_path, quick=False)
    searches = {
        "plain": search.Stages([search.grid({"train.lr": [0.1, 0.2, 0.4]})]),
        "mined": search.Stages([search.grid({"run.rounds": [3, 1]}), search.grid({"train.alpha": [0.5]})], "plain"),
    }
    tried, chosen = search.search(searches, search.Goal("accuracy", max), runs, 1)
    mined = {"run": {"rounds": 3}, "train": {"lr": 0.2, "alpha": 0.5}}
    assert chosen == {"plain": {"run": {"rounds": 0}, "train": {"lr": 0.2}}, "mined": mined}
    assert [len(entry["results"]) for entry in tried] == [3] * 6
    assert search.search(searches, search.Goal("gap", min), runs, 1)[1] == chosen
    report = {"tried": [{"models": "m", **entry} for entry in tried], "chosen": {"m": chosen}}
    bold = [row[1] for row in module("paper.digits").search_rows(report) if "**" in row[2]]
    assert bold == ["rounds 0, lr 0.2", "rounds 3, lr 0.2, alpha 0.5"]


def test_tables_are_of_all_seeds(module: Module) -> None:
    tables, result = module("paper.tables"), module("comparison").Result
    accuracies = {"plain KD": (0.80, 0.90, 0.10), "bpkd": (0.82, 0.93, 0.14)}
    found = [
        {"models": "m", **asdict(result(method, "continued", seed, accuracy, 0.5, 1000, None, 1.0))}
        for method, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    heads, plain, mined = tables.result_rows({"results": found}, (tables.ACCURACY, tables.GAP))
    assert dict(zip(heads, mined, strict=True)) == {
        **{"method": "bpkd", "stored": "1,000", "seeds": "3", "accuracy, %": "63.0 ± 42.8", "gap": "1.00 ± 0.00"},
        **{"accuracy, %: median": "82.0", "lowest to highest": "14.0 to 93.0", "less plain KD, paired": "+3.0 ± 0.6"},
    }
    assert plain[-1] == ""


@pytest.mark.parametrize("name", ["digits", "regression"])
def test_what_is_stored_is_of_the_settings_that_were_chosen(name: str, module: Module) -> None:
    experiment = module(f"paper.{name}").EXPERIMENT
    report, search = (json.loads((RESULTS / f"paper_{name}{which}.json").read_text()) for which in ("", "_search"))
    assert {models: settings["methods"] for models, settings in report["settings"].items()} == search["chosen"]
    assert not set(report["seeds"]) & set(search["seeds"])
    lines, cases = (
        experiment.rows(report)[1:],
        len(experiment.comparisons) * len(search["chosen"][next(iter(search["chosen"]))]),
    )
    assert len(lines) == cases and all("10" in line for line in lines)
    assert len(report["results"]) == 10 * cases
    searched = sum(bool(how.stages) for how in experiment.searches.values()) * len(experiment.comparisons)
    assert sum("**" in row[-1] for row in experiment.search_rows(search)) == searched


def test_the_picture_is_of_the_stored_report(module: Module) -> None:
    report = json.loads((RESULTS / "paper_regression.json").read_text())
    stored = ROOT / "docs" / "assets" / "results" / "paper_regression.svg"
    assert module("paper.regression").draw(report) == stored.read_bytes()
