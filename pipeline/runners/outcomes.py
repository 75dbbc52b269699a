"""What comes of a unit that was handed out: its report, an error, or that it was lost with its workers."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from itertools import pairwise

from pipeline.runners.base import Job
from schemas.errors import BpkdError
from schemas.manifest import ShardReport


def resolve(future: Future[ShardReport], outcome: ShardReport | BaseException | None) -> None:
    """Give a future its outcome, None where nobody makes it any more; it may have been cancelled meanwhile."""
    if outcome is None:
        future.cancel()
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        assert outcome is not None
        future.set_result(outcome)


def killed(job: Job, indices: Iterable[int], times: int) -> BpkdError:
    """Workers were killed `times` times with these units under way, any of which may be the one that kills.

    It does not pass by itself: the same units would kill again.
    """
    return BpkdError(
        f"{job.name}: workers were killed {times} times, each time with {named(indices)} under way; where memory ran "
        "out, set run.workers or the batch sizes lower"
    )


def named(indices: Iterable[int]) -> str:
    """Units for people, such as "shard 7" or "shards 3-6, 9"."""
    numbers = sorted(set(indices))
    ends = [before for before, after in pairwise(numbers) if after > before + 1] + numbers[-1:]
    begins = numbers[:1] + [after for before, after in pairwise(numbers) if after > before + 1]
    ranges = [str(first) if first == last else f"{first}-{last}" for first, last in zip(begins, ends, strict=True)]
    return f"{'shard' if len(numbers) == 1 else 'shards'} {', '.join(ranges)}"
