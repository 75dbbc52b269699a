"""Exported data sets as wholes, wherever they came from. What is in one is data and never names code to run."""

from pipeline.datasets.dataset import Dataset, open_dataset, own_code, rows_spec

__all__ = ["Dataset", "open_dataset", "own_code", "rows_spec"]
