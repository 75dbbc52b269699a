"""The state of a training segment as one safetensors file: weights, optimiser, random state, metrics so far."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
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


def pack(model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: State, device: torch.device) -> bytes:
    """All that `unpack` needs to go on as if nothing had happened."""
    tensors = {f"model.{name}": value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    tensors |= pack_optimizer(optimizer)
    tensors["random.cpu"] = torch.get_rng_state()
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    numbers = replace(state, sums={name: float(value) for name, value in state.sums.items()})
    return save(tensors, metadata={"state": json.dumps(asdict(numbers))})


def unpack(data: bytes, model: torch.nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> State:
    """Restore model, optimiser and torch's random state in place; returns the loop's state."""
    tensors = load(data)
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    unpack_optimizer(optimizer, tensors)
    torch.set_rng_state(tensors["random.cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random.cuda"], device)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return State(**json.loads(header["__metadata__"]["state"]))
