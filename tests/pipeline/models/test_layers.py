from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.models import TextModel, freeze, weights_bytes, weights_sha256
from pipeline.text.sentences import Sentences
from schemas.errors import UserError

Load = Callable[..., TextModel]
Make = Callable[..., Sentences]

BLOCKS = {
    "bert": "bert.encoder.layer",
    "distilbert": "distilbert.transformer.layer",
    "electra": "electra.encoder.layer",
    "roberta": "roberta.encoder.layer",
    "modernbert": "model.layers",
    "gpt2": "transformer.h",
    "deberta": "deberta.encoder.layer",
    "llama": "model.layers",
}


@pytest.mark.parametrize("family", BLOCKS)
@pytest.mark.parametrize("layers", [[0, 2], [0], [0, 2, 1]], ids=str)
def test_keeps_the_named_layers(
    family: str, layers: list[int], text_models: Callable[..., Path], load_text: Load, sentences: Make
) -> None:
    """The same as a model that transformers builds with fewer layers, given the weights by hand."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = text_models(family, num_hidden_layers=3)
    whole = load_text(folder)
    cut = freeze(load_text(folder, layers=layers))
    config: Any = AutoConfig.from_pretrained(folder)
    if family == "modernbert":
        config.layer_types = [config.layer_types[index] for index in layers]
    config.num_hidden_layers = len(layers)
    by_hand = AutoModelForSequenceClassification.from_config(config).eval()
    state = {}
    for key, tensor in whole.inner.state_dict().items():
        if not key.startswith(f"{BLOCKS[family]}."):
            state[key] = tensor
            continue
        number, _, rest = key.removeprefix(f"{BLOCKS[family]}.").partition(".")
        if int(number) in layers:
            state[f"{BLOCKS[family]}.{layers.index(int(number))}.{rest}"] = tensor
    by_hand.load_state_dict(state)
    inputs = sentences("the film is good", "a dull story and a very poor plot")
    batch = cut.tokenize(inputs)
    expected = by_hand(input_ids=batch.ids, attention_mask=batch.mask).logits
    torch.testing.assert_close(cut(inputs), expected, atol=1e-6, rtol=0)
    assert (cut(inputs) - whole.eval()(inputs)).abs().max() > 1e-3
    assert cut.inner.config.num_hidden_layers == len(layers)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([0, 3], r"^student.layers = \[0, 3\]: the model has layers 0 to 2$"),
        ([1, 1], r"^student.layers = \[1, 1\]: takes each layer once$"),
    ],
)
def test_refuses_layers_that_are_not_there(
    text_models: Callable[..., Path], load_text: Load, layers: list[int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_text(text_models(), layers=layers)


@pytest.mark.parametrize("kept", [None, [0, 2]], ids=["of the whole model", "of what is left"])
def test_weights_may_be_those_before_or_after_the_cut(
    text_models: Callable[..., Path], load_text: Load, tmp_path: Path, kept: list[int] | None
) -> None:
    saved = load_text(text_models(seed=1), layers=kept)
    (tmp_path / "w.safetensors").write_bytes(weights_bytes(saved))
    expected = weights_sha256(load_text(text_models(seed=1), layers=[0, 2]))
    loaded = load_text(text_models(), root=tmp_path, layers=[0, 2], weights="w.safetensors")
    assert weights_sha256(loaded) == expected


def test_names_weights_that_fit_neither(text_models: Callable[..., Path], load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights_bytes(load_text(text_models(), layers=[0])))
    with pytest.raises(UserError, match=r"^student.weights = .*w.safetensors: does not fit the model: 16 missing"):
        load_text(text_models(), root=tmp_path, layers=[0, 2], weights="w.safetensors")
