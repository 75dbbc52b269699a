"""Text classifiers of transformers, from the place that `hf:NAME` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.models.messages import one_line
from pipeline.models.places import HF_PREFIX, Place, find_place, quiet
from schemas.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_DERIVED = {"layer_types": ("num_hidden_layers",), "head_dim": ("hidden_size", "num_attention_heads")}
"""Settings that a config computes from others when they are not given: written out in every saved config."""


@dataclass(frozen=True)
class Built:
    """A model, and the names of those of its weights that are new although the rest is pretrained."""

    model: nn.Module
    new: tuple[str, ...]


def build_hf(
    factory: str, kwargs: Mapping[str, Any], outputs: int | None, locate: Callable[[str], str], *, role: str
) -> Built:
    """Load a sequence classifier in float32; new weights come from torch's global random state.

    Args:
        factory: `hf:NAME`, see `find_place`.
        kwargs: `pretrained` (default true; false takes the config only and makes all weights anew), `num_labels`, and
            anything else that the family's config has, such as `num_hidden_layers`.
        outputs: how many the data asks for; used where neither `kwargs` nor a saved classifier says.
        locate: makes a path of the config absolute.
        role: section of the config, for messages.

    Raises:
        UserError: no such place, not a text classifier, settings that it does not have or that do not fit its weights.
    """
    where = f"{role}.factory = {factory!r}"
    place = find_place(factory.removeprefix(HF_PREFIX), locate, where)
    settings = dict(kwargs)
    pretrained = settings.pop("pretrained", True)
    if not isinstance(pretrained, bool):
        raise UserError(f"{role}.kwargs.pretrained = {pretrained!r}: takes true or false")
    config = _config(place, settings, outputs, role)
    return _pretrained(place, config, "num_labels" in settings, role) if pretrained else _anew(place, config)


def _config(place: Place, settings: Mapping[str, Any], outputs: int | None, role: str) -> PretrainedConfig:
    from transformers import AutoConfig

    config = place.load(AutoConfig.from_pretrained)
    unknown = [name for name in settings if not hasattr(config, name)]
    if unknown:
        close = get_close_matches(unknown[0], config.to_dict(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UserError(f"{place.where}: {role}.kwargs: its config has no {unknown[0]!r}{hint}")
    labels = settings.get("num_labels")
    if labels is None and not any("SequenceClassification" in name for name in config.architectures or ()):
        labels = outputs
    changed = {name: value for name, value in settings.items() if name != "num_labels"}
    try:
        if changed:
            config = type(config).from_dict({**_free(config, changed), **changed})
        if labels is not None and labels != config.num_labels:
            config.num_labels = labels
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{place.where}: {role}.kwargs do not fit its config: {reason}") from error
    config.use_cache = False
    return config


def _free(config: PretrainedConfig, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The saved settings without those that follow from, or are other names of, what is changed."""
    names = {config.attribute_map.get(name, name) for name in changed}
    derived = {name for name, sources in _DERIVED.items() if names & {config.attribute_map.get(s, s) for s in sources}}
    return {name: value for name, value in config.to_dict().items() if name not in names | derived}


def _anew(place: Place, config: PretrainedConfig) -> Built:
    from transformers import AutoModelForSequenceClassification

    with quiet():
        try:
            model = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
        except Exception as error:
            raise UserError(f"{place.where}: {place.name}: {one_line(error)}") from error
    return Built(model.float(), ())


def _pretrained(place: Place, config: PretrainedConfig, labels_given: bool, role: str) -> Built:
    from transformers import AutoModelForSequenceClassification

    model, info = place.load(
        AutoModelForSequenceClassification.from_pretrained,
        config=config,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    base = f"{model.base_model_prefix}."
    reshaped = {key: (tuple(saved), tuple(own)) for key, saved, own in info["mismatched_keys"]}
    head = {key for key in [*info["missing_keys"], *reshaped] if not key.startswith(base) or "pooler" in key}
    wrong = sorted(key for key in reshaped if key not in head or not labels_given)
    remedy = f"leave them out of {role}.kwargs, or set {role}.kwargs.pretrained = false for new weights"
    if wrong:
        saved, own = reshaped[wrong[0]]
        what = f"{len(wrong)} weights have other sizes in {place.name} (first {wrong[0]!r}: {saved}, not {own})"
        raise UserError(f"{place.where}: {what}; {remedy}")
    absent = sorted(key for key in info["missing_keys"] if key not in head)
    if absent:
        what = f"{place.name} has no {absent[0]!r} ({len(absent)} weights are missing)"
        raise UserError(f"{place.where}: {what}; {remedy}")
    return Built(model, tuple(sorted(head)))
