"""Readers for the data that users already have. `schemas.registry.SOURCES` lists the formats."""

from pipeline.sources.base import Chunk
from pipeline.sources.samples import Block, Samples, open_samples

__all__ = ["Block", "Chunk", "Samples", "open_samples"]
