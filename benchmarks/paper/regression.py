"""A curve: students that see ten points of a function, and a teacher that knows it all.

    python benchmarks/paper/regression.py --search    # chooses the settings
    python benchmarks/paper/regression.py

The paper (arXiv 2301.12006) shows its method on a function of one number; so does this. A teacher learns 1,000 noisy
values of a function; a student with fewer weights sees ten of these points, others for every seed. Twice: teacher and
student are polynomials, and they are small networks. What counts is the mean squared error against the teacher on an
even grid, that is, the gap. The last method is no competitor: plain KD that sees all 1,000 points.
Writes docs/assets/results/paper_regression.svg too: the curves of seed 0 without and with auxiliary samples.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import numpy.typing as npt
from comparison import Comparison

from paper.curves import draw, picture
from paper.experiment import Experiment, command
from paper.search import Goal, Stages, grid
from paper.splits import VALIDATION
from paper.tables import Figure, Rows, result_rows, tried_rows

POINTS, KNOWN, GRID = 1000, 10, 1001
NOISE = 0.1
"""Standard deviation of the labels; the function runs from -1.1 to 1.2."""

POLYNOMIALS = Comparison(
    name="polynomials",
    base={
        "data": {"kind": "array", "task": "regression", "limit": KNOWN, "columns": {"features": ["x"], "label": "y"}},
        "teacher": {"factory": "paper.models:Polynomial", "kwargs": {"degree": 20}},
        "student": {"factory": "paper.models:Polynomial", "kwargs": {"degree": 10}},
        "cache": {"codec": "fp32"},
        "export": {"format": "parquet"},
        # Known beforehand, as that of images is: the ten points themselves need not reach its ends.
        "mine": {"bounds": [-1.0, 1.0]},
        "train": {"alpha": 1.0, "batch_size": 32},
    },
    methods={
        "label-only": {"run": {"rounds": 0}, "train": {"alpha": 0.0}},
        "plain KD": {"run": {"rounds": 0}},
        "KD + noise": {"run": {"rounds": 5}, "mine": {"start": "noise", "steps": 0}},
        "bpkd": {"run": {"rounds": 5}, "mine": {"steps": 10}},
        f"plain KD, {POINTS:,} points": {"run": {"rounds": 0}, "data": {"limit": POINTS}},
    },
    fresh={},
    teaching={"lr": 2e-2, "batch_size": 64},
    steps=1500,
    seeds=10,
    epochs=150,
    teacher_threads=1,
)
NETWORKS = replace(
    POLYNOMIALS,
    name="networks",
    base=POLYNOMIALS.base
    | {
        "teacher": {"factory": "paper.models:network", "kwargs": {"hidden": [64, 64]}},
        "student": {"factory": "paper.models:network", "kwargs": {"hidden": [8]}},
    },
)

RATES = grid({"train.lr": [3e-3, 1e-2, 3e-2]})
STD = grid({"mine.start_options": [{"std": std} for std in (0.05, 0.1, 0.2, 0.4)]})
STEP_SIZE = grid({"mine.step_size": [0.01, 0.02, 0.04, 0.08]})
GAP = Figure("gap", "error to the teacher", 1.0, 4)
ERROR = Figure("mse", "error to the function", 1.0, 4)


def function(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What the teacher learns: waves that get narrower to the right; float64 of any shape."""
    return np.sin(2.5 * (x + 1.6) ** 2) + 0.3 * x


def splits(data: str, work: Path, seed: int, searching: bool) -> str:
    """The 1,000 points in a random order of the seed, so that a limit takes others for each, and the even grid.

    A search measures on points that no student sees instead.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = work / f"points-{seed}"
    if not folder.exists():
        drawn = np.random.default_rng(0)
        x = drawn.uniform(-1, 1, POINTS)
        y = function(x) + NOISE * drawn.standard_normal(POINTS)
        order = np.random.default_rng(seed).permutation(POINTS)
        cut = round(POINTS * VALIDATION) if searching else 0
        even = np.linspace(-1, 1, GRID)
        parts = {
            "train": (x[order[cut:]], y[order[cut:]]),
            "test": (x[order[:cut]], y[order[:cut]]) if searching else (even, function(even)),
        }
        folder.mkdir(parents=True)
        for split, (inputs, targets) in parts.items():
            pq.write_table(pa.table({"x": inputs, "y": targets}), folder / f"{split}-0.parquet")
    return str(folder)


def rows(report: Mapping[str, Any]) -> Rows:
    """Heads, and a row for each models and method: mean squared errors on the grid, over the seeds."""
    return result_rows(report, (GAP, ERROR))


def search_rows(report: Mapping[str, Any]) -> Rows:
    """Heads, and a row for each setting that was tried on points that no student saw."""
    return tried_rows(report, GAP)


EXPERIMENT = Experiment(
    script="regression",
    comparisons={
        "polynomials of degree 20 and 10": POLYNOMIALS,
        "networks 1-64-64-1 and 1-8-1": NETWORKS,
    },
    searches={
        "label-only": Stages([RATES]),
        "plain KD": Stages([RATES]),
        "KD + noise": Stages([STD], begin="plain KD"),
        "bpkd": Stages([STEP_SIZE], begin="plain KD"),
        f"plain KD, {POINTS:,} points": Stages([], begin="plain KD"),
    },
    goal=Goal("gap", min),
    rows=rows,
    search_rows=search_rows,
    splits=splits,
    makes_data=True,
    extra=picture,
    draw=draw,
)

if __name__ == "__main__":
    command(EXPERIMENT, __doc__ or "")()
