"""Codecs for stored teacher outputs: logits in, one Arrow column out, and back. Knows nothing of files."""

from pipeline.logits.base import Codec

__all__ = ["Codec"]
