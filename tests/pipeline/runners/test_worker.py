"""A worker keeps one job's set-up, hands it on to a job that can use it, and refuses another environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch

from pipeline.artifacts.units import Made
from pipeline.runners import worker
from pipeline.runners.worker import Environment
from schemas.errors import UserError

opened: list[str] = []


@dataclass(frozen=True)
class Opener:
    name: str

    def open(self, device: torch.device) -> Callable[[int], Made]:
        opened.append(f"{self.name} on {device}")
        return lambda index: Made([])


@dataclass(frozen=True)
class Rounds(Opener):
    """Goes on with what others of its kind have opened, but for the round 0."""

    round: int

    def take_over(self, make: Callable[[int], Made]) -> Callable[[int], Made] | None:
        if not self.round:
            return None
        opened.append(f"round {self.round}")
        return make


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(worker, "_open", None)
    opened.clear()
    yield
    worker._numerics.close()


HERE = Environment.here("cpu")


def test_a_set_up_is_kept_handed_on_or_replaced():
    for opener in (Opener("a"), Opener("a"), Rounds("b", 0), Rounds("b", 1), Rounds("b", 1), Opener("a")):
        worker._make(opener, HERE, None)
    assert opened == ["a on cpu", "b on cpu", "round 1", "a on cpu"]


def test_a_set_up_whose_follower_failed_is_not_used_again(monkeypatch):
    def fail(self: Rounds, make: object) -> None:
        raise UserError("another opponent")

    worker._make(Rounds("b", 1), HERE, None)
    monkeypatch.setattr(Rounds, "take_over", fail)
    with pytest.raises(UserError, match="another opponent"):
        worker._make(Rounds("b", 2), HERE, None)
    worker._make(Rounds("b", 1), HERE, None)
    assert opened == ["b on cpu", "b on cpu"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "cuda", "device": "auto"}, 'no cuda device, on which the run computes .run.device = "auto".; use'),
        ({"torch": "1.0"}, "a worker has torch .*, the run 1.0; install the same version"),
    ],
)
def test_another_environment_is_refused(change, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=said):
        worker._make(Opener("a"), replace(HERE, **change), None)
    assert opened == []


def test_a_worker_with_more_than_the_run_has_computes_on_the_same_kind_of_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    worker._make(Opener("a"), replace(HERE, device="auto"), None)
    assert opened == ["a on cpu"]
