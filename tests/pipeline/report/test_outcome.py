"""What the answers add up to, against the figures that evaluate computed from the outputs themselves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.directory import open_run
from pipeline.report.answers import Answers, open_answers
from pipeline.report.figures import Evaluation
from pipeline.report.outcome import evaluate
from pipeline.stages import evaluate as evaluate_stage
from schemas.config import Config
from schemas.errors import UserError


def answers(run: Path | str) -> Answers:
    found = open_answers(open_run(str(run)))
    assert found is not None
    return found


def values(found: Evaluation) -> dict[str, float]:
    return {measure.name: measure.own.value for measure in found.measures}


def frame(run: Path | str) -> pl.DataFrame:
    return pl.read_parquet(f"{run}/evaluation/shard-*.parquet")


def test_figures_are_those_of_evaluate(run: Path) -> None:
    found, printed = evaluate(answers(run), None), json.loads((run / "evaluation/metrics.json").read_bytes())
    assert values(found) == pytest.approx({name: printed[name] for name in ("accuracy", "agreement")}, abs=1e-6)
    assert found.ece == pytest.approx(printed["ece"], abs=1e-6)
    assert {name: own for name, (own, _) in found.others.items()} == {
        name: printed[name] for name in ("gap", "nll", "ece")
    }
    assert found.samples == sum(bin_.samples for bin_ in found.bins) == sum(of.samples for of in found.classes) == 24
    right = sum(of.own.value * of.samples for of in found.classes)
    assert right / 24 == pytest.approx(printed["accuracy"], abs=1e-6)


def test_a_baseline_is_compared_sample_by_sample(run: Path, plain: Path) -> None:
    found = evaluate(answers(run), answers(plain))
    both = frame(run).join(frame(plain), on="key", suffix="_plain", validate="1:1")
    right, also = both["student"] == both["label"], both["student_plain"] == both["label"]
    (accuracy,) = [measure for measure in found.measures if measure.name == "accuracy"]
    assert accuracy.baseline is not None and accuracy.difference is not None
    assert accuracy.baseline.value == pytest.approx(also.mean())
    assert accuracy.difference.value == pytest.approx(accuracy.own.value - accuracy.baseline.value)
    gained, lost = int((right & ~also).sum()), int((~right & also).sum())
    assert accuracy.difference.value * 24 == pytest.approx(gained - lost)
    assert accuracy.difference.low < accuracy.difference.value < accuracy.difference.high
    changes = sum((of.difference.value if of.difference else 9) * of.samples for of in found.classes)
    assert changes == pytest.approx(gained - lost)


def test_a_run_is_as_good_as_itself_however_its_answers_are_cut(
    image_config: Callable[..., Config], run: Path, tmp_path: Path
) -> None:
    other = image_config(data={"shard_size": 5})
    evaluate_stage(other, student=f"{run}/student", output=f"{tmp_path}/other/evaluation")
    (tmp_path / "other/config.toml").write_bytes((run / "config.toml").read_bytes())
    cut = answers(tmp_path / "other")
    assert len(list(cut.tables())) == 5 and len(list(answers(run).tables())) == 2
    cut.manifest.fingerprint["eval"] = answers(run).manifest.fingerprint["eval"]
    for measure in evaluate(answers(run), cut).measures:
        assert measure.difference is not None
        assert measure.difference.value == 0 and not measure.difference.certain


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"eval": {}}, "on other samples"), ({"teacher": {}}, "against another teacher")],
)
def test_what_cannot_be_compared_is_refused(run: Path, plain: Path, changed: dict[str, Any], said: str) -> None:
    other = answers(plain)
    other.manifest.fingerprint.update(changed)
    with pytest.raises(UserError, match=said):
        evaluate(answers(run), other)


def test_without_labels_the_teacher_is_what_counts(
    image_config: Callable[..., Config], run: Path, tmp_path: Path
) -> None:
    held_out = pq.read_table(image_config().locate("eval.parquet")).drop_columns(["label"])
    pq.write_table(held_out, tmp_path / "unlabelled.parquet")
    config = image_config(data={"eval": f"{tmp_path}/unlabelled.parquet"})
    evaluate_stage(config, student=f"{run}/student", output=f"{tmp_path}/other/evaluation")
    (tmp_path / "other/config.toml").write_bytes((run / "config.toml").read_bytes())
    found = evaluate(answers(tmp_path / "other"), None)
    assert not found.labelled and set(values(found)) == {"agreement"} and sum(of.samples for of in found.classes) == 24
    assert values(found)["agreement"] == pytest.approx(values(evaluate(answers(run), None))["agreement"])


def test_numbers_have_errors_and_no_classes(number_run: str) -> None:
    found, printed = (
        evaluate(answers(number_run), None),
        json.loads(Path(number_run, "evaluation/metrics.json").read_bytes()),
    )
    assert values(found) == pytest.approx({"mse": printed["mse"], "gap": printed["gap"]}, rel=1e-5)
    assert [measure.samples for measure in found.measures] == [19, 20]  # one has no label
    assert set(found.others) == {"mae", "r2"} and not found.classes and not found.bins
    known = frame(number_run).drop_nulls("label")
    assert found.points == [(row[0], got[0]) for row, got in known.select("label", "student").iter_rows()]


def test_answers_that_are_no_numbers_are_in_no_bin(run: Path) -> None:
    found = answers(run)
    tables = list(found.tables())
    place = tables[0].schema.get_field_index("student_confidence")
    tables[0] = tables[0].set_column(place, "student_confidence", pa.array([math.nan] * len(tables[0]), pa.float32()))
    object.__setattr__(found, "tables", lambda: iter(tables))
    figures = evaluate(found, None)
    assert figures.no_numbers == len(tables[0])
    assert sum(bin_.samples for bin_ in figures.bins) == 24 - len(tables[0]) and math.isfinite(figures.ece or math.nan)


def test_numbers_are_compared_too(number_run: str) -> None:
    for measure in evaluate(answers(number_run), answers(number_run)).measures:
        assert measure.difference is not None
        assert (measure.difference.value, measure.difference.low, measure.difference.high) == (0, 0, 0)


def test_an_evaluation_of_before_says_how_to_make_it_anew(run: Path) -> None:
    found = answers(run)
    found.manifest.details.clear()
    with pytest.raises(UserError, match="bpkd evaluate CONFIG --restart"):
        evaluate(found, None)
