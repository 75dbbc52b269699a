"""Codecs of perturbations: shifts of token embeddings as few bytes. `schemas.registry.DELTAS` lists them."""

from pipeline.kinds.deltas.base import DeltaCodec, Field

__all__ = ["DeltaCodec", "Field"]
