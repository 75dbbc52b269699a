"""WebDataset shards: tars of KEY.png (or KEY.input.npy), KEY.cls (or KEY.target.npy), KEY.teacher.npy and KEY.json.

Every sample has the same members, and KEY.json the same keys with values of the same type: Hugging Face `datasets`
takes both from the first five samples, and fails later on at a number where those had null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.kinds import Members
from pipeline.shards.base import ShardFile
from pipeline.shards.limits import MAX_JSON, check_samples, check_written, sample_bytes
from pipeline.shards.origins import SOURCE
from pipeline.shards.rows import RowFormat
from pipeline.shards.tar import read_tar, write_tar
from schemas.errors import RowError, UserError, clipped

BLANK: dict[str, Any] = {"parent_key": "", "round": 0, "gap_before": -1.0, "gap_after": -1.0, "steps": 0}
"""What KEY.json of a source sample has in place of null."""

_DAMAGE = (ValueError, TypeError, LookupError, OverflowError, RecursionError, pa.ArrowException)


class WebDatasetFormat:
    """Reads the members as plain data; the decoders that the webdataset library installs by default unpickle."""

    suffix = "tar"

    def write(self, table: pa.Table, rows: RowFormat) -> bytes:
        return check_written(write_tar(file for batch in table.to_batches() for file in _files(batch, rows)))

    def read(self, data: bytes, rows: RowFormat, samples: int | None = None) -> pa.Table:
        keys: list[str] = []
        try:
            keys, members = _members(data, member_names(rows), samples)
            check_samples(sample_bytes(rows), len(keys), "the file")
            columns = {
                "key": pa.array(keys, pa.string()),
                **rows.kind_.from_members(keys, members, rows.shape),
                "label": rows.labels_.from_members(members),
                "teacher_logits": rows.codec_.from_members(members, rows.width),
                **_from_json(members["json"], rows.schema),
            }
            return pa.table(columns, schema=rows.schema)
        except RowError as error:
            raise UserError(
                f"not a shard of this data set: sample {clipped(keys[error.row])}: {error.reason}"
            ) from None
        except _DAMAGE as error:
            raise UserError(f"not a shard of this data set: {clipped(str(error), 300)}") from None

    def columns(self, file: ShardFile, rows: RowFormat, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        # A tar has no place to look for a column.
        yield from self.read(file.read(), rows, file.samples).select(list(names)).to_batches()


def member_names(rows: RowFormat) -> tuple[str, ...]:
    """Extensions of the members that every sample has."""
    return (*rows.kind_.extensions(rows.shape), *rows.labels_.extensions, *rows.codec_.extensions, "json")


def _files(batch: pa.RecordBatch, rows: RowFormat) -> Iterator[tuple[str, bytes]]:
    """(name, content) of all members, sample by sample."""
    members = {
        **rows.kind_.to_members(batch),
        **rows.labels_.to_members(batch["label"]),
        **rows.codec_.to_members(batch["teacher_logits"]),
        "json": _to_json(batch),
    }
    for key, *contents in zip(batch["key"].to_pylist(), *members.values(), strict=True):
        for extension, content in zip(members, contents, strict=True):
            yield f"{key}.{extension}", content


def _members(data: bytes, extensions: tuple[str, ...], promised: int | None) -> tuple[list[str], Members]:
    """Keys, and the contents by extension; a sample is a run of members with the same name up to the first dot."""
    samples: dict[str, dict[str, bytes]] = {}
    last, found = None, dict[str, bytes]()
    for name, content in read_tar(data):
        key, _, extension = name.partition(".")
        if key != last:
            if key in samples or len(samples) == promised:
                problem = "comes twice" if key in samples else f"is one more than the {promised} that are promised"
                raise ValueError(f"sample {clipped(key)} {problem}")
            last, found = key, samples.setdefault(key, {})
        if extension in found or extension not in extensions:
            problem = "twice a" if extension in found else "a"
            raise ValueError(f"sample {clipped(key)} has {problem} member {clipped(extension)!r}, {_must(extensions)}")
        found[extension] = content
    for key, found in samples.items():
        if len(found) != len(extensions):
            raise ValueError(f"sample {clipped(key)} has members {', '.join(found)}, {_must(extensions)}")
    return list(samples), {name: [found[name] for found in samples.values()] for name in extensions}


def _must(extensions: tuple[str, ...]) -> str:
    return f"must have {', '.join(extensions)}"


def _to_json(batch: pa.RecordBatch) -> list[bytes]:
    names = ("origin", *BLANK)
    samples = zip(*(batch[name].to_pylist() for name in names), strict=True)
    return [
        json.dumps(_OWN if values[0] == SOURCE else dict(zip(names, values, strict=True))).encode()
        for values in samples
    ]


def _from_json(texts: Sequence[bytes], schema: pa.Schema) -> dict[str, pa.Array]:
    """Columns of origin and of what only auxiliary samples have, null for the others."""
    samples = [_fields(row, text) for row, text in enumerate(texts)]
    columns = {"origin": pa.array([sample["origin"] for sample in samples], pa.string())}
    for name in BLANK:
        values = [None if sample is _OWN else sample[name] for sample in samples]
        columns[name] = pa.array(values, schema.field(name).type)
    return columns


def _fields(row: int, text: bytes) -> dict[str, Any]:
    """The JSON of one sample; `_OWN` itself for a source sample."""
    if len(text) > MAX_JSON:
        raise RowError(row, f"{len(text):,} bytes of JSON, the limit is {MAX_JSON:,}")
    try:
        fields = _JSON.decode(text.decode())
    except (ValueError, RecursionError) as error:
        raise RowError(row, f"not JSON: {clipped(str(error))}") from None
    if fields == _OWN:
        return _OWN
    if type(fields) is not dict or fields.keys() != _OWN.keys():
        raise RowError(row, f"its JSON must have {', '.join(_OWN)} and nothing else")
    if fields["origin"] == SOURCE:
        raise RowError(row, f"its JSON must be {json.dumps(_OWN)}, as that of every source sample")
    for name, value in fields.items():
        if not _is_like(value, _OWN[name]):
            raise RowError(row, f"{name} = {clipped(repr(value))} in its JSON")
    return fields


def _is_like(value: Any, blank: str | int | float) -> bool:
    """Whether a value has the type of a blank one, and fits into its column."""
    if isinstance(blank, str):
        return type(value) is str
    if isinstance(blank, int):
        return type(value) is int and 0 <= value < 2**31
    return type(value) in (int, float) and abs(value) <= _LARGEST


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name comes twice")
    return fields


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


_OWN: dict[str, Any] = {"origin": SOURCE, **BLANK}
_JSON = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
_LARGEST = float(np.finfo(np.float32).max)
