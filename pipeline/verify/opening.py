"""From a manifest to the checks of its rows. It may come from anywhere, so nothing in it is taken for granted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from pipeline.artifacts.promised import read_checked
from pipeline.datasets.dataset import open_dataset, require_known, require_known_rows, row_format
from pipeline.shards.cached import CachedFormat
from pipeline.shards.limits import check_entry, check_sample
from pipeline.shards.parts import auxiliary_parts
from pipeline.storage import Folder
from pipeline.verify.keys import Keys
from pipeline.verify.rows import CachedShards, LabelledShards
from pipeline.verify.rules import Rules
from schemas.dataset import Gaps, RoundCounts, RowsSpec, Size
from schemas.errors import UserError
from schemas.manifest import FileEntry, Manifest
from schemas.registry import CODECS, OBJECTIVES

Shards = LabelledShards | CachedShards


class _AuxiliaryDetails(BaseModel):
    """What `mine` says of one round, as far as it is compared here."""

    rows: RowsSpec
    round: Size
    gap: dict[Literal["gap_before", "gap_after"], Gaps]


def open_shards(url: str, manifest: Manifest, *, decode: bool, trusted: Collection[str]) -> Shards | None:
    """What checks the rows of an artifact; None where it has no rows that are known here.

    Raises:
        UserError: the manifest does not describe them rightly, or names code that is not trusted.
    """
    if manifest.artifact == "dataset":
        return _dataset(url, decode, trusted)
    if manifest.artifact == "auxiliary" and "rows" in manifest.details:
        return _auxiliary(url, manifest, decode, trusted)
    if manifest.artifact == "teacher-logits":
        return _cache(url, manifest, trusted)
    return None


def _dataset(url: str, decode: bool, trusted: Collection[str]) -> LabelledShards:
    data = open_dataset(url, trusted=trusted)
    counts, mined = data.details.counts, data.details.provenance.get("mine")
    return LabelledShards(
        tables={part.path: part.table for part in data.parts},
        rows=data.rows,
        rules=_rules(mined, True, [counted.round for counted in counts.rounds]),
        source=counts.source,
        rounds=counts.rounds,
        decode=decode,
        place="details.counts",
        keys=Keys(parents=counts.source > 0),
    )


def _auxiliary(url: str, manifest: Manifest, decode: bool, trusted: Collection[str]) -> LabelledShards:
    try:
        details = _AuxiliaryDetails.model_validate(manifest.details)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UserError(f"details.{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    require_known_rows(url, details.rows, trusted)
    rows = row_format(details.rows)
    counted = RoundCounts(round=details.round, samples=manifest.samples, gap=details.gap)
    return LabelledShards(
        tables={part.path: part.table for part in auxiliary_parts(url, manifest, rows)},
        rows=rows,
        rules=_rules(manifest.fingerprint.get("mine"), False, [counted.round]),
        source=0,
        rounds=[counted],
        decode=decode,
        place="details",
        keys=Keys(parents=False),
    )


def _cache(url: str, manifest: Manifest, trusted: Collection[str]) -> CachedShards:
    codec, width = manifest.fingerprint.get("codec"), manifest.details.get("width")
    if not isinstance(codec, str):
        raise UserError(f"fingerprint.codec: {codec!r} names no codec")
    if not isinstance(width, int) or not 0 < width < 2**31:
        raise UserError(f"details.width: {width!r} is no number of logits")
    require_known(url, CODECS, codec, trusted)
    options = manifest.fingerprint.get("codec_options", {})
    if not isinstance(options, dict):
        raise UserError(f"fingerprint.codec_options: {options!r} are no options")
    format_, folder = CachedFormat(CODECS.build(codec, options, width=width), width), Folder(url)
    check_sample(format_.extent.size, f"a sample of {width} logits", url)
    entries = [entry for entry in manifest.files if entry.samples]
    for entry in entries:
        check_entry(entry, format_.extent.size, f"{url}/{entry.path}")

    def reader(entry: FileEntry) -> Callable[[], pa.Table]:
        return lambda: format_.read(read_checked(folder, entry), entry.samples)

    tables = {entry.path: reader(entry) for entry in entries}
    return CachedShards(tables, format_.codec, Keys(parents=False))


def _rules(mined: Any, source: bool, rounds: list[int]) -> Rules:
    """Rules from the mining settings, which may be missing or anything in a manifest from elsewhere."""
    settings = mined if isinstance(mined, dict) else {}
    return Rules(
        source=source,
        rounds=tuple(number for number in rounds if number < 2**31),
        grew=settings.get("keep") == "grew",
        distance=settings.get("objective") in OBJECTIVES.names,
    )
