"""Changing what a model's token embedding gives, for one forward pass, without changing how the model is called.

The model is given token ids and its mask as always, so that positions, masks and pooling stay its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from schemas.errors import UserError

Edit = Callable[[Tensor], Tensor]
"""From the embeddings (N, L, D) to those that the model goes on with."""


@dataclass
class _Pass:
    embedding: nn.Module
    shape: torch.Size
    edit: Edit | None
    calls: int = 0


# One for each thread: threads share models.
_PASS: ContextVar[_Pass | None] = ContextVar("forward pass", default=None)


def token_embedding(model: nn.Module) -> nn.Module:
    """The module that turns token ids into embeddings, ready for `edited`.

    Raises:
        UserError: the model does not tell which that is.
    """
    get = getattr(model, "get_input_embeddings", None)
    try:
        found = get() if callable(get) else None
    except NotImplementedError:
        found = None
    if not isinstance(found, nn.Module) or not isinstance(getattr(found, "weight", None), Tensor):
        raise UserError(
            f"{type(model).__name__}.get_input_embeddings() must return the torch.nn.Embedding of its tokens"
        )
    if _on_call not in found._forward_hooks.values():
        found.register_forward_hook(_on_call)
    return found


def embedding_matrix(embedding: nn.Module) -> Tensor:
    """(V, D), what `embedding` gives for each token id; the weight itself where that is the same."""
    weight: Tensor = embedding.weight  # type: ignore[assignment]
    if type(embedding) is nn.Embedding and embedding.max_norm is None:
        return weight.detach()
    with torch.no_grad():
        rows: Tensor = embedding(torch.arange(len(weight), device=weight.device))
    return rows


@contextmanager
def edited(embedding: nn.Module, shape: torch.Size, edit: Edit | None) -> Iterator[None]:
    """Apply `edit` to what `embedding` gives in the forward pass inside.

    Raises:
        UserError: it was not called once, on ids of that shape (N, L).
    """
    current = _Pass(embedding, shape, edit)
    token = _PASS.set(current)
    try:
        yield
    finally:
        _PASS.reset(token)
    if current.calls != 1:
        raise UserError(
            f"calls the module of get_input_embeddings() {current.calls} times in one forward pass; must call it once, "
            "on the token ids, as only what it returns can be shifted"
        )


def _on_call(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
    current = _PASS.get()
    if current is None or current.embedding is not module:
        return None
    current.calls += 1
    if output.shape[:-1] != current.shape:
        raise UserError(
            f"calls the module of get_input_embeddings() on ids of shape {tuple(output.shape[:-1])}; "
            f"must call it on those that it is given, of shape {tuple(current.shape)}"
        )
    return None if current.edit is None else current.edit(output)
