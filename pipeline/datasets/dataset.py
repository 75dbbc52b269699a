"""Opening a data set: its manifest is checked before any of its shards is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import ValidationError

from pipeline.artifacts.artifact import read_manifest
from pipeline.shards.base import ShardFormat
from pipeline.shards.parts import FilePart, file_parts
from pipeline.shards.rows import RowFormat
from pipeline.storage.cache import DiskCache
from schemas.config import Config
from schemas.dataset import DatasetDetails, RowsSpec
from schemas.errors import UserError, clipped
from schemas.manifest import MANIFEST, Manifest
from schemas.registry import CODECS, DELTAS, FORMATS, KINDS, Registry


@dataclass(frozen=True)
class Dataset:
    """An exported data set.

    Attributes:
        url: its directory.
        manifest: all of it.
        details: the manifest's `details`.
        rows: format of its rows.
        format: of its shards.
        parts: its shards, in the manifest's order.
    """

    url: str
    manifest: Manifest
    details: DatasetDetails
    rows: RowFormat
    format: ShardFormat
    parts: list[FilePart]


def own_code(config: Config) -> tuple[str, ...]:
    """What the user's config names, and a data set may therefore name, too: see `trusted` of `open_dataset`."""
    return config.data.kind, config.cache.codec, config.export.format, config.mine.delta


def open_dataset(
    url: str, *, trusted: Collection[str] = (), made_by: str | None = None, copies: DiskCache | None = None
) -> Dataset:
    """Open a finished data set; reads nothing but its manifest.

    Args:
        url: its directory.
        trusted: code of the user's own, as `package.module:Name`, that the data set may name as its kind, codec or
            format. A data set cannot bring other code to run: a manifest may come from anywhere.
        made_by: command that makes it, for the message, where it is one's own.
        copies: on the local disk, of its shards where it is remote.

    Raises:
        UserError: there is none, its manifest is damaged or wrong, it names code that is not trusted, or its samples
            or shards are larger than `pipeline.shards.limits` allows.
    """
    manifest = read_manifest(url, made_by)
    details = dataset_details(url, manifest)
    place = f"{url}/{MANIFEST}"
    require_known(place, FORMATS, details.format, trusted)
    require_known_rows(place, details.rows, trusted)
    rows = row_format(details.rows)
    format_: ShardFormat = FORMATS.build(details.format)
    return Dataset(url, manifest, details, rows, format_, file_parts(url, manifest, rows, format_, copies))


def dataset_details(url: str, manifest: Manifest) -> DatasetDetails:
    """What the manifest of a data set adds to that of other artifacts.

    Raises:
        UserError: it is that of another artifact, or wrong.
    """
    if manifest.artifact != "dataset":
        raise UserError(f"{url} holds '{clipped(manifest.artifact)}', not a data set that `bpkd export` wrote")
    try:
        return DatasetDetails.model_validate(manifest.details)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, ("details", *problem["loc"])))
        raise UserError(f"{url}/{MANIFEST}: {clipped(key)}: {clipped(problem['msg'])}") from None


def row_format(spec: RowsSpec) -> RowFormat:
    """The row format that a manifest describes."""
    names = tuple(spec.class_names) if spec.class_names else None
    changed = {"shape": tuple(spec.shape), "class_names": names, "codec_options": spec.codec_options or {}}
    return RowFormat(**{**spec.model_dump(), **changed})


def rows_spec(rows: RowFormat) -> RowsSpec:
    """What a manifest says of the format of its rows."""
    return RowsSpec(
        kind=rows.kind,
        codec=rows.codec,
        codec_options=dict(rows.codec_options) or None,
        width=rows.width,
        shape=list(rows.shape),
        task=rows.task,
        targets=rows.targets,
        class_names=list(rows.class_names) if rows.class_names else None,
        delta=rows.delta,
    )


def require_known_rows(place: str, rows: RowsSpec, trusted: Collection[str]) -> None:
    """`require_known` for all that a row format names."""
    require_known(place, KINDS, rows.kind, trusted)
    require_known(place, CODECS, rows.codec, trusted)
    if rows.delta is not None:
        require_known(place, DELTAS, rows.delta, trusted)


def require_known(place: str, known: Registry, name: str, trusted: Collection[str]) -> None:
    if name not in known.names and name not in trusted:
        raise UserError(
            f"{place}: unknown {known.what} {name!r} (takes {', '.join(known.names)}, or what the config names)"
        )
