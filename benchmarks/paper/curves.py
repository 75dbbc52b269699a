"""The picture of regression.py: teacher and student with and without auxiliary samples, and where these land."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comparison import config_of

if TYPE_CHECKING:
    from paper.search import Runs

SEED = 0
SHOWN = ("plain KD", "bpkd")
PLACES = 201

# In the middle between light and dark, to be seen on pages of both.
INK, TEACHER, STUDENT, MINED = "#7a818c", "#c77700", "#2f81d6", "#c2459b"


def picture(made: Mapping[str, Runs]) -> dict[str, Any]:
    """What `draw` shows, from the finished runs of seed 0, with four digits after the point."""
    return {"picture": {models: {method: _curves(runs, method) for method in SHOWN} for models, runs in made.items()}}


def _curves(runs: Runs, method: str) -> dict[str, Any]:
    """x, and the values of teacher and student there; the data set's samples as (x, teacher's value, round), sorted."""
    import pyarrow.parquet as pq
    import torch

    from pipeline import layout
    from pipeline.models import freeze
    from pipeline.sources import open_samples
    from pipeline.work.setup import open_pair
    from pipeline.work.training import load_trained

    config = config_of(runs.comparison, method, SEED, runs.scale(SEED))
    teacher, student, _ = open_pair(config, open_samples(config), torch.device("cpu"))
    load_trained(layout.student(config.output), student)
    x = torch.linspace(-1, 1, PLACES)[:, None]
    with torch.no_grad():
        values = {"teacher": teacher(x), "student": freeze(student)(x)}
    files = sorted(Path(layout.dataset(config.output)).glob("*.parquet"))
    samples = [sample for file in files for sample in pq.read_table(file).to_pylist()]
    return {
        "x": _rounded(x.flatten().tolist()),
        **{name: _rounded(value.flatten().tolist()) for name, value in values.items()},
        "samples": sorted(
            [*_rounded([sample["tensor"][0], sample["teacher_logits"][0]]), sample["round"] or 0] for sample in samples
        ),
    }


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 4) for value in values]


def draw(report: Mapping[str, Any]) -> bytes:
    """The picture as SVG, the same bytes for the same report (and matplotlib)."""
    import matplotlib
    from matplotlib.figure import Figure

    shown = report["picture"]
    style = {
        **{"svg.hashsalt": "bpkd", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9},
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
        **{"axes.spines.top": False, "axes.spines.right": False, "axes.titlecolor": INK},
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(8, 3 * len(shown)), layout="constrained")
        axes = figure.subplots(len(shown), len(SHOWN), sharex=True, sharey="row", squeeze=False)
        for row, (models, methods) in zip(axes, shown.items(), strict=True):
            for panel, (method, curves) in zip(row, methods.items(), strict=True):
                _panel(panel, f"{method}\n{models}", curves)
        handles, labels = axes[0][-1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        sink = io.BytesIO()
        figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return sink.getvalue()


def _panel(panel: Any, title: str, curves: Mapping[str, Any]) -> None:
    panel.set_title(title)
    panel.set_xticks([-1, -0.5, 0, 0.5, 1])
    low, high = min(curves["teacher"]), max(curves["teacher"])
    panel.set_ylim(low - 0.6 * (high - low), high + 0.6 * (high - low))  # students may leave it
    panel.plot(curves["x"], curves["teacher"], color=TEACHER, label="teacher")
    panel.plot(curves["x"], curves["student"], color=STUDENT, linestyle="--", label="student")
    for label, mined, mark, size in (("sample", False, "o", 6), ("auxiliary sample", True, "*", 7)):
        found = [(x, y) for x, y, round_ in curves["samples"] if bool(round_) == mined]
        if found:
            x, y = zip(*found, strict=True)
            panel.plot(x, y, mark, color=MINED if mined else INK, markersize=size, label=label)
