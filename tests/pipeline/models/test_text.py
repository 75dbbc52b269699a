from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.models import AnyModel, TextModel, check_outputs, freeze, unwrap, weights_sha256
from pipeline.text.sentences import Sentences
from schemas.errors import UserError

FAMILIES = ["bert", "distilbert", "electra", "roberta", "modernbert", "gpt2", "deberta", "llama"]
TEXTS = ["the film is good", "a dull story and a very poor plot with no joy", "bad"]

Load = Callable[..., TextModel]
Make = Callable[..., Sentences]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, text_models: Callable[..., Path]) -> Path:
    return text_models(request.param)


@pytest.fixture
def model(family: Path, load_text: Load) -> TextModel:
    return freeze(load_text(family))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_says_what_transformers_says(family: Path, model: TextModel, sentences: Make) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(family)
    own = AutoModelForSequenceClassification.from_pretrained(family).eval()
    for samples in (TEXTS, [(text, "a great actor") for text in TEXTS]):
        encoded = tokenizer(samples, padding=True, return_tensors="pt")
        with torch.no_grad():
            expected = own(**encoded).logits
        logits = model(sentences(*samples))
        assert torch.equal(logits, expected)
        assert logits.std(dim=0).min() > 0.01


def test_padding_and_company_do_not_matter(model: TextModel, sentences: Make) -> None:
    together = model(sentences(*TEXTS))
    alone = torch.cat([model(sentences(text)) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_a_shift_of_zero_changes_no_bit(model: TextModel, sentences: Make) -> None:
    batch = model.tokenize(sentences(*TEXTS))
    width = model.embeddings.shape[1]
    assert torch.equal(model.run(batch.with_delta(torch.zeros(*batch.ids.shape, width))), model.run(batch))
    tokens = model.tokenizer.encode([(text,) for text in TEXTS])
    perturbed = sentences(*((one, np.zeros((one.real.sum(), width), np.float32)) for one in tokens))
    assert torch.equal(model(perturbed), model.run(batch))


def test_shifts_move_real_tokens_only(model: TextModel, sentences: Make) -> None:
    batch = model.tokenize(sentences(*TEXTS))
    delta = draw(*batch.ids.shape, model.embeddings.shape[1])
    shifted = model.run(batch.with_delta(delta))
    assert (shifted - model.run(batch)).abs().min() > 1e-4
    elsewhere = torch.where(batch.real[..., None], delta, 10.0)
    assert torch.equal(model.run(batch.with_delta(elsewhere)), shifted)


def test_gradients_are_those_of_finite_differences(model: TextModel, sentences: Make) -> None:
    # Copied, as the test's models are made once and this one goes to float64.
    model = freeze(copy.deepcopy(model).double())
    batch = model.tokenize(sentences(*TEXTS[:2]))
    delta = 0.1 * draw(*batch.ids.shape, model.embeddings.shape[1]).double()
    delta.requires_grad_()

    def first(at: Tensor) -> Tensor:
        return model.run(batch.with_delta(at))[:, 0].sum()

    (gradient,) = torch.autograd.grad(first(delta), delta)
    assert not gradient[~batch.real].any()
    assert gradient[batch.real].abs().sum(dim=1).min() > 0
    # These go through float32 inside, for rotary positions and norms, whatever the model's own type.
    step, tolerance = (2e-4, 3e-3) if model.inner.config.model_type in ("llama", "modernbert") else (1e-5, 1e-6)
    for seed in range(3):
        direction = torch.where(batch.real[..., None], draw(*delta.shape, seed=seed).double(), 0)
        with torch.no_grad():
            measured = (first(delta + step * direction) - first(delta - step * direction)) / (2 * step)
        torch.testing.assert_close(measured, (gradient * direction).sum(), rtol=tolerance, atol=1e-8)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_embedding_of_the_model_is_what_is_shifted(
    text_models: Callable[..., Path], load_text: Load, sentences: Make
) -> None:
    """Shifting a word by the difference between two words' embeddings turns it into the other."""
    model = freeze(load_text(text_models("electra")))
    batch = model.tokenize(sentences("the film is good"))
    good, bad = (model.tokenizer.vocabulary[word] for word in ("good", "bad"))
    delta = torch.zeros(*batch.ids.shape, model.embeddings.shape[1])
    delta[batch.ids == good] = model.embeddings[bad] - model.embeddings[good]
    torch.testing.assert_close(model.run(batch.with_delta(delta)), model(sentences("the film is bad")))


def test_stored_perturbations_stand_beside_plain_sentences(
    text_models: Callable[..., Path], load_text: Load, sentences: Make
) -> None:
    model = freeze(load_text(text_models()))
    (tokens,) = model.tokenizer.encode([("a good story", "the plot")])
    delta = draw(int(tokens.real.sum()), 16).numpy()
    mixed = sentences("the film is very good", (tokens, delta), "no")
    batch = model.tokenize(mixed)
    assert batch.delta is not None
    assert torch.equal(batch.delta[1][batch.real[1]], torch.from_numpy(delta))
    assert not batch.delta[~batch.real].any() and not batch.delta[[0, 2]].any()
    expected = [model(sentences(one)) for one in ("the film is very good", (tokens, delta), "no")]
    torch.testing.assert_close(model(mixed), torch.cat(expected), atol=1e-5, rtol=0)


class Carried:
    """A teacher that takes shifts in the space of a student with embeddings of another width."""

    def __init__(self, text_models: Callable[..., Path], load_text: Load, sentences: Make) -> None:
        self.teacher = freeze(load_text(text_models("roberta")))
        self.student = freeze(load_text(text_models("roberta", hidden_size=8, seed=1)))
        self.matrix = draw(16, 8)
        self.batch = self.teacher.tokenize(sentences(*TEXTS))
        self.delta = draw(*self.batch.ids.shape, 8, seed=1)

    def by(self, shift: Tensor) -> Tensor:
        """What the teacher says when its own embeddings are shifted by (N, L, 16)."""
        return self.teacher.run(self.batch.with_delta(shift))


@pytest.fixture
def carried(text_models: Callable[..., Path], load_text: Load, sentences: Make) -> Carried:
    return Carried(text_models, load_text, sentences)


def test_offsets_are_carried_by_the_matrix(carried: Carried) -> None:
    view = carried.teacher.carrying(carried.matrix, "offset", None)
    shifted = view.run(carried.batch.with_delta(carried.delta))
    torch.testing.assert_close(shifted, carried.by(carried.delta @ carried.matrix.T))
    at_rest = view.run(carried.batch.with_delta(torch.zeros_like(carried.delta)))
    assert torch.equal(at_rest, carried.teacher.run(carried.batch))


def test_embeddings_are_carried_by_the_matrix(carried: Carried) -> None:
    view = carried.teacher.carrying(carried.matrix, "embedding", carried.student.embeddings)
    shifted = view.run(carried.batch.with_delta(carried.delta))
    wanted = (carried.student.embeddings[carried.batch.ids] + carried.delta) @ carried.matrix.T
    torch.testing.assert_close(shifted, carried.by(wanted - carried.teacher.embeddings[carried.batch.ids]))


def test_a_plain_sentence_is_plain_whatever_is_carried(carried: Carried, sentences: Make) -> None:
    view = carried.teacher.carrying(carried.matrix, "embedding", carried.student.embeddings)
    (tokens,) = view.tokenizer.encode([("a bad film",)])
    perturbed = (tokens, np.zeros((tokens.real.sum(), 8), np.float32))
    mixed = view(sentences(TEXTS[0], perturbed, TEXTS[1]))
    plain = carried.teacher(sentences(TEXTS[0], TEXTS[1]))
    torch.testing.assert_close(mixed[[0, 2]], plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(mixed[1:2], view(sentences(perturbed)), atol=1e-5, rtol=0)
    assert (mixed[1:2] - carried.teacher(sentences("a bad film"))).abs().max() > 1e-3


def test_a_view_shares_the_model(carried: Carried) -> None:
    view = carried.teacher.carrying(carried.matrix, "embedding", carried.student.embeddings)
    assert unwrap(view) is carried.teacher.inner
    assert weights_sha256(view) == weights_sha256(carried.teacher)
    assert view.embeddings.data_ptr() == carried.teacher.inner.get_input_embeddings().weight.data_ptr()
    assert not view.training


def test_threads_share_a_model(text_models: Callable[..., Path], load_text: Load, sentences: Make) -> None:
    model = freeze(load_text(text_models()))
    batch = model.tokenize(sentences(*TEXTS))
    batches = [batch.with_delta(draw(*batch.ids.shape, 16, seed=seed)) for seed in range(8)] + [batch]
    alone = [model.run(one) for one in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(model.run, batches * 10))
    assert all(torch.equal(one, alone[index % len(alone)]) for index, one in enumerate(together))


def test_refuses_what_was_made_with_other_embeddings(
    text_models: Callable[..., Path], load_text: Load, sentences: Make
) -> None:
    model = load_text(text_models())
    (tokens,) = model.tokenizer.encode([("a bad film",)])
    with pytest.raises(UserError, match="8 numbers per token, the model takes ids below 76 and 16 numbers"):
        model(sentences((tokens, np.zeros((3, 8), np.float32))))
    tokens.ids[1] = 99
    with pytest.raises(UserError, match="has token id 99"):
        model(sentences((tokens, np.zeros((3, 16), np.float32))))


OWN = """
import torch
from torch import nn


class Words:
    def __init__(self):
        self.vocabulary = {w: i for i, w in enumerate("<pad> <s> </s> <unk> the film is good bad".split())}
        self.pad_id, self.special = 0, ([1], [2], [2])

    def encode(self, text):
        found, end = [], 0
        for word in text.split():
            start = text.index(word, end)
            end = start + len(word)
            found.append((self.vocabulary.get(word, 3), start, end))
        return found


class Bag(nn.Module):
    def __init__(self, classes, vocab_size, how="right"):
        super().__init__()
        self.embedding, self.out, self.how = nn.Embedding(vocab_size, 4), nn.Linear(4, classes), how

    def get_input_embeddings(self):
        return None if self.how == "hidden" else self.embedding

    def forward(self, input_ids, attention_mask):
        if self.how == "around":
            embedded = self.embedding.weight[input_ids]
        elif self.how == "other":
            embedded = self.embedding(input_ids[:, :1])
        else:
            embedded = self.embedding(input_ids)
        return self.out((embedded * attention_mask[..., None]).sum(1) / attention_mask.sum(1, keepdim=True))
"""


@pytest.fixture
def own(tmp_path: Path, load_text: Load) -> Callable[..., TextModel]:
    (tmp_path / "own.py").write_text(OWN)
    return lambda **section: load_text("own.py:Bag", root=tmp_path, tokenizer="own.py:Words", **section)


def test_takes_a_model_and_a_tokenizer_of_the_users_own(own: Callable[..., TextModel], sentences: Make) -> None:
    model = freeze(own(classes=3))
    inputs = sentences("the film is good", ("bad", "the film"))
    assert check_outputs(model, inputs, "student", 3) == 3
    bag: Any = model.inner
    mean = bag.embedding.weight[[1, 4, 5, 6, 7, 2]].mean(dim=0)
    torch.testing.assert_close(model(inputs)[0], bag.out(mean))
    batch = model.tokenize(inputs)
    delta = draw(*batch.ids.shape, 4)
    shifted = bag.out(mean + delta[0, 1:5].sum(dim=0) / 6)
    torch.testing.assert_close(model.run(batch.with_delta(delta))[0], shifted)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("around", r"^student: calls the module of get_input_embeddings\(\) 0 times in one forward pass; must call"),
        ("other", r"^student: calls the module of get_input_embeddings\(\) on ids of shape \(1, 1\)"),
    ],
)
def test_names_a_model_whose_embeddings_cannot_be_shifted(
    own: Callable[..., TextModel], sentences: Make, how: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check_outputs(own(kwargs={"how": how}), sentences("the film"), "student", 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"how": "hidden"}, r"Bag.get_input_embeddings\(\) must return the torch.nn.Embedding"),
        ({"vocab_size": 5}, "has embeddings for ids 0 to 4, but its tokenizer has id 8"),
    ],
)
def test_refuses_a_model_that_does_not_fit(own: Callable[..., TextModel], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^student.factory = 'own.py:Bag': {message}"):
        own(kwargs=kwargs)


def test_embeddings_are_what_the_model_reads(text_models: Callable[..., Path], load_text: Load) -> None:
    class Scaled(nn.Embedding):
        def forward(self, ids: Tensor) -> Tensor:
            return super().forward(ids) * 4

    model = load_text(text_models())
    weight = model.inner.get_input_embeddings().weight
    assert model.embeddings.data_ptr() == weight.data_ptr()
    inner: Any = copy.deepcopy(model.inner)
    inner.set_input_embeddings(Scaled.from_pretrained(weight))
    torch.testing.assert_close(TextModel(inner, model.tokenizer).embeddings, 4 * weight.detach())


def test_is_a_model_like_any_other(text_models: Callable[..., Path], load_text: Load) -> None:
    model = load_text(text_models())
    assert isinstance(model, AnyModel)
    assert model.device == torch.device("cpu")
    assert unwrap(model) is model.inner
    copied = copy.deepcopy(model)
    assert copied.inner is not model.inner and copied.tokenizer is model.tokenizer
