"""What every row must be, whoever made it. Reading refuses the first that is not; verification lists all of them."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.kinds import Kind
from pipeline.logits import Codec
from pipeline.shards.labels import LabelColumn
from pipeline.shards.masks import Mask, Wrong, true
from pipeline.shards.origins import AUXILIARY, SOURCE
from schemas.errors import SampleError, clipped

MAX_KEY = 250
"""Bytes of a key; with a file's extension it is still the name of a file."""

_SOURCE_KEY = r"\A[A-Za-z0-9_-]+\z"
_AUXILIARY_KEY = r"\A[A-Za-z0-9_-]+\+r[0-9]{2,}(\+[0-9]+)?\z"
_SHOWN = re.compile(r"[A-Za-z0-9_+-]+")
_CLIMB = ("parent_key", "round", "gap_before", "gap_after", "steps")


def wrong_rows(batch: pa.RecordBatch, kind: Kind, labels: LabelColumn, codec: Codec) -> Wrong:
    """Rows of a data set's table; all columns, but of the samples only whether they are there."""
    for name in ("key", kind.column, "teacher_logits", "origin"):
        yield true(batch[name].is_null()), f"has no {name}"
    own, mined = true(pc.equal(batch["origin"], SOURCE)), true(pc.equal(batch["origin"], AUXILIARY))
    yield ~(own | mined), f"its origin is neither {SOURCE} nor {AUXILIARY}"
    yield from wrong_keys(batch["key"], own, mined)
    for name in _CLIMB:
        known = true(batch[name].is_valid())
        yield own & known, f"is a source sample with a {name}"
        yield mined & ~known, f"is an auxiliary sample without {name}"
    for name in kind.mined:
        yield own & true(batch[name].is_valid()), f"is a source sample with {name}, which only auxiliary ones have"
    yield from _wrong_climbs(batch)
    yield from labels.wrong(batch["label"])
    yield from _wrong_logits(batch["teacher_logits"], codec)


def wrong_cached(batch: pa.RecordBatch, codec: Codec) -> Wrong:
    """Rows of cached teacher logits, which are those of source samples."""
    for name in batch.schema.names:
        yield true(batch[name].is_null()), f"has no {name}"
    own = true(batch["key"].is_valid())
    yield from wrong_keys(batch["key"], own, ~own)
    yield from _wrong_logits(batch["logits"], codec)


def wrong_keys(keys: pa.Array, own: Mask, mined: Mask) -> Wrong:
    """Keys of source samples where `own` is set, of auxiliary ones where `mined` is; each can be the name of a file."""
    yield true(pc.greater(pc.binary_length(keys), MAX_KEY)), f"its key has more than {MAX_KEY} bytes"
    yield own & _unlike(keys, _SOURCE_KEY), "the key of a source sample has letters, digits, _ and - only"
    yield mined & _unlike(keys, _AUXILIARY_KEY), "the key of an auxiliary sample is its parent's with +rNN, or +rNN+K"


def refuse_first(keys: pa.Array, wrong: Wrong) -> None:
    """Check that no row is wrong.

    Raises:
        SampleError: the first row that is wrong in the first respect, by its key of N.
    """
    for mask, what in wrong:
        if mask.any():
            raise SampleError(f"{_named(keys, int(mask.argmax()))}: {what}")


def _wrong_climbs(batch: pa.RecordBatch) -> Wrong:
    """What is known of climbs; null is passed over."""
    parents, rounds = batch["parent_key"], batch["round"]
    yield true(parents.is_valid()) & _unlike(parents, _SOURCE_KEY), "its parent_key is none of a source sample"
    yield true(pc.less(rounds, 1)), "its round is less than 1"
    # The number of a repeated climb does not belong to the comparison.
    key = pc.replace_substring_regex(batch["key"], r"(\+r[0-9]+)\+[0-9]+\z", r"\1")
    expected = pc.binary_join_element_wise(parents, pc.utf8_lpad(rounds.cast(pa.string()), 2, "0"), "+r")
    yield true(pc.not_equal(key, expected)), "its key is not that of its parent and round"
    for name in ("gap_before", "gap_after"):
        yield true(pc.invert(pc.is_finite(batch[name]))), f"its {name} is not finite"
    yield true(pc.less(batch["steps"], 0)), "its steps are less than 0"


def _wrong_logits(column: pa.Array, codec: Codec) -> Wrong:
    # With one that is missing a codec cannot tell the others apart; that one has been named.
    if not column.null_count:
        yield ~codec.valid(column), "its teacher logits are not all finite"


def _unlike(keys: pa.Array, pattern: str) -> Mask:
    return ~true(pc.match_substring_regex(keys, pattern))


def _named(keys: pa.Array, row: int) -> str:
    """A row by its key, and by its number where the key is none that can be shown; it may not even be UTF-8."""
    data = keys[row].as_buffer()
    if data is None:
        return f"row {row}"
    key = data.to_pybytes()[:500].decode(errors="backslashreplace")
    return f"sample {clipped(key)}" if _SHOWN.fullmatch(key) else f"row {row}, key {clipped(repr(key))}"
