"""The tokenizer that a model's section of the config names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.models.factory import resolve
from pipeline.models.messages import one_line
from pipeline.models.places import HF_PREFIX, MODEL_FILE, find_place
from pipeline.text.fast import FastBackend
from pipeline.text.own import OwnBackend
from pipeline.text.tokenizer import Backend, Tokenizer
from schemas.errors import UserError
from schemas.sections import ModelConfig

_FILES = ("tokenizer.json", "tokenizer_config.json", MODEL_FILE)  # the last for what it says about the family
_OWN = "path/to/file.py:callable"


def load_tokenizer(
    section: ModelConfig, locate: Callable[[str], str], *, role: str, max_length: int = 128
) -> Tokenizer:
    """Load `tokenizer`, or that of the factory's `hf:NAME` where it is left out.

    Args:
        section: [teacher] or [student].
        locate: makes a path of the config absolute.
        role: which of the two, for messages.
        max_length: tokens of a sample, special ones included, at most.

    Raises:
        UserError: there is none, it is not a fast one, has no padding token, or leaves no room for text.
    """
    name = section.tokenizer or section.factory
    where = f"{role}.{'tokenizer' if section.tokenizer else 'factory'} = {name!r}"
    if name.startswith(HF_PREFIX):
        tokenizer = Tokenizer(_fast(name.removeprefix(HF_PREFIX), locate, where, role, max_length), max_length)
    elif section.tokenizer is None:
        raise UserError(f"{where}: a text model needs {role}.tokenizer: hf:NAME, or {_OWN}")
    else:
        made = _call(resolve(name, locate, where, takes=f"hf:NAME, package.module:callable or {_OWN}"), where)
        tokenizer = Tokenizer(OwnBackend(made, max_length, where), max_length)
    specials = tokenizer.backend.specials
    if specials >= max_length:
        raise UserError(f"{where}: data.max_length = {max_length} leaves no room beside its {specials} special tokens")
    return tokenizer


def _call(function: Callable[..., Any], where: str) -> Any:
    try:
        return function()
    except Exception as error:
        raise UserError(f"{where}: called with nothing it raised {one_line(error)}") from error


def _fast(name: str, locate: Callable[[str], str], where: str, role: str, max_length: int) -> Backend:
    # Before the library is first used: its threads would meet those of the loader, and it warns about forks.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    place = find_place(name, locate, where, files=_FILES)
    from transformers import AutoTokenizer

    loaded = place.load(AutoTokenizer.from_pretrained)
    remedy = f'set {role}.tokenizer to "hf:" and a place that has one'
    if len(loaded) <= len(loaded.all_special_ids):  # what transformers makes of a place without files of one
        raise UserError(f"{where}: {place.name} has no tokenizer; {remedy}")
    if not getattr(loaded, "is_fast", False):
        raise UserError(f"{where}: {type(loaded).__name__} is not a fast tokenizer (no tokenizer.json); {remedy}")
    if loaded.pad_token_id is None:
        end = "tokenizer.eos_token" if loaded.eos_token is not None else "a token of its vocabulary"
        folder = Path(place.name).name
        raise UserError(
            f"{where}: its tokenizer has no padding token; set tokenizer.pad_token = {end}, save it by "
            f'tokenizer.save_pretrained("{folder}-padded"), and set {role}.tokenizer = "hf:{folder}-padded"'
        )
    special = {loaded.convert_tokens_to_ids(token) for token in loaded.all_special_tokens} - {loaded.unk_token_id}
    return FastBackend(
        loaded.backend_tokenizer,
        max_length,
        pad_id=loaded.pad_token_id,
        special_ids=special,
        segmented="token_type_ids" in loaded.model_input_names,
    )
