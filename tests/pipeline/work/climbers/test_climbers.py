"""The climbers of text on models whose best answer is known: logits are sums of one number per word."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.models import TextModel
from pipeline.shards.rows import RowFormat
from pipeline.text.sentences import Sentence, Tokens
from pipeline.text.tokenizer import Encoded, Texts, Tokenizer
from pipeline.work.climbers.embedding import EmbeddingClimber
from pipeline.work.climbers.token import TokenClimber
from schemas.config import Config, parse_config

WORDS = [f"{first}{second}" for first in "bcdfghjklm" for second in ("an", "el", "ip")]


class Words:
    """A tokenizer of words between spaces; ids 0 and 1 are padding and the unknown word."""

    vocabulary: ClassVar[dict[str, int]] = {
        **{"[PAD]": 0, "[UNK]": 1, "a": 2},
        **{word: number for number, word in enumerate(WORDS, 3)},
    }
    pad_id = 0
    segmented = False

    def encode(self, texts: list[Texts], *, cut: bool = True) -> list[Encoded]:
        found = []
        for (text,) in texts:
            spans, start = [], 0
            for word in text.split(" "):
                spans.append((0, start, start + len(word)))
                start += len(word) + 1
            ids = np.array([self.vocabulary.get(text[low:high], 1) for _, low, high in spans], np.int32)
            found.append(Encoded(Tokens(ids, np.zeros(len(ids), np.int8)), spans))
        return found

    def surfaces(self) -> dict[int, str]:
        return {number: word for word, number in self.vocabulary.items() if word.isalpha()}

    def to_json(self) -> None:
        return None


class Sum(nn.Module):
    """Logits (N, 2): the sum of what each word says, and 0."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        size = len(Words.vocabulary)
        self.embedding = nn.Embedding(size, 2)
        angles = torch.linspace(0, 1, size)
        self.embedding.weight.data = torch.stack([angles.cos(), angles.sin()], dim=1)
        self.slope = slope

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        said = (self.embedding(input_ids)[..., 1] * attention_mask).sum(dim=1) * self.slope
        return torch.stack([said, torch.zeros_like(said)], dim=1)


@pytest.fixture
def pair() -> tuple[TextModel, TextModel]:
    """Teacher and student: the gap is the squared sum of the words' second number."""
    return tuple(TextModel(Sum(slope).requires_grad_(False), Tokenizer(Words(), 32)) for slope in (3.0, 2.0))


def config(**mine: object) -> Config:
    return parse_config(
        {
            "run": {"output": "unused"},
            "data": {"kind": "text", "train": "unused", "max_length": 32},
            "teacher": {"factory": "unused:Model"},
            "student": {"factory": "unused:Model"},
            "mine": mine,
        }
    )


def climb(kind: Callable[..., object], pair: tuple[TextModel, TextModel], texts: list[str], **mine: object):
    settings = config(**mine)
    rows = kind.row_format(RowFormat("text", "fp32", 2, (1,), "classification"), settings, pair[1])
    climber = kind(settings, *pair, rows, *([torch.device("cpu")] if kind is TokenClimber else []))
    stored = rows.kind_.stack([Sentence((text,)) for text in texts])
    return climber(stored, torch.Generator().manual_seed(0))


def says(text: str) -> float:
    angles = torch.linspace(0, 1, len(Words.vocabulary)).sin()
    return float(sum(angles[Words.vocabulary[word]] for word in text.split(" ")))


def test_the_words_that_gain_most_are_exchanged_for_the_best_of_their_neighbours(pair) -> None:
    # Neighbours are those nearest in angle: 6 of them are 3 to either side, and the best is the third above.
    text = f"{WORDS[4]} {WORDS[8]} {WORDS[12]} {WORDS[-1]}"
    end = climb(TokenClimber, pair, [text], output="token", neighbours=6, max_changes=0.5, candidates=6)
    (new,) = end.stored[0].texts
    expected = f"{WORDS[7]} {WORDS[11]} {WORDS[12]} {WORDS[-1]}"
    assert new == expected
    assert end.steps.tolist() == [2]
    assert end.gap_before[0] == pytest.approx(says(text) ** 2, rel=1e-4)
    assert end.gap[0] == pytest.approx(says(expected) ** 2, rel=1e-4)


def test_a_climb_moves_the_words_among_which_is_looked(pair) -> None:
    near, far = (
        climb(TokenClimber, pair, [WORDS[0]], output="token", neighbours=2, steps=steps, step_size=0.5)
        .stored[0]
        .texts[0]
        for steps in (0, 1)
    )
    assert WORDS.index(near) == 1
    assert WORDS.index(far) > 5


def test_no_better_word_leaves_the_text_as_it_is(pair) -> None:
    end = climb(TokenClimber, pair, [WORDS[-1], "unknown words only"], output="token", neighbours=4)
    assert [sentence.texts[0] for sentence in end.stored] == [WORDS[-1], "unknown words only"]
    assert end.steps.tolist() == [0, 0]


def test_shifts_are_stored_as_their_codec_gives_them_back(pair) -> None:
    for delta in ("fp16", "int8"):
        end = climb(EmbeddingClimber, pair, [WORDS[0], f"{WORDS[3]} {WORDS[5]}"], output="embedding", delta=delta)
        for sentence in end.stored:
            shift = sentence.perturbed.delta
            # Uphill is along the second number only, by the step size for each word: two steps of 0.6.
            assert np.allclose(shift, [[0, 1.2]] * len(shift), atol=1e-2)
        assert (end.gap > end.gap_before).all()
