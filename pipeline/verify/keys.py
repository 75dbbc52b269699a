"""Keys over all shards: unique, and every parent there. Holds a hash of 8 bytes per key and per parent."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.shards.masks import Mask
from pipeline.verify.verdict import LIMIT, Findings

_BLOCK = 2**16

Hashes = npt.NDArray[np.uint64]


class Keys:
    """Collects the keys of an artifact; what looks wrong is then found again by name in a second reading.

    Args:
        parents: whether the parents of auxiliary samples must be among the source samples.
    """

    def __init__(self, *, parents: bool) -> None:
        self._check_parents = parents
        self._own, self._mined, self._parents = array("Q"), array("Q"), array("Q")
        self._twice: Hashes = np.empty(0, np.uint64)
        self._orphaned: Hashes = np.empty(0, np.uint64)
        self._seen: dict[str, str] = {}

    def add(self, keys: pa.Array, own: Mask, parents: pa.Array | None) -> None:
        """N keys, which of them are source samples, and the N parents (null for those)."""
        hashes = _hash(keys)
        self._own.frombytes(hashes[own].tobytes())
        self._mined.frombytes(hashes[~own].tobytes())
        if self._check_parents and parents is not None:
            self._parents.frombytes(_hash(parents.drop_null()).tobytes())

    def suspicious(self, found: Findings, *, parents: bool) -> bool:
        """Sort everything; whether `locate` must see all keys once more. Counts what it will not name.

        Args:
            found: problems so far.
            parents: all shards were seen, so that a parent that is not there is missing.
        """
        own, mined, wanted = (_sorted(values) for values in (self._own, self._mined, self._parents))
        # A key of a source sample has no plus sign, and one of an auxiliary sample has, so the two never meet.
        twice = np.concatenate([np.unique(hashes[1:][hashes[1:] == hashes[:-1]]) for hashes in (own, mined)])
        orphaned = _missing(wanted, own) if parents else _missing(wanted[:0], own)
        found.count += max(0, len(twice) - LIMIT) + max(0, len(orphaned) - LIMIT)
        self._twice, self._orphaned = twice[:LIMIT], orphaned[:LIMIT]
        return bool(len(twice) or len(orphaned))

    def locate(self, file: str, batch: pa.RecordBatch, found: Findings) -> None:
        """Name the wrong ones in a batch of the file's rows; files come in the order of the manifest."""
        keys = batch["key"]
        for key in keys.filter(pa.array(np.isin(_hash(keys), self._twice))).to_pylist():
            if key in self._seen:
                found.add(file, key, f"comes twice, first in {found.prefix}{self._seen[key]}")
            self._seen.setdefault(key, file)
        if not len(self._orphaned):
            return
        parents = batch["parent_key"]
        bad = parents.is_valid().to_numpy(zero_copy_only=False) & np.isin(_hash(parents), self._orphaned)
        for row in np.flatnonzero(bad).tolist():
            found.add(file, keys[row].as_py(), f"its parent {parents[row].as_py()!r} is none of the source samples")


def _hash(keys: pa.Array) -> Hashes:
    hashes: Hashes = pl.Series(pl.from_arrow(keys)).hash().to_numpy()
    return hashes


def _sorted(values: array[int]) -> Hashes:
    """The same memory as an array, sorted in place."""
    hashes: Hashes = np.frombuffer(values, np.uint64)
    hashes.sort()
    return hashes


def _missing(wanted: Hashes, there: Hashes) -> Hashes:
    """Those of sorted `wanted` that sorted `there` lacks, each once."""
    if not len(there):
        return np.unique(wanted)
    pieces = [np.empty(0, np.uint64)]
    for start in range(0, len(wanted), _BLOCK):
        block = wanted[start : start + _BLOCK]
        place = np.minimum(np.searchsorted(there, block), len(there) - 1)
        pieces.append(block[there[place] != block])
    return np.unique(np.concatenate(pieces))
