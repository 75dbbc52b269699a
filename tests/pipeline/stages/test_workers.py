"""The number of workers never changes a byte."""

from __future__ import annotations

from pipeline import layout
from pipeline.stages import cache, mine


def test_three_workers_make_the_bytes_of_one(configure, files):
    settings = {"start": "noise", "climbs": 2, "steps": 3, "step_size": 0.3, "batch_size": 8}
    one = configure(run={"output": "one"}, mine=settings, data={"shard_size": 4})
    many = configure(run={"output": "many", "workers": 3}, mine=settings, data={"shard_size": 4})
    for config in (one, many):
        cache(config)
        mine(config)
    assert len(files(layout.auxiliary(one.output, 1))) == 11
    assert files(one.output) == files(many.output)


def test_a_run_goes_on_with_another_number_of_workers(configure):
    cache(configure())
    mine(configure(run={"workers": 2}))
    assert [manifest.samples for manifest in mine(configure())] == [40, 40]
