"""A text model and its tokenizer from a section of the config."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from torch import nn

from pipeline.models.factory import ZOO_PREFIX, build_model, refuse_lazy
from pipeline.models.hf import build_hf
from pipeline.models.layers import keep_layers
from pipeline.models.places import HF_PREFIX
from pipeline.models.text import TextModel
from pipeline.models.tokenizers import load_tokenizer
from pipeline.models.weights import fit_weights, read_weights
from pipeline.text.tokenizer import Tokenizer
from schemas.errors import UserError
from schemas.sections import ModelConfig


def load_text_model(
    config: ModelConfig, locate: Callable[[str], str], *, role: str, classes: int | None, max_length: int
) -> TextModel:
    """Build a text model on the CPU and load its weights; what is new comes from torch's global random state.

    `weights` may be those of the whole model or, with `layers`, of what is left of it.

    Args:
        config: section [teacher] or [student].
        locate: makes a path of the config absolute.
        role: which of the two sections it is, for messages.
        classes: number of outputs where it is known.
        max_length: tokens of a text at most.

    Raises:
        UserError: the factory, the weights, the tokenizer or max_length are wrong.
    """
    if config.mean is not None:
        raise UserError(f"{role}.mean and std are for images and arrays; leave them out for text")
    where = f"{role}.factory = {config.factory!r}"
    if config.factory.startswith(ZOO_PREFIX):
        raise UserError(
            f"{where}: zoo models are for images and arrays; for text take hf:NAME, "
            "package.module:callable or path/to/file.py:callable"
        )
    tokenizer = load_tokenizer(config, locate, role=role, max_length=max_length)
    inner, untrained = (
        _transformer(config, locate, role, classes)
        if _is_hf(config)
        else (_own(config, locate, role, classes, tokenizer), None)
    )
    _load_weights(inner, config, locate, role)
    settings: Any = getattr(inner, "config", None)
    if settings is not None:
        # Decoders look for the last token before the padding by this.
        settings.pad_token_id = tokenizer.backend.pad_id
        positions = _positions(inner)
        if positions is not None and max_length > positions:
            raise UserError(f"{where}: takes {positions} tokens at most; data.max_length = {max_length} is more")
    try:
        return TextModel(inner, tokenizer, untrained)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _is_hf(config: ModelConfig) -> bool:
    return config.factory.startswith(HF_PREFIX)


def _transformer(
    config: ModelConfig, locate: Callable[[str], str], role: str, classes: int | None
) -> tuple[nn.Module, str | None]:
    """The model, and the first of its weights that is new although the rest is pretrained."""
    built = build_hf(config.factory, config.kwargs, classes, locate, role=role)
    return built.model, built.new[0] if built.new and config.weights is None else None


def _own(
    config: ModelConfig, locate: Callable[[str], str], role: str, classes: int | None, tokenizer: Tokenizer
) -> nn.Module:
    if config.layers is not None:
        raise UserError(f"{role}.layers: only hf: models can be cut; let your factory make fewer layers")
    defaults: dict[str, Any] = {"vocab_size": max(tokenizer.vocabulary.values()) + 1}
    if classes is not None:
        defaults["classes"] = classes
    inner = build_model(config.factory, config.kwargs, defaults, locate, role=role)
    refuse_lazy(inner, f"{role}.factory = {config.factory!r}")
    return inner


def _load_weights(inner: nn.Module, config: ModelConfig, locate: Callable[[str], str], role: str) -> None:
    """Load `weights`, where it is set, and keep `layers` only, where they are: before or after, as the weights fit."""
    loaded = config.weights is None
    url = locate(config.weights or "")
    origin, state = f"{role}.weights = {url}", {} if loaded else read_weights(url)
    if config.layers is not None:
        if not loaded:
            with suppress(UserError):  # told below, if they do not fit what is left either
                fit_weights(inner, state, origin)
                loaded = True
        keep_layers(inner, config.layers, f"{role}.layers")
    if not loaded:
        fit_weights(inner, state, origin)


def _positions(inner: nn.Module) -> int | None:
    """Tokens that a model of transformers can number, None where it does not say.

    Models like RoBERTa leave the rows up to that of the padding id unused.
    """
    rows = getattr(inner.config, "max_position_embeddings", None)
    if not isinstance(rows, int) or rows <= 0:
        return None
    for name, module in inner.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.num_embeddings == rows:
            return rows if module.padding_idx is None else rows - module.padding_idx - 1
    return rows
