"""How many units are handed out: as many as the runner has room for at that time."""

from __future__ import annotations

from concurrent.futures import Future
from typing import cast

from pipeline.runners import Job, Runner
from schemas.manifest import ShardReport


class Cluster(Runner):
    """Units are made at once; `room` may change at any time."""

    room = 1

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[int] = []

    @property
    def ahead(self) -> int:
        return self.room

    def _start(self) -> int:
        return 1

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        self.taken.append(index)
        future = Future[ShardReport]()
        future.set_result(ShardReport(files=[]))
        return future

    def _stop(self) -> None: ...


def test_workers_that_come_later_get_units_and_those_that_went_get_none() -> None:
    cluster = Cluster()
    made = cluster.run(cast(Job, None), range(8))
    taken = []
    for room in (1, 3, 1, 1, 1, 2, 2, 2):
        cluster.room = room
        next(made)
        taken.append(len(cluster.taken))
    assert taken == [1, 4, 4, 4, 5, 7, 8, 8]
    assert next(made, None) is None
