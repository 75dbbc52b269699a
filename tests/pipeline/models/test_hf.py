from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.models import TextModel, freeze, places, weights_bytes, weights_sha256
from pipeline.text.sentences import Sentences
from schemas.errors import UserError

Load = Callable[..., TextModel]
Make = Callable[..., Sentences]
Models = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def base(text_models: Models, tmp_path: Path) -> Path:
    """A pretrained encoder without a classifier, with its tokenizer."""
    from transformers import AutoModel

    shutil.copytree(text_models(), tmp_path / "base")
    AutoModel.from_pretrained(text_models()).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize("inside", ["", "model", "weights/deep"])
def test_finds_installed_packages(
    text_models: Models, load_text: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    package = tmp_path / "tiny_words_model"
    shutil.copytree(text_models(), package / inside)
    (package / "__init__.py").write_text(f"get_model_path = lambda: __path__[0] + '/{inside}'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        for name in ("hf:tiny_words_model", "hf:tiny-words-model"):
            assert weights_sha256(load_text(name)) == weights_sha256(load_text(text_models()))
    finally:
        sys.modules.pop("tiny_words_model", None)


def test_a_directory_beside_the_config_comes_first(text_models: Models, load_text: Load) -> None:
    folder = text_models()
    assert weights_sha256(load_text(f"hf:{folder.name}", root=folder.parent)) == weights_sha256(load_text(folder))


def test_takes_a_name_from_the_hubs_cache(
    text_models: Models, load_text: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    cached = tmp_path / "models--someone--tiny"
    shutil.copytree(text_models(), cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert weights_sha256(load_text("hf:someone/tiny")) == weights_sha256(load_text(text_models()))


def test_is_float32_whatever_was_saved(text_models: Models, load_text: Load, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    shutil.copytree(text_models(), tmp_path / "half")
    AutoModelForSequenceClassification.from_pretrained(text_models()).half().save_pretrained(tmp_path / "half")
    assert {p.dtype for p in load_text(tmp_path / "half").parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("kwargs", "classes", "outputs"),
    [
        ({}, 5, 5),
        ({}, None, 2),
        ({"num_labels": 3}, 5, 3),
        ({"pretrained": False}, 5, 5),
        ({"pretrained": False, "num_labels": 1}, 5, 1),
    ],
)
def test_a_new_classifier_has_the_outputs_of_the_data(
    base: Path, load_text: Load, sentences: Make, kwargs: dict[str, Any], classes: int | None, outputs: int
) -> None:
    model = load_text(base, kwargs=kwargs, classes=classes)
    assert model(sentences("a film")).shape == (1, outputs)


def test_a_saved_classifier_stays_unless_told_otherwise(text_models: Models, load_text: Load, sentences: Make) -> None:
    folder = text_models(num_labels=4)
    assert load_text(folder, classes=2)(sentences("a film")).shape == (1, 4)
    replaced = load_text(folder, kwargs={"num_labels": 2})
    assert replaced(sentences("a film")).shape == (1, 2)
    assert torch.equal(replaced.embeddings, load_text(folder).embeddings)


@pytest.mark.parametrize("kwargs", [{}, {"pretrained": False}])
def test_new_weights_depend_on_the_seed_only(base: Path, load_text: Load, kwargs: dict[str, Any]) -> None:
    hashes = [weights_sha256(load_text(base, kwargs=kwargs, seed=seed)) for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("family", "kwargs"),
    [
        ("bert", {"hidden_size": 8, "num_hidden_layers": 1}),
        ("distilbert", {"hidden_size": 8, "num_hidden_layers": 1}),
        ("modernbert", {"hidden_size": 8, "num_hidden_layers": 1}),
        ("llama", {"hidden_size": 8, "num_hidden_layers": 1}),
    ],
)
def test_makes_a_narrower_model_from_the_config(
    text_models: Models, load_text: Load, sentences: Make, family: str, kwargs: dict[str, Any]
) -> None:
    model = freeze(load_text(text_models(family), kwargs={**kwargs, "pretrained": False}))
    assert model.embeddings.shape[1] == 8
    assert model(sentences("a film", "the story is bad")).isfinite().all()
    assert sum("q_" in name or "query" in name or "Wqkv" in name for name in model.state_dict()) in (1, 2)


def test_tells_that_a_classifier_is_new(
    base: Path, load_text: Load, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = load_text(base)
    assert found.untrained == "classifier.bias"
    (tmp_path / "w.safetensors").write_bytes(weights_bytes(found))
    assert load_text(base, root=tmp_path, weights="w.safetensors").untrained is None
    assert capfd.readouterr() == ("", "")


def test_leaves_the_settings_of_transformers_alone(text_models: Models, load_text: Load) -> None:
    from transformers.utils import logging as transformers

    transformers.set_verbosity_info()
    load_text(text_models())
    assert transformers.get_verbosity() == logging.INFO
    assert transformers.is_progress_bar_enabled()
    transformers.set_verbosity_warning()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"hiden_size": 8}, "student.kwargs: its config has no 'hiden_size'; did you mean 'hidden_size'"),
        (
            {"hidden_size": 8},
            r"weights have other sizes in .* \(16,\), not \(8,\)\); leave them out .*pretrained = false",
        ),
        ({"num_hidden_layers": 5}, r"has no 'bert.encoder.layer.3.* \(32 weights are missing\); leave them out"),
        ({"hidden_size": "x"}, "student.kwargs do not fit its config: .*expected int"),
        ({"num_attention_heads": 3, "pretrained": False}, r"not a multiple of the number of attention heads \(3\)"),
    ],
)
def test_refuses_settings_that_do_not_fit(
    text_models: Models, load_text: Load, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"^student.factory = 'hf:.*': .*{message}") as caught:
        load_text(text_models(), kwargs=kwargs)
    assert "\n" not in str(caught.value)


def test_pretrained_is_true_or_false(text_models: Models, load_text: Load) -> None:
    with pytest.raises(UserError, match=r"^student.kwargs.pretrained = 'no': takes true or false$"):
        load_text(text_models(), kwargs={"pretrained": "no"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "vit"}, "is of a family that has no text classifier"),
        ({"model_type": "unheard_of"}, "model type `unheard_of` but Transformers does not recognize"),
        (
            {"auto_map": {"AutoConfig": "c.C", "AutoModelForSequenceClassification": "c.M"}},
            "brings its own code, which",
        ),
        (None, "is not a valid JSON file"),
    ],
    ids=["vision", "unknown", "own code", "broken"],
)
def test_refuses_places_without_a_text_classifier(
    text_models: Models, load_text: Load, tmp_path: Path, config: dict[str, Any] | None, message: str
) -> None:
    (tmp_path / "config.json").write_text("{" if config is None else json.dumps(config))
    with pytest.raises(UserError, match=f"^student.factory = 'hf:.*{message}") as caught:
        load_text(tmp_path, tokenizer=f"hf:{text_models()}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "absent",
            "no directory .*/absent, no installed package .*, not in the hub's cache; and on the hub: Offline",
        ),
        ("someone/absent", "no directory .*/someone/absent, no installed package"),
        ("../absent", "no directory .*absent; give a directory that transformers saved"),
        ("a/b/c", "no directory .*a/b/c; give a directory"),
        (".", ".* has no .*config.json; give a directory"),
    ],
)
def test_names_a_place_that_is_not_there(load_text: Load, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^student.factory = 'hf:{name}': {message}") as caught:
        load_text(f"hf:{name}", root=tmp_path)
    assert "\n" not in str(caught.value)


def test_asks_for_the_extra(load_text: Load, text_models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs transformers; pip install 'bpkd\[text\]'$"):
        load_text(text_models())


@pytest.mark.parametrize(("family", "longest"), [("bert", 32), ("gpt2", 32), ("roberta", 32), ("modernbert", 32)])
def test_refuses_more_tokens_than_the_model_has_positions(
    text_models: Models, load_text: Load, sentences: Make, family: str, longest: int
) -> None:
    model = freeze(load_text(text_models(family), max_length=longest))
    assert model(sentences("good " * 50)).isfinite().all()
    with pytest.raises(UserError, match=f"takes {longest} tokens at most; data.max_length = {longest + 1} is more$"):
        load_text(text_models(family), max_length=longest + 1)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"factory": "zoo:mlp"}, "student.factory = 'zoo:mlp': zoo models are for images and arrays"),
        ({"factory": "torch.nn:Identity", "layers": [0]}, "student.layers: only hf: models can be cut"),
        ({"mean": [0.5], "std": [1.0]}, "student.mean and std are for images and arrays"),
    ],
)
def test_refuses_what_is_not_for_text(
    text_models: Models, load_text: Load, section: dict[str, Any], message: str
) -> None:
    tokenizer = f"hf:{text_models()}"
    with pytest.raises(UserError, match=f"^{message}"):
        load_text(**{"factory": text_models(), "tokenizer": tokenizer, **section})
