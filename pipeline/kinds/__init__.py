"""Kinds of samples: how they are decoded, shown to a model and stored. `schemas.registry.KINDS` lists them."""

from pipeline.kinds.base import Kind, Members, Stored

__all__ = ["Kind", "Members", "Stored"]
