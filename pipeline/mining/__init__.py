"""The max step of the min-max game: climbs in input space. Knows nothing of files."""

from pipeline.mining.ascent import Climb, ascend
from pipeline.mining.bounds import Bounds

__all__ = ["Bounds", "Climb", "ascend"]
