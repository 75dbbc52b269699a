"""Is every byte and every sample of an artifact as its manifest promises? Streams: one shard is in memory at a time."""

from pipeline.verify.check import verify
from pipeline.verify.verdict import Problem, Verdict

__all__ = ["Problem", "Verdict", "verify"]
