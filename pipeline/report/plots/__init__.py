"""The plots of a report."""

from __future__ import annotations

from pipeline.report.figures import Figures
from pipeline.report.plots import history, student
from pipeline.report.plots.options import Plot

__all__ = ["Plot", "plots"]


def plots(figures: Figures) -> dict[str, Plot]:
    """All plots for which there is something to show, by their id."""
    evaluation = figures.evaluation
    baseline = figures.baseline.name if figures.baseline else None
    found = [history.losses(figures.curves), history.gaps(figures.gaps)]
    found += [history.times(figures.costs), history.sizes(figures.costs)]
    if evaluation:
        found += [student.headline(evaluation.measures, baseline), student.classes(evaluation, baseline)]
        found += [student.calibration(evaluation), student.answers(evaluation)]
    return {plot.id: plot for plot in found if plot is not None}
