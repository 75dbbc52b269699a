from __future__ import annotations

import pytest

from pipeline.distill.optim import learning_rate


@pytest.mark.parametrize(
    ("schedule", "done", "warmup", "rate"),
    [
        ("constant", 0.0, 0.0, 2.0),
        ("constant", 0.9, 0.0, 2.0),
        ("constant", 0.05, 0.1, 1.0),
        ("constant", 0.1, 0.1, 2.0),
        ("cosine", 0.0, 0.0, 2.0),
        ("cosine", 0.5, 0.0, 1.0),
        ("cosine", 1.0, 0.0, 0.0),
        ("cosine", 0.0, 0.2, 0.0),
        ("cosine", 0.6, 0.2, 1.0),
        ("cosine", 1.0, 1.0, 0.0),
    ],
)
def test_rate_over_the_budget(schedule, done, warmup, rate):
    assert learning_rate(schedule, done, peak=2.0, warmup=warmup) == pytest.approx(rate, abs=1e-12)
