"""Kinds of samples: how they are decoded, shown to a model and stored. `schemas.registry.KINDS` lists them."""

from pipeline.kinds.base import Arrays, Inputs, Kind, Members, Stored, TensorKind

__all__ = ["Arrays", "Inputs", "Kind", "Members", "Stored", "TensorKind"]
