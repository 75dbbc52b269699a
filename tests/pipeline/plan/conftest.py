"""The tiny run of the stages' tests."""

from tests.pipeline.stages.conftest import configure, values

__all__ = ["configure", "values"]
