"""CSV and JSON lines: a column of image paths, columns of numbers, or one or two columns of texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import polars as pl

from pipeline.sources.columns import Field
from pipeline.sources.text import SAMPLE_ROWS, TextTable
from schemas.errors import SampleError, UserError


class CsvSource(TextTable):
    """Comma-separated values with a header; see `TextTable` for the arguments."""

    quoted = True
    header = 1

    def fields(self, file: str) -> list[Field]:
        frame = self._frame(file, 0, SAMPLE_ROWS)
        numbers = {
            column.name: column.count() > 0 and _floats(column).count() == column.count()
            for column in frame.iter_columns()
        }
        return [Field(name, self.content != "tensor" and not number, number) for name, number in numbers.items()]

    def rows(self, file: str, start: int, stop: int) -> Iterator[tuple[Any, Any, Any]]:
        frame, roles = self._frame(file, start, stop), self.roles
        columns = [self._get(frame, file, name) for name in roles.payload]
        payloads: Any
        if self.content == "image":
            payloads = columns[0]
        elif self.content == "text":
            payloads = zip(*columns, strict=True)
        else:
            payloads = pl.DataFrame([_floats(column) for column in columns]).to_numpy()
        keys = self._get(frame, file, roles.key) if roles.key else repeat(None, frame.height)
        labels = self._get(frame, file, roles.label) if roles.label else repeat(None, frame.height)
        return zip(keys, payloads, labels, strict=True)

    def values(self, file: str, start: int, stop: int, name: str) -> Iterator[Any]:
        return iter(self._get(self._frame(file, start, stop, [name]), file, name))

    def _frame(self, file: str, start: int, stop: int, names: list[str] | None = None) -> pl.DataFrame:
        """Rows as text, of all columns or of those of `names` that there are."""
        rows = self.texts(file, self.header + start, self.header + stop)
        if not rows:
            raise UserError(f"{file}: no rows; CSV takes a header and one row per sample")
        text = b"".join([*self.texts(file, 0, self.header), *rows])
        try:
            frame = pl.read_csv(text, infer_schema=False, columns=names)
        except pl.exceptions.ColumnNotFoundError:
            return pl.DataFrame()
        except pl.exceptions.PolarsError as error:
            raise self._malformed(file, start, stop, str(error).splitlines()[0]) from None
        if frame.height != len(rows):
            raise self._malformed(file, start, stop, f"{len(rows)} rows read as {frame.height}; are quotes balanced?")
        return frame

    @staticmethod
    def _get(frame: pl.DataFrame, file: str, name: str) -> pl.Series:
        if name not in frame.columns:
            raise UserError(f"{file}: no column {name!r}, which the first file has; all files take the same columns")
        return frame[name]

    @staticmethod
    def _malformed(file: str, start: int, stop: int, reason: str) -> UserError:
        return UserError(f"{file}: not readable as CSV in rows {start + 1} to {stop}: {reason}")


class JsonlSource(TextTable):
    """One JSON object on every line; see `TextTable` for the arguments. A broken line costs that one sample."""

    quoted = False
    header = 0

    def fields(self, file: str) -> list[Field]:
        rows = [row for row in self._objects(file, 0, SAMPLE_ROWS) if isinstance(row, dict)]
        payload = list if self.content == "tensor" else str
        names = dict.fromkeys(name for row in rows for name in row)
        return [
            Field(
                name,
                any(isinstance(row.get(name), payload) for row in rows),
                any(isinstance(row.get(name), int | float) for row in rows),
            )
            for name in names
        ]

    def rows(self, file: str, start: int, stop: int) -> Iterator[tuple[Any, Any, Any]]:
        roles = self.roles
        for row in self._objects(file, start, stop):
            if isinstance(row, SampleError):
                yield None, row, None
                continue
            values = [row.get(name) for name in roles.payload]
            payload: Any = values[0] if len(values) == 1 else values
            if self.content == "text":
                payload = tuple(values)
            yield row.get(roles.key) if roles.key else None, payload, row.get(roles.label) if roles.label else None

    def values(self, file: str, start: int, stop: int, name: str) -> Iterator[Any]:
        return (row.get(name) if isinstance(row, dict) else None for row in self._objects(file, start, stop))

    def _objects(self, file: str, start: int, stop: int) -> Iterator[dict[str, Any] | SampleError]:
        for number, text in enumerate(self.texts(file, start, stop), start + 1):
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                row = error
            yield row if isinstance(row, dict) else SampleError(f"row {number} is not a JSON object")


def _floats(column: pl.Series) -> pl.Series:
    """Text as numbers, null where it is none."""
    return column.str.strip_chars().cast(pl.Float64, strict=False)
