"""From what a pilot took to what a whole run takes."""

from __future__ import annotations

import pytest

from pipeline.plan.costs import Sharded, Training
from pipeline.plan.watch import Track


@pytest.mark.parametrize(
    ("samples", "workers", "seconds"),
    [
        (0, 1, 0.0),  # nothing to do, nobody starts
        (1000, 1, 3 + 10.0),
        (1000, 2, 3 + 5.0),
        (1000, 4, 3 + 3.0),  # ten shards: three waves
        (1000, 8, 3 + 2.0),
        (1000, 100, 3 + 1.0),  # no faster than a shard
        (1050, 1, 3 + 10.5),
        (50, 4, 3 + 0.5),
    ],
)
def test_workers_share_shards(samples: int, workers: int, seconds: float) -> None:
    cost = Sharded(rate=100.0, measured=1, shard=100, begin=3.0)
    assert cost.seconds(samples, workers) == pytest.approx(seconds)


def test_the_rate_is_that_of_all_that_were_measured() -> None:
    assert Sharded(rate=300.0, measured=3, shard=10, begin=0.0).seconds(1200, 1) == pytest.approx(12.0)
    assert Sharded(rate=300.0, measured=3, shard=10, begin=0.0).seconds(1200, 3) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("samples", "steps", "seconds"),
    [
        (1000, 50, 1.0 + 5.0),  # read once, however many passes
        (2000, 20, 0.5 + 3.5),  # two passes over what does not fit are read in 4 s, the steps take 2
        (2000, 100, 0.5 + 19.5),  # ten passes are read in 20 s, the steps take 10
        (1001, 100, 0.5 + 10.0),  # in 10 s, which the steps take too, from the first window on
    ],
)
def test_what_does_not_fit_is_read_in_every_pass(samples: int, steps: int, seconds: float) -> None:
    training = Training(step=0.1, load=1e-3, capacity=1000)
    assert training.seconds(samples, steps, epoch=10) == pytest.approx(seconds)


def test_the_first_marks_do_not_count_for_the_rate() -> None:
    track = Track("cache", marks=[(10.0, 5), (12.0, 15), (14.0, 25)])
    assert track.rate(after=1) == pytest.approx(5.0)
    assert track.rate(after=0) == pytest.approx(25 / 14)
    assert track.rate(after=3) == pytest.approx(25 / 14)  # nothing is left
    assert Track("cache").rate(after=1) == 0.0
