"""Figures of evaluate: the usual ones of a task, and those of `schemas.registry.METRICS` that a config asks for."""

from pipeline.metrics.meters import Meter, check_metrics, make_meter

__all__ = ["Meter", "check_metrics", "make_meter"]
