"""Codecs for stored teacher outputs: logits in, one Arrow column out, and back to what losses take. Without files."""

from pipeline.logits.base import Codec
from pipeline.logits.sparse import Logits, SparseLogits, concatenated, most_likely, spread_out

__all__ = ["Codec", "Logits", "SparseLogits", "concatenated", "most_likely", "spread_out"]
