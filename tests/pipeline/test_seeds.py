from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.seeds import derive_seed, numpy_generator, torch_generator

parts = st.lists(st.one_of(st.integers(0, 9), st.text("ab", max_size=3)), max_size=3)


@given(seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)), names=st.tuples(parts, parts))
def test_a_seed_depends_on_all_that_it_is_derived_from(seeds, names):
    first, second = ((seed, *name) for seed, name in zip(seeds, names, strict=True))
    assert (derive_seed(*first) == derive_seed(*second)) == (first == second)


def test_the_same_on_every_machine():
    assert derive_seed(0, "climb", 1, 2) == derive_seed(0, "climb", 1, 2) == 7261016971322556457
    assert 0 <= derive_seed(7) < 2**63


def test_generators_are_seeded():
    assert numpy_generator(1, "a").random() == numpy_generator(1, "a").random() != numpy_generator(1, "b").random()
    assert torch_generator(1, "a").initial_seed() == derive_seed(1, "a")
