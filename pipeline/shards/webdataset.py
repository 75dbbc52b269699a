"""WebDataset shards: tars of KEY.png (or KEY.input.npy), KEY.cls, KEY.teacher.npy and KEY.json."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.shards.rows import RowFormat
from schemas.errors import SampleError, UserError

EXTRAS = ("origin", "parent_key", "round", "gap_before", "gap_after", "steps")


class WebDatasetFormat:
    """Reads the members as plain data; the decoders that the webdataset library installs by default unpickle."""

    suffix = "tar"

    def write(self, table: pa.Table, rows: RowFormat) -> bytes:
        # Imported here: the library imports torch, which reading and planning do not need.
        from webdataset.writer import TarWriter

        sink = io.BytesIO()
        # GNU format, as USTAR ends at names of 100 characters; no time, so that equal samples are equal bytes.
        with TarWriter(sink, encoder=False, mtime=0, user="bpkd", group="bpkd", format="GNU_FORMAT") as writer:
            for row in table.to_pylist():
                writer.write(self._members(row, rows))
        return sink.getvalue()

    def read(self, data: bytes, rows: RowFormat) -> pa.Table:
        try:
            table = [self._row(key, members, rows) for key, members in _groups(data)]
        except (tarfile.TarError, ValueError, KeyError, SampleError) as error:
            raise UserError(f"not a shard of this data set: {error}") from None
        return pa.Table.from_pylist(table, schema=rows.schema)

    def _members(self, row: dict[str, Any], rows: RowFormat) -> dict[str, Any]:
        kind = rows.kind_
        logits = np.asarray(row["teacher_logits"], np.float16 if rows.codec == "fp16" else np.float32)
        payload = row[kind.column]
        members = {
            "__key__": row["key"],
            kind.extension: payload["bytes"]
            if kind.column == "image"
            else kind.encode(np.asarray(payload, np.float32)),
            "teacher.npy": _npy(logits),
            "json": json.dumps({name: row[name] for name in EXTRAS if row[name] is not None}).encode(),
        }
        if row["label"] is not None:
            label = row["label"]
            members["cls"] = (str(label) if isinstance(label, int) else json.dumps(label)).encode()
        return members

    def _row(self, key: str, members: dict[str, bytes], rows: RowFormat) -> dict[str, Any]:
        kind = rows.kind_
        payload = members[kind.extension]
        label = json.loads(members["cls"]) if "cls" in members else None
        extras = json.loads(members["json"])
        return {
            "key": key,
            kind.column: {"bytes": payload, "path": f"{key}.{kind.extension}"}
            if kind.column == "image"
            else kind.decode(payload),
            "label": label,
            "teacher_logits": np.load(io.BytesIO(members["teacher.npy"]), allow_pickle=False),
            **{name: extras.get(name) for name in EXTRAS},
        }


def _groups(data: bytes) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, extension -> content) of consecutive members with the same name up to its first dot."""
    key = ""
    members: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise ValueError(f"member {member.name!r} is not a file")
            name, _, extension = member.name.partition(".")
            if members and name != key:
                yield key, members
                members = {}
            key = name
            members[extension] = content.read()
    if members:
        yield key, members


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()
