"""WebDataset shards: tars of KEY.png (or KEY.input.npy), KEY.cls (or KEY.target.npy), KEY.teacher.npy and KEY.json.

Every sample has the same members, and KEY.json the same keys with values of the same type: Hugging Face `datasets`
takes both from the first five samples, and fails later on at a number where those had null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from pipeline.kinds import Members
from pipeline.shards.rows import SOURCE, RowFormat
from pipeline.shards.tar import read_tar, write_tar
from schemas.errors import UserError

BLANK: dict[str, Any] = {"parent_key": "", "round": 0, "gap_before": -1.0, "gap_after": -1.0, "steps": 0}
"""What KEY.json of a source sample has in place of null."""

_DAMAGE = (ValueError, TypeError, LookupError, OverflowError, RecursionError, pa.ArrowException)


class WebDatasetFormat:
    """Reads the members as plain data; the decoders that the webdataset library installs by default unpickle."""

    suffix = "tar"

    def write(self, table: pa.Table, rows: RowFormat) -> bytes:
        return write_tar(file for batch in table.to_batches() for file in _files(batch, rows))

    def read(self, data: bytes, rows: RowFormat) -> pa.Table:
        try:
            keys, members = _members(data, _extensions(rows))
            columns = {
                "key": pa.array(keys, pa.string()),
                rows.kind_.column: rows.kind_.from_members(keys, members, rows.shape),
                "label": rows.labels_.from_members(members),
                "teacher_logits": rows.codec_.from_members(members, rows.width),
                **_from_json(members["json"], rows.schema),
            }
            return pa.table(columns, schema=rows.schema)
        except _DAMAGE as error:
            raise UserError(f"not a shard of this data set: {str(error).partition(chr(10))[0]}") from None


def _extensions(rows: RowFormat) -> tuple[str, ...]:
    return (*rows.kind_.extensions, *rows.labels_.extensions, *rows.codec_.extensions, "json")


def _files(batch: pa.RecordBatch, rows: RowFormat) -> Iterator[tuple[str, bytes]]:
    """(name, content) of all members, sample by sample."""
    members = {
        **rows.kind_.to_members(batch[rows.kind_.column]),
        **rows.labels_.to_members(batch["label"]),
        **rows.codec_.to_members(batch["teacher_logits"]),
        "json": _to_json(batch),
    }
    for key, *contents in zip(batch["key"].to_pylist(), *members.values(), strict=True):
        for extension, content in zip(members, contents, strict=True):
            yield f"{key}.{extension}", content


def _members(data: bytes, extensions: tuple[str, ...]) -> tuple[list[str], Members]:
    """Keys, and the contents by extension; a sample is a run of members with the same name up to the first dot."""
    samples: list[tuple[str, dict[str, bytes]]] = []
    for name, content in read_tar(data):
        key, _, extension = name.partition(".")
        if not samples or samples[-1][0] != key:
            samples.append((key, {}))
        samples[-1][1][extension] = content
    for key, found in samples:
        if len(found) != len(extensions) or not all(extension in found for extension in extensions):
            raise ValueError(f"sample {key} has members {', '.join(found)}, must have {', '.join(extensions)}")
    return [key for key, _ in samples], {name: [found[name] for _, found in samples] for name in extensions}


def _to_json(batch: pa.RecordBatch) -> list[bytes]:
    names = ("origin", *BLANK)
    samples = zip(*(batch[name].to_pylist() for name in names), strict=True)
    return [
        json.dumps(
            {"origin": SOURCE, **BLANK} if values[0] == SOURCE else dict(zip(names, values, strict=True))
        ).encode()
        for values in samples
    ]


def _from_json(texts: Sequence[bytes], schema: pa.Schema) -> dict[str, pa.Array]:
    """Columns of origin and of what only auxiliary samples have, null for the others."""
    fields = [json.loads(text) for text in texts]
    own = [sample["origin"] == SOURCE for sample in fields]
    columns = {"origin": pa.array([sample["origin"] for sample in fields], pa.string())}
    for name in BLANK:
        values = [None if source else sample[name] for source, sample in zip(own, fields, strict=True)]
        columns[name] = pa.array(values, schema.field(name).type)
    return columns
