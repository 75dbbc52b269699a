"""Rows of a data set: as arrays for training and mining, as an Arrow table for files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from pipeline.kinds.base import Kind, Stored
from pipeline.logits import Codec
from schemas.registry import CODECS, KINDS

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SOURCE, AUXILIARY = "source", "auxiliary"


@dataclass(frozen=True, slots=True)
class Rows:
    """N labelled samples.

    Attributes:
        keys: N unique names.
        stored: (N, ...) samples in stored form.
        labels: int64 (N,), -1 where unknown; for regression float32 (N, T), NaN where unknown.
        logits: (N, K) float32 teacher outputs.
        is_source: bool (N,), False for auxiliary samples.
    """

    keys: list[str]
    stored: Stored
    labels: npt.NDArray[Any]
    logits: torch.Tensor
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
        codec: name in CODECS.
        width: K, logits per sample.
        shape: of one stored sample.
        task: classification or regression.
        targets: T, numbers per label in regression.
        class_names: names of the classes where known.
    """

    kind: str
    codec: str
    width: int
    shape: tuple[int, ...]
    task: Literal["classification", "regression"]
    targets: int = 1
    class_names: tuple[str, ...] | None = None

    @property
    def kind_(self) -> Kind:
        kind: Kind = KINDS.build(self.kind)
        return kind

    @property
    def codec_(self) -> Codec:
        codec: Codec = CODECS.build(self.codec)
        return codec

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of a data set's table, with the metadata that Hugging Face `datasets` reads."""
        payload = IMAGE_TYPE if self.kind_.column == "image" else pa.list_(pa.float32(), self.shape[0])
        label = pa.int64() if self.task == "classification" else pa.list_(pa.float32(), self.targets)
        fields = [
            pa.field("key", pa.string(), nullable=False),
            pa.field(self.kind_.column, payload, nullable=False),
            pa.field("label", label),
            pa.field("teacher_logits", self.codec_.column_type(self.width), nullable=False),
            pa.field("origin", pa.string(), nullable=False),
            pa.field("parent_key", pa.string()),
            pa.field("round", pa.int32()),
            pa.field("gap_before", pa.float32()),
            pa.field("gap_after", pa.float32()),
            pa.field("steps", pa.int32()),
        ]
        features = {field.name: self._feature(field) for field in fields}
        return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})

    def encode(self, rows: Rows, climbs: Climbs | None = None) -> pa.Table:
        """Rows -> table; `climbs` where they are auxiliary."""
        count, schema = len(rows), self.schema
        nothing = [None] * count
        columns = {
            "key": pa.array(rows.keys, pa.string()),
            self.kind_.column: self._encode_stored(rows),
            "label": self._encode_labels(rows.labels),
            "teacher_logits": self.codec_.encode(rows.logits),
            "origin": pa.array([SOURCE if own else AUXILIARY for own in rows.is_source], pa.string()),
            "parent_key": pa.array(climbs.parents if climbs else nothing, pa.string()),
            "round": pa.array([climbs.round] * count if climbs else nothing, pa.int32()),
            "gap_before": pa.array(climbs.gap_before if climbs else nothing, pa.float32()),
            "gap_after": pa.array(climbs.gap_after if climbs else nothing, pa.float32()),
            "steps": pa.array(climbs.steps if climbs else nothing, pa.int32()),
        }
        return pa.table(columns, schema=schema)

    def decode(self, table: pa.Table) -> Rows:
        """Table -> rows.

        Raises:
            SampleError: a sample is broken, which a verified data set has none of.
        """
        table = table.combine_chunks()
        logits = table["teacher_logits"].combine_chunks() if table.num_rows else table["teacher_logits"]
        return Rows(
            keys=table["key"].to_pylist(),
            stored=self._decode_stored(table),
            labels=self._decode_labels(table["label"]),
            logits=self.codec_.decode(logits) if table.num_rows else torch.zeros(0, self.width),
            is_source=np.asarray(table["origin"].to_pylist()) == SOURCE,
        )

    def _encode_stored(self, rows: Rows) -> pa.Array:
        if self.kind_.column != "image":
            return pa.FixedSizeListArray.from_arrays(pa.array(rows.stored.reshape(-1), pa.float32()), self.shape[0])
        encode, extension = self.kind_.encode, self.kind_.extension
        images = [
            {"bytes": encode(stored), "path": f"{key}.{extension}"}
            for key, stored in zip(rows.keys, rows.stored, strict=True)
        ]
        return pa.array(images, IMAGE_TYPE)

    def _decode_stored(self, table: pa.Table) -> Stored:
        kind = self.kind_
        column = table[kind.column]
        if kind.column == "image":
            images = [kind.decode(image["bytes"]) for image in column.to_pylist()]
            return np.stack(images) if images else np.zeros((0, *self.shape), np.uint8)
        values: Stored = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return values.reshape(-1, *self.shape).astype(np.float32)

    def _encode_labels(self, labels: npt.NDArray[Any]) -> pa.Array:
        if self.task == "classification":
            return pa.array(labels, pa.int64(), mask=labels < 0)
        unknown = np.isnan(labels).any(axis=1)
        return pa.array(
            [None if u else row for u, row in zip(unknown, labels, strict=True)], pa.list_(pa.float32(), self.targets)
        )

    def _decode_labels(self, column: pa.ChunkedArray) -> npt.NDArray[Any]:
        values = column.to_pylist()
        if self.task == "classification":
            return np.array([-1 if value is None else value for value in values], np.int64)
        unknown = [float("nan")] * self.targets
        return np.array([unknown if v is None else v for v in values], np.float32).reshape(-1, self.targets)

    def _feature(self, field: pa.Field) -> dict[str, Any]:
        if field.name == "image":
            return {"_type": "Image"}
        if field.name == "label" and self.class_names is not None:
            return {"_type": "ClassLabel", "names": list(self.class_names)}
        if pa.types.is_fixed_size_list(field.type):
            value = {"_type": "Value", "dtype": _hub_dtype(field.type.value_type)}
            return {"_type": "List", "feature": value, "length": field.type.list_size}
        return {"_type": "Value", "dtype": _hub_dtype(field.type)}


def _hub_dtype(type_: pa.DataType) -> str:
    return {"halffloat": "float16", "float": "float32"}.get(str(type_), str(type_))
