"""Rows of a data set: as arrays for training and mining, as an Arrow table for files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.kinds import Kind, Stored
from pipeline.logits import Codec, Logits, concatenated
from pipeline.shards.checks import refuse_first, wrong_keys, wrong_rows
from pipeline.shards.labels import ClassColumn, LabelColumn, TargetColumn
from pipeline.shards.origins import AUXILIARY, SOURCE
from schemas.errors import RowError, SampleError, UserError
from schemas.registry import CODECS, DELTAS, KINDS


@dataclass(frozen=True, slots=True)
class Rows:
    """N labelled samples.

    Attributes:
        keys: N unique names.
        stored: (N, ...) samples in stored form; (N,) objects for text.
        labels: int64 (N,), -1 where unknown; for regression float32 (N, T), NaN where unknown.
        logits: teacher outputs, as the codec has compressed them.
        is_source: bool (N,), False for auxiliary samples.
    """

    keys: list[str]
    stored: Stored
    labels: npt.NDArray[Any]
    logits: Logits
    is_source: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Climbs:
    """What only auxiliary samples have; arrays of N.

    Attributes:
        parents: key of the source sample each came from.
        round: number of the round, from 1.
        gap_before, gap_after: float32, see `gap` in the manifest's objective.
        steps: int64 steps of the climb.
    """

    parents: list[str]
    round: int
    gap_before: npt.NDArray[np.float32]
    gap_after: npt.NDArray[np.float32]
    steps: npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowFormat:
    """Everything needed to turn rows into a table and back; stored in the manifest of a data set.

    Attributes:
        kind: name in KINDS.
        codec, codec_options: name in CODECS, and what it is built with.
        width: K, logits per sample.
        shape: of one stored sample.
        task: classification or regression.
        targets: T, numbers per label in regression.
        class_names: names of the classes where known.
        delta: name in DELTAS, where text has perturbed embeddings.
    """

    kind: str
    codec: str
    width: int
    shape: tuple[int, ...]
    task: Literal["classification", "regression"]
    targets: int = 1
    class_names: tuple[str, ...] | None = None
    delta: str | None = None
    codec_options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @cached_property
    def kind_(self) -> Kind:
        """What `kind` names."""
        delta = None if self.delta is None else DELTAS.build(self.delta)
        kind: Kind = KINDS.build(self.kind, delta=delta)
        return kind

    @cached_property
    def codec_(self) -> Codec:
        """What `codec` names."""
        codec: Codec = CODECS.build(self.codec, self.codec_options, width=self.width)
        return codec

    @cached_property
    def labels_(self) -> LabelColumn:
        """The label column of the task."""
        return (
            ClassColumn(self.width, self.class_names) if self.task == "classification" else TargetColumn(self.targets)
        )

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow schema of a data set's table, with the metadata that Hugging Face `datasets` reads."""
        fields = [
            pa.field("key", pa.string(), nullable=False),
            # Hugging Face takes a feature only for a field that equals its own, and its own are all nullable.
            *(pa.field(name, type_) for name, type_ in self.kind_.arrow_types(self.shape).items()),
            pa.field("label", self.labels_.arrow_type),
            pa.field("teacher_logits", self.codec_.column_type(self.width), nullable=False),
            pa.field("origin", pa.string(), nullable=False),
            pa.field("parent_key", pa.string()),
            pa.field("round", pa.int32()),
            pa.field("gap_before", pa.float32()),
            pa.field("gap_after", pa.float32()),
            pa.field("steps", pa.int32()),
        ]
        known = {**self.kind_.features, "label": self.labels_.feature}
        features = {field.name: known.get(field.name) or _feature(field.type) for field in fields}
        return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})

    def encode(self, rows: Rows, climbs: Climbs | None = None) -> pa.Table:
        """Rows -> table; `climbs` where they are auxiliary.

        Raises:
            UserError: a key that no data set may have, which only a source of the user's own code can give.
        """
        count, keys = len(rows), pa.array(rows.keys, pa.string())
        try:
            refuse_first(keys, wrong_keys(keys, rows.is_source, ~rows.is_source))
        except SampleError as error:
            raise UserError(str(error)) from None
        columns = {
            "key": keys,
            **self.kind_.to_columns(rows.keys, rows.stored, self.shape),
            "label": self.labels_.encode(rows.labels),
            "teacher_logits": self.codec_.encode(rows.logits),
            "origin": pc.if_else(pa.array(rows.is_source), SOURCE, AUXILIARY),
            "parent_key": pa.array(climbs.parents, pa.string()) if climbs else pa.nulls(count, pa.string()),
            "round": pa.repeat(pa.scalar(climbs.round if climbs else None, pa.int32()), count),
            "gap_before": pa.array(climbs.gap_before, pa.float32()) if climbs else pa.nulls(count, pa.float32()),
            "gap_after": pa.array(climbs.gap_after, pa.float32()) if climbs else pa.nulls(count, pa.float32()),
            "steps": pa.array(climbs.steps, pa.int32()) if climbs else pa.nulls(count, pa.int32()),
        }
        return pa.table(columns, schema=self.schema)

    def decode(self, table: pa.Table) -> Rows:
        """Table -> rows, in memory of their own.

        Raises:
            SampleError: a sample is broken, which a verified data set has none of; the message says which.
        """
        # One batch, unless the images have more than 2 GiB, which is where an Arrow array of them ends.
        batches = table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]
        pieces = [self._decode(batch) for batch in batches]
        return pieces[0] if len(pieces) == 1 else _join(pieces)

    def _decode(self, batch: pa.RecordBatch) -> Rows:
        refuse_first(batch["key"], wrong_rows(batch, self.kind_, self.labels_, self.codec_))
        keys = batch["key"].to_pylist()
        try:
            return Rows(
                keys=keys,
                stored=self.kind_.from_columns(batch, self.shape),
                labels=self.labels_.decode(batch["label"]),
                logits=self.codec_.decode(batch["teacher_logits"]),
                is_source=pc.equal(batch["origin"], SOURCE).to_numpy(zero_copy_only=False),
            )
        except RowError as error:
            raise SampleError(f"sample {keys[error.row]}: {error.reason}") from None


def _join(pieces: list[Rows]) -> Rows:
    return Rows(
        keys=[key for piece in pieces for key in piece.keys],
        stored=np.concatenate([piece.stored for piece in pieces]),
        labels=np.concatenate([piece.labels for piece in pieces]),
        logits=concatenated([piece.logits for piece in pieces]),
        is_source=np.concatenate([piece.is_source for piece in pieces]),
    )


def _feature(type_: pa.DataType) -> dict[str, Any]:
    """The feature that Hugging Face `datasets` has for an Arrow type."""
    if pa.types.is_list(type_) or pa.types.is_fixed_size_list(type_):
        # Newer versions call it List, and still read this name.
        length = type_.list_size if pa.types.is_fixed_size_list(type_) else -1
        return {"_type": "Sequence", "feature": _feature(type_.value_type), "length": length}
    if pa.types.is_struct(type_):
        return {field.name: _feature(field.type) for field in type_}
    name = str(type_)
    return {"_type": "Value", "dtype": {"halffloat": "float16", "float": "float32"}.get(name, name)}
