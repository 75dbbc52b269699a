from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.distill.batches import BatchPlan

sizes = st.integers(0, 70)


def batches(plan: BatchPlan, source: int, auxiliary: int, seed: int = 0) -> list[np.ndarray]:
    origin = np.random.default_rng(1).permutation(np.arange(source + auxiliary) < source)
    return list(plan.batches(origin, np.random.default_rng(seed)))


@given(source=sizes, auxiliary=sizes, size=st.integers(1, 20), seed=st.integers(0, 5))
def test_as_they_come_an_epoch_is_every_sample_once(source, auxiliary, size, seed):
    plan = BatchPlan(size, None)
    drawn = batches(plan, source, auxiliary, seed)
    assert len(drawn) == plan.count(source, auxiliary) == math.ceil((source + auxiliary) / size)
    assert sorted(np.concatenate(drawn).tolist() if drawn else []) == list(range(source + auxiliary))
    assert all(len(batch) <= size for batch in drawn)


@given(source=st.integers(1, 70), auxiliary=st.integers(1, 70), size=st.integers(2, 20), fraction=st.floats(0.05, 0.95))
def test_balanced_batches_see_everything_and_hold_the_share(source, auxiliary, size, fraction):
    plan = BatchPlan(size, fraction)
    origin = np.arange(source + auxiliary) < source
    drawn = list(plan.batches(origin, np.random.default_rng(0)))
    own = min(max(round(size * fraction), 1), size - 1)
    assert len(drawn) == plan.count(source, auxiliary)
    counts = np.bincount(np.concatenate(drawn), minlength=source + auxiliary)
    once = counts[origin] if math.ceil(source / own) == len(drawn) else counts[~origin]
    assert (once == 1).all()
    cycled = [counts[part] for part in (origin, ~origin)]
    assert all(part.max() - part.min() <= 1 for part in cycled)
    for batch in drawn:
        assert origin[batch].sum() <= own and (~origin[batch]).sum() <= size - own


def test_a_share_of_half_is_half_of_every_batch():
    plan = BatchPlan(128, 0.5)
    origin = np.arange(4992) < 512
    for batch in plan.batches(origin, np.random.default_rng(0)):
        assert len(batch) == 128 and origin[batch].sum() == 64


@pytest.mark.parametrize(("source", "auxiliary"), [(300, 0), (0, 300)])
def test_one_origin_alone_fills_the_batch(source, auxiliary):
    drawn = batches(BatchPlan(100, 0.5), source, auxiliary)
    assert [len(batch) for batch in drawn] == [100, 100, 100]


def test_order_comes_from_the_generator():
    plan = BatchPlan(8, 0.5)
    first, again, other = (batches(plan, 20, 50, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_batches_by_length_hold_the_same_samples_in_batches_of_the_same_sizes():
    is_source = np.arange(400) < 200
    lengths = np.random.default_rng(0).integers(1, 50, 400)
    plan = BatchPlan(16, 0.5)
    plain = list(plan.batches(is_source, np.random.default_rng(1)))
    grouped = list(plan.batches(is_source, np.random.default_rng(1), lengths))
    assert sorted(np.concatenate(grouped)) == sorted(np.concatenate(plain))
    assert sorted(map(len, grouped)) == sorted(map(len, plain))
    assert all(is_source[batch].sum() == 8 for batch in grouped)

    def padding(batches):
        return np.mean([lengths[batch].max() - lengths[batch].mean() for batch in batches])

    assert padding(grouped) < padding(plain) / 2


@pytest.mark.parametrize("source", [5, 20, 100])
def test_batches_by_length_of_a_small_source_do_not_repeat_samples_more_than_others(source):
    is_source = np.arange(source + 400) < source
    lengths = np.random.default_rng(0).integers(1, 50, len(is_source))

    def distinct(lengths):
        batches = BatchPlan(32, 0.5).batches(is_source, np.random.default_rng(1), lengths)
        return np.mean([len(set(batch[is_source[batch]].tolist())) for batch in batches])

    assert distinct(lengths) > 0.9 * distinct(None)
