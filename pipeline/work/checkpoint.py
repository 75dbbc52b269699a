"""The state of a training segment as one safetensors file: weights, optimiser, random state, metrics so far."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from safetensors.torch import load, save

from pipeline.distill.loop import State

Tensors = dict[str, torch.Tensor]


def pack_optimizer(optimizer: torch.optim.Optimizer) -> Tensors:
    """The optimiser's tensors by parameter number and name; its settings come from the config."""
    return {
        f"optimizer.{number}.{name}": value.detach().cpu().contiguous()
        for number, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
        if isinstance(value, torch.Tensor)
    }


def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Put back what `pack_optimizer` took; other tensors are ignored."""
    state: dict[int, dict[str, Any]] = {}
    for path, tensor in tensors.items():
        if path.startswith("optimizer."):
            _, number, name = path.split(".", 2)
            state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


@dataclass(frozen=True)
class RankState:
    """What a rank has of its own.

    Attributes:
        random: torch's random states, "cpu" and where it trains on one "cuda".
        sums: of the unfinished epoch, see `State`.
    """

    random: Tensors
    sums: dict[str, float]


def rank_state(state: State, device: torch.device) -> RankState:
    """What this rank has of its own now."""
    random = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(device)
    return RankState(random, {name: float(value) for name, value in state.sums.items()})


def pack(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State,
    device: torch.device,
    others: Sequence[RankState] = (),
) -> bytes:
    """All that `unpack` needs to go on as if nothing had happened; `others` are the ranks from 1 on."""
    tensors = {f"model.{name}": value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    tensors |= pack_optimizer(optimizer)
    first = rank_state(state, device)
    tensors |= {f"random.{name}": value for name, value in first.random.items()}
    metadata = {"state": json.dumps(asdict(replace(state, sums=dict(first.sums))))}
    if others:
        metadata["sums"] = json.dumps([other.sums for other in others])
    for rank, other in enumerate(others, 1):
        tensors |= {f"random.{name}.{rank}": value for name, value in other.random.items()}
    return save(tensors, metadata=metadata)


def unpack(
    data: bytes,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    rank: int = 0,
    ranks: int = 1,
) -> State:
    """Restore model, optimiser and torch's random state in place; returns the loop's state.

    Where another number of ranks was at work, the sums of all of them are shared evenly, and a rank that was not
    among them keeps the random state that it has.
    """
    tensors = load(data)
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    unpack_optimizer(optimizer, tensors)
    suffix = f".{rank}" if rank else ""
    if f"random.cpu{suffix}" in tensors:
        torch.set_rng_state(tensors[f"random.cpu{suffix}"])
    if device.type == "cuda" and f"random.cuda{suffix}" in tensors:
        torch.cuda.set_rng_state(tensors[f"random.cuda{suffix}"], device)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    state = State(**json.loads(header["state"]))
    sums = [state.sums, *json.loads(header.get("sums", "[]"))]
    if len(sums) == ranks:
        return replace(state, sums=sums[rank])
    return replace(state, sums={name: sum(one[name] for one in sums) / len(sums) for name in state.sums})
