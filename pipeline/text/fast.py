"""Fast tokenizers: those that the `tokenizers` library runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.text.sentences import Tokens
from pipeline.text.tokenizer import Encoded, Texts

if TYPE_CHECKING:
    import tokenizers


class FastBackend:
    """A `tokenizers.Tokenizer`.

    Args:
        tokenizer: copied; its own settings of padding and truncation are left aside.
        max_length: tokens of a sample at most.
        pad_id: of the padding token.
        special_ids: tokens that are special wherever they stand, such as a "[SEP]" that was written in a text.
        segmented: whether models are told which tokens belong to the second text of a pair.
    """

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        max_length: int,
        *,
        pad_id: int,
        special_ids: Collection[int],
        segmented: bool,
    ) -> None:
        self._whole, self._cut = (type(tokenizer).from_str(tokenizer.to_str()) for _ in range(2))
        for own in (self._whole, self._cut):
            own.no_padding()
            own.no_truncation()
        self._cut.enable_truncation(max_length, strategy="longest_first")
        self._special = np.array(sorted(special_ids), np.int32)
        self.vocabulary: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
        self.pad_id = pad_id
        self.specials: int = tokenizer.num_special_tokens_to_add(False)
        self.segmented = segmented

    def encode(self, texts: Sequence[Texts], *, cut: bool = True) -> list[Encoded]:
        inputs = [sample[0] if len(sample) == 1 else sample for sample in texts]
        return [self._encoded(one) for one in (self._cut if cut else self._whole).encode_batch(inputs)]

    def surfaces(self) -> dict[int, str]:
        ids = list(self.vocabulary.values())
        decoded = self._whole.decode_batch([[index] for index in ids], skip_special_tokens=True)
        return {index: text.strip() for index, text in zip(ids, decoded, strict=True)}

    def to_json(self) -> bytes:
        return str(self._whole.to_str()).encode()

    def _encoded(self, encoding: Any) -> Encoded:
        ids = np.array(encoding.ids, np.int32)
        text = np.array([-1 if number is None else number for number in encoding.sequence_ids], np.int8)
        special = (text < 0) | np.isin(ids, self._special)
        segments = np.where(special, -1 - np.array(encoding.type_ids, np.int8), text).astype(np.int8)
        spans = [(int(number), start, end) for number, (start, end) in zip(text, encoding.offsets, strict=True)]
        return Encoded(Tokens(ids, segments), spans)
