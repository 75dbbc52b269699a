"""NumPy files: `.npz` with inputs and labels, or `.npy` files side by side (x.npy and y.npy)."""

from __future__ import annotations

import posixpath
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.npy import npy_header
from pipeline.sources.base import Record
from pipeline.sources.columns import LABELS, Field, find_roles
from pipeline.sources.contents import CONTENTS
from pipeline.sources.paths import row_keys
from pipeline.storage import open_file
from schemas.errors import SampleError, UserError
from schemas.sections import Columns

_ROWS = 65536
_PAIR = "; join both with np.stack([first, second], axis=1) for pairs of texts"


@dataclass(frozen=True, slots=True)
class _Pair:
    """Where the inputs and the labels of one file of the source lie: (URL, name within an .npz or None)."""

    inputs: tuple[str, str | None]
    labels: tuple[str, str | None] | None


class NumpySource:
    """Rows of arrays, read by their place without loading the whole; arrays of Python objects are refused.

    Args:
        files: URLs of `.npz` and `.npy` files. Among `.npy` files, names that differ only in a word for inputs and
            one for labels belong together (x.npy and y.npy, train_images.npy and train_labels.npy).
        columns: names of the arrays; found by name when left out. Keys are made from file and row.
        content: image, tensor or text, see `Kind.column`. Texts are arrays of `str`, (N,) or (N, 2).
        root: directory that keys are relative to.
    """

    def __init__(self, files: list[str], columns: Columns, content: str, root: str) -> None:
        if columns.key is not None:
            raise UserError("data.columns.key: .npy and .npz sources take keys from file and row; leave it out")
        self._kind = CONTENTS[content]
        given = self._kind.given(columns)
        if len(given) > 1:
            raise UserError(
                f"data.columns.{given[1][1]}: .npy and .npz sources take one array of {self._kind.what}{_PAIR}"
            )
        self._files, self._columns, self._content, self._root = files, columns, content, root
        self._given = given[0][0] if given else None
        self._open: dict[tuple[str, str | None], _Rows] = {}

    def sizes(self) -> list[tuple[str, int]]:
        return [(file, self._count(file)) for file in self._pairs]

    def keys(self, file: str) -> Iterator[str]:
        return row_keys(file, self._root, range(self._count(file)))

    def read(self, file: str, start: int, stop: int) -> Iterator[Record]:
        pair = self._pairs[file]
        inputs = self._rows(pair.inputs).read(start, stop)
        labels = [None] * (stop - start) if pair.labels is None else self._rows(pair.labels).read(start, stop).tolist()
        keys = row_keys(file, self._root, range(start, stop))
        payloads = _texts(inputs) if self._content == "text" else inputs
        for key, payload, label in zip(keys, payloads, labels, strict=True):
            yield Record(key, payload, label)

    def class_names(self) -> list[str] | None:
        """The label texts, sorted, where labels are text."""
        names: set[str] = set()
        for file, pair in self._pairs.items():
            if pair.labels is None or self._rows(pair.labels).dtype.kind != "U":
                return None
            for start in range(0, self._count(file), _ROWS):
                names.update(self._rows(pair.labels).read(start, start + _ROWS).ravel().tolist())
        return sorted(names) or None

    def parts(self, file: str) -> list[str]:
        pair = self._pairs[file]
        labels = file if pair.labels is None else pair.labels[0]
        return [file] if labels == file else [file, labels]

    @cached_property
    def _pairs(self) -> dict[str, _Pair]:
        plain = [file for file in self._files if not file.lower().endswith(".npz")]
        pairs = {file: self._in_archive(file) for file in self._files if file not in plain} | self._side_by_side(plain)
        return dict(sorted(pairs.items()))

    def _in_archive(self, file: str) -> _Pair:
        with _opened(file) as handle, _archive(handle, file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
        roles = find_roles(self._columns, self._content, [Field(name, payload=True) for name in names], file)
        if len(roles.payload) > 1:
            raise UserError(f"{file}: {' and '.join(roles.payload)} are two arrays{_PAIR}")
        return _Pair((file, roles.payload[0]), None if roles.label is None else (file, roles.label))

    def _side_by_side(self, files: list[str]) -> dict[str, _Pair]:
        """`.npy` files by role: the words in their names say which are labels, and of what."""
        inputs: dict[tuple[str, ...], str] = {}
        labels: dict[tuple[str, ...], str] = {}
        self._refuse_pairs(files)
        for file in files:
            role, group = self._role(file)
            target = labels if role == "labels" else inputs
            if role is not None and group in target:
                raise UserError(f"{target[group]} and {file} look alike; name one of them in data.train")
            if role is not None:
                target[group] = file
        for group, file in labels.items():
            if group not in inputs:
                raise UserError(
                    f"{file}: labels without inputs; name both files, for example x.npy and y.npy, "
                    "or say which is which with data.columns"
                )
        if files and (not inputs or (self._columns.label is not None and not labels)):
            wanted = self._columns.label if inputs else self._given
            raise UserError(f"no file {wanted}.npy, as data.columns says, among {', '.join(files[:5])}")
        return {
            file: _Pair((file, None), (labels[group], None) if group in labels else None)
            for group, file in inputs.items()
        }

    def _refuse_pairs(self, files: list[str]) -> None:
        """Two texts of a sample in two files are taken for two sets of samples otherwise."""
        names = {posixpath.splitext(posixpath.basename(file))[0].lower() for file in files}
        for first in names & self._kind.partners.keys() if self._given is None else ():
            for second in names.intersection(self._kind.partners[first]):
                raise UserError(f"{files[0]}: {first} and {second} are two arrays{_PAIR}")

    def _role(self, file: str) -> tuple[Literal["inputs", "labels"] | None, tuple[str, ...]]:
        """What a `.npy` file holds, None where it is not asked for, and what it shares with its partner."""
        folder, base = posixpath.split(file)
        stem = posixpath.splitext(base)[0]
        if stem == self._columns.label:
            return "labels", (folder,)
        if self._given is not None:
            return ("inputs" if stem == self._given else None), (folder,)
        words = re.split(r"[-_. ]", stem.lower())
        known = self._kind.known
        rest = tuple(word for word in words if word not in LABELS and word not in known)
        # The last word says what it is: image_labels are labels, class_images are images.
        telling = [word for word in words if word in LABELS or word in known]
        return ("labels" if telling and telling[-1] in LABELS else "inputs"), (folder, *rest)

    def _count(self, file: str) -> int:
        pair = self._pairs[file]
        count = self._rows(pair.inputs).count
        if pair.labels is not None and self._rows(pair.labels).count != count:
            raise UserError(
                f"{file} has {count} inputs, but {pair.labels[0]} has {self._rows(pair.labels).count} labels"
            )
        if self._content == "text":
            self._rows(pair.inputs).check_texts()
        return count

    def _rows(self, place: tuple[str, str | None]) -> _Rows:
        if place not in self._open:
            if len(self._open) > 1:
                self._open = {}
            self._open[place] = _Rows(*place)
        return self._open[place]


class _Rows:
    """One array on disk, read by rows.

    Reading backwards in a compressed `.npz` starts again from its beginning; anything else is a seek.

    Raises:
        UserError: damaged, of Python objects, without rows, or in Fortran order (whose rows are scattered).
    """

    def __init__(self, file: str, name: str | None) -> None:
        self._file = file
        handle = _opened(file)
        try:
            self._handle: IO[bytes] = handle if name is None else _archive(handle, file).open(f"{name}.npy")
            shape, fortran, self.dtype = npy_header(self._handle)
        except (ValueError, EOFError, OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
            raise UserError(f"{file}: {f'array {name!r}: ' if name else ''}not a readable array: {error}") from None
        if not shape:
            raise UserError(f"{file}: a single value, not one row per sample")
        if fortran and len(shape) > 1:
            raise UserError(f"{file}: in Fortran order; save np.ascontiguousarray of it")
        self.count, self._shape = shape[0], shape[1:]
        self._start = self._handle.tell()

    def check_texts(self) -> None:
        """Raise UserError unless every row is one text or two."""
        if self.dtype.kind != "U" or self._shape not in ((), (1,), (2,)):
            shape = (self.count, *self._shape)
            raise UserError(f"{self._file}: {self.dtype} {shape}; texts are arrays of str, (N,) or for pairs (N, 2)")

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Rows `start` to `stop`, as far as there are so many."""
        rows = max(0, min(stop, self.count) - start)
        size = int(np.prod(self._shape, dtype=np.int64)) * self.dtype.itemsize
        try:
            self._handle.seek(self._start + start * size)
            data = self._handle.read(rows * size)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{self._file}: damaged: {error}") from None
        if len(data) != rows * size:
            raise UserError(f"{self._file}: cut short; its header promises {self.count} rows")
        return np.frombuffer(data, self.dtype).reshape(rows, *self._shape)


def _texts(rows: npt.NDArray[np.str_]) -> Iterator[tuple[str, ...] | SampleError]:
    """(N,) or (N, 2) -> the texts of every row."""
    # NumPy makes strings of any code points, even of those that Python's own functions cannot bear.
    codes = np.ascontiguousarray(rows).view(f"{rows.dtype.byteorder}u4").reshape(len(rows), -1 if len(rows) else 1)
    broken = (codes.max(axis=1, initial=0) > sys.maxunicode).tolist()
    for row in range(len(rows)):
        yield SampleError("not Unicode") if broken[row] else tuple(rows[row : row + 1].ravel().tolist())


def _opened(file: str) -> IO[bytes]:
    try:
        return open_file(file)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{file}: no such file") from None


def _archive(handle: IO[bytes], file: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(handle)
    except zipfile.BadZipFile as error:
        raise UserError(f"{file}: not a readable .npz: {error}") from None
