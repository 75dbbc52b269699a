"""The stages: cache, mine, export, train, evaluate. Each is one plain function that can run alone and again."""

from pipeline.stages.cache import cache
from pipeline.stages.evaluate import evaluate
from pipeline.stages.export import export
from pipeline.stages.mine import mine
from pipeline.stages.train import train

__all__ = ["cache", "evaluate", "export", "mine", "train"]
