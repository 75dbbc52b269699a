"""What every source provides, and the samples that come out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Label = int | float | str | None


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a source as it lies there.

    Attributes:
        key: unique in the source; letters, digits, `_` and `-` only, as it becomes a file name in a tar.
        payload: encoded image bytes, a float vector, a tuple of one text or two (or of what lies there instead), or the
            SampleError that reading it raised.
        label: class index, class name, regression target (a number, or a list of them), or None.
    """

    key: str
    payload: Any
    label: Label | list[float]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one file: the unit of work of cache and mine.

    Rows `start` to `stop` (exclusive) of `file`, or those `picked` among them; `index` counts the chunks of a source
    from 0.
    """

    index: int
    file: str
    start: int
    stop: int
    picked: tuple[int, ...] | None = None

    @property
    def rows(self) -> Sequence[int]:
        """Their numbers in the file, ascending."""
        return range(self.start, self.stop) if self.picked is None else self.picked

    def __len__(self) -> int:
        return len(self.rows)


class Source(Protocol):
    """A user's data set in the format that they already have. Nothing is written and nothing is cached on disk."""

    def sizes(self) -> list[tuple[str, int]]:
        """(file, rows) of every file in a fixed order, without reading the samples."""

    def keys(self, file: str) -> Iterable[str]:
        """Keys of one file in row order, without decoding the samples; as there may be many, better one by one."""

    def read(self, file: str, start: int, stop: int) -> Iterator[Record]:
        """Rows `start` to `stop` (exclusive) of one file. A row that cannot be read has a SampleError as payload."""

    def class_names(self) -> list[str] | None:
        """Names of the classes where the format or the folder structure knows them."""

    def parts(self, file: str) -> list[str]:
        """URLs of all the files whose bytes make up the samples of one file, for fingerprints."""
