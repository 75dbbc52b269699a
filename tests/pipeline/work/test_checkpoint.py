"""A checkpoint holds what each rank has of its own, and serves another number of ranks too."""

from __future__ import annotations

import torch
from safetensors.torch import load
from torch import nn

from pipeline.distill.loop import State
from pipeline.distill.optim import make_optimizer
from pipeline.work.checkpoint import RankState, pack, rank_state, unpack

CPU = torch.device("cpu")


NET = nn.Linear(2, 2)
PARTS = NET, make_optimizer("adamw", NET.parameters(), lr=0.1, weight_decay=0.0, momentum=0.0)


def rank(number: int) -> RankState:
    """What a rank has whose draws follow from its number, and whose losses sum to it."""
    torch.manual_seed(number)
    return rank_state(State(sums={"loss": torch.tensor(float(number)), "steps": 2}), CPU)


def saved(ranks: int) -> bytes:
    others = [rank(number) for number in range(1, ranks)]
    torch.manual_seed(0)
    state = State(step=7, sums={"loss": torch.tensor(0.0), "steps": 2})
    return pack(*PARTS, state, CPU, others)


def test_each_rank_gets_its_own_back():
    data = saved(3)
    for number in range(3):
        torch.manual_seed(99)
        state = unpack(data, *PARTS, CPU, number, 3)
        assert state == State(step=7, sums={"loss": float(number), "steps": 2})
        drawn = torch.rand(3)
        torch.manual_seed(number)
        assert torch.equal(drawn, torch.rand(3))


def test_another_number_of_ranks_shares_the_sums_and_a_new_rank_keeps_its_random_state():
    data = saved(3)
    for number, ranks in ((0, 1), (1, 2), (3, 4)):
        torch.manual_seed(99)
        assert unpack(data, *PARTS, CPU, number, ranks).sums == {"loss": 1.0, "steps": 2}
        drawn = torch.rand(3)
        torch.manual_seed(number if number < 3 else 99)
        assert torch.equal(drawn, torch.rand(3))


def test_one_process_saves_nothing_of_ranks():
    assert [name for name in load(saved(1)) if name.startswith("random")] == ["random.cpu"]
