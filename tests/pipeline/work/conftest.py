"""The tiny run of the stages' tests."""

from tests.pipeline.stages.conftest import configure, files, stopped, values

__all__ = ["configure", "files", "stopped", "values"]
