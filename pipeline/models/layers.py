"""Some of a transformer's layers: a smaller model that begins as part of a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from schemas.errors import UserError


def keep_layers(model: nn.Module, layers: Sequence[int], where: str) -> None:
    """Keep these layers of `model`, in this order, and change its config to match; all else stays as it is.

    Args:
        model: of transformers, any family whose layers are one list of `config.num_hidden_layers` blocks.
        layers: numbers from 0, each once.
        where: the setting, for messages.

    Raises:
        UserError: a number is out of range or there twice, or the layers are not to be found.
    """
    config: Any = model.config
    count = config.num_hidden_layers
    if max(layers) >= count:
        raise UserError(f"{where} = {list(layers)}: the model has layers 0 to {count - 1}")
    if len(set(layers)) < len(layers):
        raise UserError(f"{where} = {list(layers)}: takes each layer once")
    owner, name, blocks = _blocks(model, count, where)
    setattr(owner, name, nn.ModuleList(blocks[index] for index in layers))
    for position, index in enumerate(layers):
        for module in blocks[index].modules():
            if hasattr(module, "layer_idx"):  # where it finds its settings and its cache
                module.layer_idx = position  # type: ignore[assignment]
    for key, value in config.to_dict().items():
        if "layer" in key and isinstance(value, list) and len(value) == count:  # such as layer_types
            setattr(config, key, [value[index] for index in layers])
    config.num_hidden_layers = len(layers)


def _blocks(model: nn.Module, count: int, where: str) -> tuple[nn.Module, str, nn.ModuleList]:
    """The list of layers, with the module that has it and the name under which."""
    found = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    outer = [(name, m) for name, m in found if not any(name.startswith(f"{other}.") for other, _ in found)]
    if len(outer) != 1:
        raise UserError(
            f"{where}: {type(model).__name__} has {len(outer)} lists of {count} layers, so it is not clear "
            "which to cut; leave it out and give kwargs.num_hidden_layers with kwargs.pretrained = false"
        )
    path, blocks = outer[0]
    owner, _, name = path.rpartition(".")
    return model.get_submodule(owner), name, blocks
