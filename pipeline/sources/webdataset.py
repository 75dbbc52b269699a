"""WebDataset tars: members with the same name up to the first dot are one sample."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, Any

from pipeline.kinds.array import ArrayKind
from pipeline.sources.base import Label, Record
from pipeline.sources.columns import LABELS
from pipeline.sources.contents import CONTENTS, decoded
from pipeline.sources.files import IMAGE_EXTENSIONS
from pipeline.sources.labels import as_number
from pipeline.sources.paths import user_key
from pipeline.storage import open_file
from schemas.errors import SampleError, UserError
from schemas.sections import Columns

Members = dict[str, tuple[int, int]]
"""Extension -> (offset, bytes) within the tar."""

_USUAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "image": (tuple(extension[1:] for extension in IMAGE_EXTENSIONS),),
    "tensor": (("input.npy", "npy", "features.npy", "tensor.npy", "x.npy"),),
    "text": (("txt", "text"), ("pair.txt",)),
}
"""By content, for each of a sample's parts the extensions that it may have."""
_LABELS = (*LABELS, "target.npy")
_BLOCK = tarfile.BLOCKSIZE
_INDEXES = 16


class WebDatasetSource:
    """Samples in tars, read by their place; nothing is unpacked, and members that are not plain files are skipped.

    Args:
        files: URLs of uncompressed tars.
        columns: extensions of the members that hold what; `label` and `key` may also name a field of the JSON member.
        content: image, tensor or text, see `Kind.column`.
        root: unused, as keys are the samples' own.
    """

    def __init__(self, files: list[str], columns: Columns, content: str, root: str) -> None:
        self._kind, self._is_text = CONTENTS[content], content == "text"
        given = tuple(name for name, _ in self._kind.given(columns))
        self._parts = _USUAL[content]
        if given:
            self._parts = tuple((name,) for name in given) if self._is_text else (given,)
        self._required = max(len(given), 1) if self._is_text else 1
        self._files, self._columns = files, columns
        self._sizes: dict[str, int] = {}
        self._open: tuple[str, IO[bytes]] | None = None
        self._index = lru_cache(_INDEXES)(self._read_index)

    def sizes(self) -> list[tuple[str, int]]:
        self._check_columns(self._files[0])
        return [(file, self._sizes.get(file) or len(self._index(file))) for file in self._files]

    def keys(self, file: str) -> list[str]:
        return [user_key(self._key(file, name, members)) for name, members in self._index(file)]

    def read(self, file: str, start: int, stop: int) -> Iterator[Record]:
        for name, members in self._index(file)[start:stop]:
            yield Record(
                user_key(self._key(file, name, members)), self._payload(file, members), self._label(file, members)
            )

    def class_names(self) -> list[str] | None:
        """The labels of all samples, sorted, where the first one is a name."""
        labels: Iterator[Any] = (self._label(file, members) for file in self._files for _, members in self._index(file))
        first = next((label for label in labels if label is not None), None)
        if not isinstance(first, str):
            return None
        return sorted({first, *(str(label) for label in labels if label is not None)})

    def parts(self, file: str) -> list[str]:
        return [file]

    def _payload(self, file: str, members: Members) -> bytes | tuple[str | None, ...] | SampleError:
        found = []
        for number, extensions in enumerate(self._parts):
            place = next((members[extension] for extension in extensions if extension in members), None)
            if place is not None:
                found.append(self._read(file, place))
            elif number < self._required:
                return SampleError(self._missing(members, number))
        return decoded(found) if self._is_text else found[0]

    def _key(self, file: str, name: str, members: Members) -> Any:
        if self._columns.key is None:
            return name
        return self._field(file, members, (self._columns.key,)) or name

    def _label(self, file: str, members: Members) -> Label | list[float]:
        names = _LABELS if self._columns.label is None else (self._columns.label,)
        label: Label | list[float] = self._field(file, members, names)
        return label

    def _field(self, file: str, members: Members, names: tuple[str, ...]) -> Any:
        """The first of `names` that is a member, or else a field of the JSON member."""
        for name in names:
            if name in members:
                return _value(name, self._read(file, members[name]))
        if "json" not in members:
            return None
        try:
            fields = json.loads(self._read(file, members["json"]))
        except ValueError:
            return None
        return next((fields[name] for name in names if name in fields), None) if isinstance(fields, dict) else None

    def _check_columns(self, file: str) -> None:
        """Refuse a named label or key that no sample has."""
        for setting, name in (("label", self._columns.label), ("key", self._columns.key)):
            index = self._index(file)
            if name and index and all(self._field(file, members, (name,)) is None for _, members in index):
                found = ", ".join(sorted({extension for _, members in index for extension in members}))
                raise UserError(
                    f"{file}: no member or JSON field {name!r} (data.columns.{setting}); found members {found}"
                )

    def _missing(self, members: Members, part: int) -> str:
        wanted, setting = " or ".join(self._parts[part][:3]), "text_pair" if part else self._kind.setting
        return f"no {wanted} member but {', '.join(members)}; data.columns.{setting} can name one"

    def _read(self, file: str, place: tuple[int, int]) -> bytes:
        handle = self._handle(file)
        handle.seek(place[0])
        return handle.read(place[1])

    def _handle(self, file: str) -> IO[bytes]:
        if self._open is None or self._open[0] != file:
            try:
                self._open = file, open_file(file)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise UserError(f"{file}: no such file") from None
        return self._open[1]

    def _read_index(self, file: str) -> list[tuple[str, Members]]:
        """(name, members) of every sample, from the headers alone."""
        groups: list[tuple[str, Members]] = []
        for name, offset, size in _members(file, self._handle(file)):
            folder, slash, base = name.rpartition("/")
            stem, dot, extension = base.partition(".")
            if not stem or not dot:
                continue
            key = folder + slash + stem
            if not groups or groups[-1][0] != key:
                groups.append((key, {}))
            groups[-1][1][extension.lower()] = offset, size
        self._sizes[file] = len(groups)
        return groups


def _members(file: str, handle: IO[bytes]) -> Iterator[tuple[str, int, int]]:
    """(name, offset, bytes) of every plain file in a tar."""
    handle.seek(0)
    try:
        with tarfile.open(fileobj=handle, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
                if member.isreg() and not member.issparse():
                    yield member.name, member.offset_data, member.size
            end = tar.offset
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{file}: not a readable tar, or cut short: {error}") from None
    # tarfile takes a damaged header in the middle for the end, which a tar marks with a block of zeros.
    handle.seek(end)
    if handle.read(_BLOCK) != bytes(_BLOCK):
        raise UserError(f"{file}: cut short or damaged at byte {end}; fetch or write it again")


def _value(extension: str, data: bytes) -> Any:
    """What a label member holds: a number or list as JSON, a vector as .npy, or else text."""
    if extension.endswith("npy"):
        try:
            return ArrayKind().decode(data).tolist()
        except SampleError:
            return None
    text = data.decode("utf-8", "replace").strip()
    number = as_number(text)
    if number is not None:
        return int(number) if number.is_integer() else number
    try:
        value = json.loads(text)
    except ValueError:
        return text or None
    return value if isinstance(value, list | str) or value is None else text
