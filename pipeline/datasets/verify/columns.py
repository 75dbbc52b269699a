"""What each row of a shard must be, column by column, without a look at other shards or into images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets.verify.verdict import Mask
from pipeline.logits import Codec
from pipeline.shards.limits import MAX_KEY
from pipeline.shards.rows import AUXILIARY, SOURCE, RowFormat

SOURCE_KEY = r"^[A-Za-z0-9_-]+$"
AUXILIARY_KEY = r"^[A-Za-z0-9_-]+\+r\d{2,}(\+\d+)?$"
_CLIMB = ("parent_key", "round", "gap_before", "gap_after", "steps")
_GAPS = ("gap_before", "gap_after")
_ROUNDING = 1e-4
"""How far below zero the rounding of fp32 may put a divergence that is zero."""

Wrong = Iterator[tuple[Mask, str]]
"""bool (N,) of the rows that are wrong, and what is wrong with them."""


@dataclass(frozen=True)
class Rules:
    """What the manifest says of all rows.

    Attributes:
        origins: that may come.
        rounds: that may come.
        grew: every gap is larger after the climb.
        distance: gaps are distances or divergences, so none is negative.
    """

    origins: tuple[str, ...]
    rounds: tuple[int, ...]
    grew: bool
    distance: bool


def wrong_rows(batch: pa.RecordBatch, rows: RowFormat, rules: Rules) -> Wrong:
    """Check everything but the samples themselves; `batch` has the schema of `rows`."""
    origin = batch["origin"]
    yield ~true(pc.is_in(origin, pa.array(rules.origins))), f"its origin is none of {', '.join(rules.origins)}"
    own, mined = true(pc.equal(origin, SOURCE)), true(pc.equal(origin, AUXILIARY))
    yield from _keys(batch["key"], own, mined)
    for name in _CLIMB:
        known = true(batch[name].is_valid())
        yield own & known, f"a source sample has a {name}"
        yield mined & ~known, f"an auxiliary sample has no {name}"
    yield from _climbs(batch, rules)
    yield from _labels(batch["label"], rows)
    yield from wrong_logits(batch["teacher_logits"], rows.codec_)
    yield true(batch[rows.kind_.column].is_null()), f"has no {rows.kind_.column}"


def wrong_logits(column: pa.Array, codec: Codec) -> Wrong:
    """(N,) stored logits: there, and finite."""
    absent = true(column.is_null())
    yield absent, "has no teacher logits"
    if not absent.any():
        yield ~codec.decode(column).isfinite().all(dim=1).numpy(), "its teacher logits are not all finite"


def true(condition: pa.Array) -> Mask:
    """bool (N,); null counts as False."""
    mask: Mask = condition.fill_null(False).to_numpy(zero_copy_only=False)
    return mask


def _keys(keys: pa.Array, own: Mask, mined: Mask) -> Wrong:
    yield true(pc.greater(pc.binary_length(keys), MAX_KEY)), f"its key has more than {MAX_KEY} bytes"
    plain = true(pc.match_substring_regex(keys, SOURCE_KEY))
    yield own & ~plain, "a key of a source sample has letters, digits, _ and - only"
    suffixed = true(pc.match_substring_regex(keys, AUXILIARY_KEY))
    yield mined & ~suffixed, "a key of an auxiliary sample ends in +rNN, or +rNN+K"


def _climbs(batch: pa.RecordBatch, rules: Rules) -> Wrong:
    round_, parent = batch["round"], batch["parent_key"]
    known = true(round_.is_valid())
    yield known & ~true(pc.is_in(round_, pa.array(rules.rounds, pa.int32()))), "its round is none of the manifest's"
    # The number of a repeated climb does not belong to the comparison.
    key = pc.replace_substring_regex(batch["key"], r"(\+r\d+)\+\d+$", r"\1")
    expected = pc.binary_join_element_wise(parent, pc.utf8_lpad(round_.cast(pa.string()), 2, "0"), "+r")
    yield true(pc.not_equal(key, expected)), "its key is not that of its parent and round"
    for name in _GAPS:
        yield true(pc.invert(pc.is_finite(batch[name]))), f"{name} is not finite"
        if rules.distance:
            yield true(pc.less(batch[name], -_ROUNDING)), f"{name} is negative"
    if rules.grew:
        fell = pc.less_equal(batch["gap_after"], batch["gap_before"])
        yield true(fell), 'gap_after is not above gap_before, though mine.keep = "grew"'
    yield true(pc.less(batch["steps"], 0)), "steps is negative"


def _labels(column: pa.Array, rows: RowFormat) -> Wrong:
    if rows.task == "classification":
        outside = pc.or_(pc.less(column, 0), pc.greater_equal(column, rows.width))
        yield true(outside), f"its label is none of the {rows.width} classes"
        return
    wrong = true(pc.not_equal(pc.list_value_length(column), rows.targets))
    yield wrong, f"its label is not {rows.targets} numbers"
    # NaN stands for an unknown number.
    infinite = np.zeros(len(column), np.bool_)
    infinite[pc.list_parent_indices(column).filter(pc.is_inf(column.flatten())).to_numpy()] = True
    yield infinite, "its label is not finite"
