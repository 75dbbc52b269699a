"""95 % intervals: how far a figure of so many samples may be from that of all samples alike. Nothing is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether 0 is outside."""
        return self.low > 0 or self.high < 0


def share(hits: int, count: int) -> Interval:
    """A share of `count` > 0 samples (Wilson 1927)."""
    value, z2 = hits / count, _Z**2
    centre = (value + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * math.sqrt(value * (1 - value) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return Interval(value, max(0.0, centre - half), min(1.0, centre + half))


def share_difference(gained: int, lost: int, count: int) -> Interval:
    """How much larger one share of the same `count` > 0 samples is than another (paired; Bonett and Price 2012).

    Args:
        gained: samples that count in the one alone.
        lost: samples that count in the other alone.
        count: of samples.
    """
    up, down = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    half = _Z * math.sqrt((up + down - (up - down) ** 2) / (count + 2))
    return Interval((gained - lost) / count, max(-1.0, up - down - half), min(1.0, up - down + half))


@dataclass
class Mean:
    """A mean of numbers that are seen one batch after the other (Chan et al. 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, count: int, mean: float, variance: float) -> None:
        """Take in a batch of `count` > 0 numbers."""
        both, shift = self.count + count, mean - self.mean
        self.squares += variance * count + shift**2 * self.count * count / both
        self.mean += shift * count / both
        self.count = both

    def interval(self) -> Interval:
        """By the normal distribution; of one number there is none."""
        half = _Z * math.sqrt(self.squares / (self.count - 1) / self.count) if self.count > 1 else math.inf
        return Interval(self.mean, self.mean - half, self.mean + half)
