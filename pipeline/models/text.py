"""The wrapper round text models: sentences in, perturbed ones too, logits out."""

from __future__ import annotations

import inspect
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.base import AnyModel, as_logits
from pipeline.models.embedding import Edit, edited, embedding_matrix, token_embedding
from pipeline.text.batch import TokenBatch
from pipeline.text.sentences import Perturbed, Sentences
from pipeline.text.tokenizer import Tokenizer
from schemas.errors import UserError

Form = Literal["offset", "embedding"]


class TextModel(AnyModel):
    """A text model and its tokenizer.

    `inner` is called as `inner(input_ids=..., attention_mask=...)`, and with `token_type_ids` if it tells the texts of
    a pair apart by them. Where a sample's embeddings are shifted, the shift is added to what the module of
    `inner.get_input_embeddings()` gives, at real tokens only; with shifts of zero the logits are those without any.

    Args:
        inner: a transformers classifier, or an own model with the same two methods, `forward` and
            `get_input_embeddings`.
        tokenizer: of its vocabulary.
        untrained: a weight that is new although the rest is pretrained, for who has to warn of it.

    Raises:
        UserError: it does not tell its embeddings, or has fewer of them than the tokenizer has ids.
    """

    matrix: Tensor | None
    student_embeddings: Tensor | None

    def __init__(self, inner: nn.Module, tokenizer: Tokenizer, untrained: str | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.tokenizer = tokenizer
        self.untrained = untrained
        self.form: Form = "offset"
        self.register_buffer("matrix", None, persistent=False)
        self.register_buffer("student_embeddings", None, persistent=False)
        self._told_segments = tokenizer.segmented and _takes_segments(inner)
        rows, largest = len(self.embeddings), max(tokenizer.vocabulary.values())
        if largest >= rows:
            raise UserError(f"has embeddings for ids 0 to {rows - 1}, but its tokenizer has id {largest}")

    @property
    def embeddings(self) -> Tensor:
        """(V, D), the embedding of each token; shares memory with the model."""
        return embedding_matrix(token_embedding(self.inner))

    def carrying(self, matrix: Tensor | None, form: Form, student_embeddings: Tensor | None) -> TextModel:
        """The same model, not a copy, that takes shifts in the space of another model's embeddings.

        Args:
            matrix: Q, (D, D'), from that space to this model's own; None where they are the same space.
            form: "offset" adds Q delta to the own embedding E[ids]. "embedding" puts Q (E'[ids] + delta) in its place,
                in samples that are perturbed at all.
            student_embeddings: E', (V, D'), for form "embedding".
        """
        if form == "embedding" and student_embeddings is None:
            raise ValueError('form "embedding" needs student_embeddings')
        view = TextModel(self.inner, self.tokenizer)
        view.form, view.training = form, self.training
        view.matrix = None if matrix is None else matrix.to(self.device)
        if form == "embedding" and student_embeddings is not None:
            view.student_embeddings = student_embeddings.to(self.device)
        return view

    def forward(self, inputs: Sentences) -> Tensor:
        """Logits (N, K) for N > 0 sentences.

        Raises:
            UserError: the model's output or a perturbation does not fit.
        """
        perturbed = np.array([sentence.perturbed is not None for sentence in inputs])
        if self.form == "offset" or perturbed.all() or not perturbed.any():
            return self.run(self.tokenize(inputs))
        # Zero shift is not the plain sentence in this form, so the two kinds run apart.
        parts = [np.flatnonzero(perturbed), np.flatnonzero(~perturbed)]
        logits = torch.cat([self.run(self.tokenize(Sentences(inputs.stored[part]))) for part in parts])
        return logits[torch.from_numpy(np.argsort(np.concatenate(parts))).to(logits.device)]

    def tokenize(self, inputs: Sentences) -> TokenBatch:
        """Tokens of N > 0 sentences on the model's device; `delta` is None if none of them is perturbed.

        Raises:
            UserError: a perturbed sentence was made with another vocabulary, or other embeddings.
        """
        texts = iter(self.tokenizer.encode([one.texts for one in inputs if one.perturbed is None]))
        tokens = [next(texts) if one.perturbed is None else one.perturbed.tokens for one in inputs]
        batch = self.tokenizer.batch(tokens)
        shifts = [(row, one.perturbed) for row, one in enumerate(inputs) if one.perturbed is not None]
        if shifts:
            batch = batch.with_delta(self._deltas(batch, shifts))
        return batch.to(self.device)

    def run(self, batch: TokenBatch) -> Tensor:
        """Logits (N, K); `batch` is on the model's device. Gradients flow to its `delta`."""
        given = {"input_ids": batch.ids, "attention_mask": batch.mask}
        if self._told_segments:
            given["token_type_ids"] = batch.segments
        with edited(token_embedding(self.inner), batch.ids.shape, self._edit(batch)):
            output = self.inner(**given)
        return as_logits(output, len(batch))

    def _edit(self, batch: TokenBatch) -> Edit | None:
        if batch.delta is None:
            return None
        real = batch.real[..., None]
        if self.student_embeddings is None:
            shift = torch.where(real, self._carried(batch.delta), 0.0)
            return lambda own: own + shift
        carried = self._carried(functional.embedding(batch.ids, self.student_embeddings) + batch.delta)
        return lambda own: torch.where(real, carried.to(own.dtype), own)

    def _carried(self, vectors: Tensor) -> Tensor:
        return vectors if self.matrix is None else vectors @ self.matrix.T.to(vectors.dtype)

    def _deltas(self, batch: TokenBatch, shifts: list[tuple[int, Perturbed]]) -> Tensor:
        vocabulary, own = self.embeddings.shape
        width = own if self.matrix is None else self.matrix.shape[1]
        delta = torch.zeros(*batch.ids.shape, width)
        for row, perturbed in shifts:
            found, largest = perturbed.delta.shape[1], int(perturbed.tokens.ids.max(initial=0))
            if found != width or largest >= vocabulary:
                raise UserError(
                    f"a perturbed sample has token id {largest} and {found} numbers per token, the model takes ids "
                    f"below {vocabulary} and {width} numbers; it was made for a student with other embeddings"
                )
            delta[row, batch.real[row]] = torch.from_numpy(perturbed.delta)
        return delta


def _takes_segments(inner: nn.Module) -> bool:
    """Whether a model tells the texts of a pair apart by token types: many take the argument and know one type only."""
    config = getattr(inner, "config", None)
    types = 2 if config is None else getattr(config, "type_vocab_size", None) or 0
    return types > 1 and "token_type_ids" in inspect.signature(inner.forward).parameters
