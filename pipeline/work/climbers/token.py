"""Text, stored as sentences in which a few words are exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch

from pipeline.kinds import Stored
from pipeline.mining.embedding import mean_norm
from pipeline.mining.replacement import nearest_words, promised_gains
from pipeline.models import AnyModel, TextModel
from pipeline.shards.rows import RowFormat
from pipeline.text.sentences import Sentence
from pipeline.text.tokenizer import Texts
from pipeline.text.words import Draft, alike, in_case_of
from pipeline.work.climbers.base import Ends, build_objective
from pipeline.work.climbers.embedding import Shifted, climb_embeddings
from pipeline.work.setup import predict
from schemas.config import Config

_TOGETHER = 2
"""Words that are exchanged at once at most: half as many gradients and trials as one by one, for about the same gap."""


@dataclass
class _Sentence:
    """One sentence on its way.

    Attributes:
        draft: as it is now.
        near: int64 (words, neighbours), for each word of the draft the numbers of words that may take its place.
        left: how many words may still be exchanged.
        made: how many have been.
    """

    draft: Draft
    near: npt.NDArray[np.int64]
    left: int
    made: int = field(default=0)


@dataclass(frozen=True, slots=True)
class _Offer:
    """A word, by its number in the draft, and what would stand in its place; the gap would grow by `gain` if linear."""

    word: int
    written: str
    gain: float


@dataclass(frozen=True)
class _Gradient:
    """Of the gap of one sentence.

    Attributes:
        embeddings, gradient: (L, D), of its tokens.
        places: (number of the text, first character) -> index of the token.
    """

    embeddings: torch.Tensor
    gradient: torch.Tensor
    places: dict[tuple[int, int], int]


class TokenClimber:
    """Climbs in embedding space, then exchanges words for some of those nearest to the end of the climb.

    Sweep by sweep, the gradient of the gap finds the best neighbour for each word of a sentence and ranks the words. Of
    these exchanges, two at a time, the first `mine.candidates` are tried: both models see the new sentence itself. The
    one with the largest gap is taken, if that is larger than before.
    """

    tolerated: float | None = None

    def __init__(
        self, config: Config, teacher: TextModel, opponent: TextModel, rows: RowFormat, device: torch.device
    ) -> None:
        self._mine, self._teacher, self._opponent, self._device = config.mine, teacher, opponent, device
        self._kind, self._objective = rows.kind_, build_objective(config.mine)
        self._tokenizer, self._unit = opponent.tokenizer, mean_norm(opponent.embeddings)
        ids, self._surfaces = self._tokenizer.words()
        self._number = {token: number for number, token in enumerate(ids.tolist())}
        self._ids = torch.from_numpy(ids).to(device)

    @staticmethod
    def row_format(rows: RowFormat, config: Config, opponent: AnyModel) -> RowFormat:
        return rows

    @property
    def _words(self) -> torch.Tensor:
        """(W, D) embeddings of all words, of the opponent as it is now: it may have been trained since."""
        return self._opponent.embeddings.detach()[self._ids]

    def __call__(self, parents: Stored, generator: torch.Generator) -> Ends:
        end = climb_embeddings(self._mine, self._teacher, self._opponent, self._unit, parents, generator)
        texts = [sentence.texts for sentence in parents]
        gap = before = self._gaps(texts)
        sentences = self._begin(texts, end)
        while going := [row for row, sentence in enumerate(sentences) if sentence.left]:
            gap = self._sweep(sentences, going, gap.clone())
        return Ends(
            stored=self._kind.stack([Sentence(sentence.draft.texts) for sentence in sentences]),
            gap_before=before,
            gap=gap,
            steps=torch.tensor([sentence.made for sentence in sentences]),
            finite=before.isfinite() & end.climb.finite.cpu(),
        )

    def _begin(self, texts: list[Texts], end: Shifted) -> list[_Sentence]:
        """Every sentence with its words and their neighbours."""
        known, embeddings = set(self._number), self._words
        sentences = []
        for row, spans in enumerate(self._tokenizer.offsets(texts)):
            tokens = end.tokens[row]
            draft = Draft.of(texts[row], tokens, spans, known)
            places = dict(zip(spans, np.flatnonzero(tokens.real).tolist(), strict=True))
            at = [places[(word.text, word.start, word.end)] for word in draft.words if word is not None]
            ids = torch.from_numpy(tokens.ids[at]).long().to(self._device)
            points = self._opponent.embeddings.detach()[ids] + end.shift[row, at]
            near = nearest_words(points, embeddings, self._mine.neighbours + 1).cpu().numpy()
            sentences.append(_Sentence(draft, near, max(1, int(self._mine.max_changes * len(at))) if at else 0))
        return sentences

    def _sweep(self, sentences: list[_Sentence], going: list[int], gap: torch.Tensor) -> torch.Tensor:
        """Exchange some more words of the sentences `going`; the gaps of all afterwards."""
        offered = self._offers([sentences[row] for row in going])
        trials = [
            (row, len(offers), _exchanged(sentences[row].draft, offers))
            for row, ranked in zip(going, offered, strict=True)
            for offers in self._choices(ranked, sentences[row].left)
        ]
        best: dict[int, tuple[int, Draft]] = {}
        gaps = self._gaps([draft.texts for _, _, draft in trials]).tolist() if trials else []
        for (row, count, draft), found in zip(trials, gaps, strict=True):
            if found > float(gap[row]):
                gap[row], best[row] = found, (count, draft)
        for row in going:
            if row not in best:
                sentences[row].left = 0  # the same would be offered again
                continue
            count, sentences[row].draft = best[row]
            sentences[row].left -= count
            sentences[row].made += count
        return gap

    def _choices(self, ranked: list[_Offer], left: int) -> list[tuple[_Offer, ...]]:
        """What to try: the offers that promise most, two at a time where two are left."""
        together = min(_TOGETHER, left, len(ranked))
        # The first few offers have all the best combinations of two.
        choices = combinations(ranked[: self._mine.candidates + 1], together) if together else iter(())
        return sorted(choices, key=lambda offers: -sum(offer.gain for offer in offers))[: self._mine.candidates]

    def _offers(self, sentences: list[_Sentence]) -> Iterator[list[_Offer]]:
        """For each sentence the exchanges that promise most."""
        gradients, embeddings = self._gradients([sentence.draft.texts for sentence in sentences]), self._words
        for sentence, found in zip(sentences, gradients, strict=True):
            places = {n: found.places.get((w.text, w.start)) for n, w in enumerate(sentence.draft.words) if w}
            # A word may be cut off where those before it have become longer.
            numbers, at = [n for n in places if places[n] is not None], [i for i in places.values() if i is not None]
            near = torch.from_numpy(sentence.near[numbers])
            there = embeddings[near.to(self._device)]
            gains = promised_gains(found.gradient[at], found.embeddings[at], there).cpu()
            yield self._best(sentence.draft, numbers, near, gains)

    def _best(self, draft: Draft, numbers: list[int], near: torch.Tensor, gains: torch.Tensor) -> list[_Offer]:
        """The best offer for each word, the largest gain first; `gains` are (words, neighbours)."""
        offers = []
        for number, words, row in zip(numbers, near.tolist(), gains.tolist(), strict=True):
            word, old = draft.words[number], draft.written(number)
            assert word is not None
            fitting = [
                (gain, new) for gain, index in zip(row, words, strict=True) if alike(old, new := self._surfaces[index])
            ]
            if fitting:
                gain, new = max(fitting)
                written = in_case_of(old, new, self._surfaces[self._number[word.token]])
                offers.append(_Offer(number, written, gain))
        return sorted(offers, key=lambda offer: -offer.gain)

    def _gradients(self, texts: list[Texts]) -> Iterator[_Gradient]:
        """Of the gaps of N sentences by the shift of their tokens, at no shift; one sentence after the other."""
        tokens = self._tokenizer.encode(texts)
        batch = self._tokenizer.batch(tokens).to(self._device)
        embeddings = self._opponent.embeddings.detach()[batch.ids]
        shift = torch.zeros_like(embeddings).requires_grad_()
        shifted = batch.with_delta(shift)
        gap = self._objective(self._teacher.run(shifted).float(), self._opponent.run(shifted).float())
        (gradient,) = torch.autograd.grad(gap.sum(), shift)
        for row, spans in enumerate(self._tokenizer.offsets(texts)):
            real = np.flatnonzero(tokens[row].real).tolist()
            places = {(text, start): index for (text, start, _), index in zip(spans, real, strict=True)}
            yield _Gradient(embeddings[row], gradient[row], places)

    def _gaps(self, texts: list[Texts]) -> torch.Tensor:
        """(N,) float32 gaps of sentences, on the CPU."""
        stored = self._kind.stack([Sentence(parts) for parts in texts])
        size = self._mine.batch_size
        outputs = (predict(model, self._kind, stored, size, self._device) for model in (self._teacher, self._opponent))
        return self._objective(*outputs)


def _exchanged(draft: Draft, offers: Sequence[_Offer]) -> Draft:
    for offer in offers:
        draft = draft.exchanged(offer.word, offer.written)
    return draft
