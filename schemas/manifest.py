"""The manifest: the last file written into an artifact, and the only truth about what is in it."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from schemas.errors import clipped
from schemas.strict import Strict

FORMAT_VERSION: Final = 1
MANIFEST = "manifest.json"
MAX_BYTES: Final = 2**26
"""Of a manifest that is read."""
MAX_FILES: Final = 300_000
"""That an artifact is begun with: their entries, of about 210 bytes each, stay below `MAX_BYTES`."""

_MAX_VALUES: Final = 2**22
"""In a manifest that is read: each takes far more memory than the two bytes that it may have in the file."""

_NAME = "[A-Za-z0-9_][A-Za-z0-9_.+=-]*"
RelativePath = Annotated[str, Field(pattern=f"^{_NAME}(/{_NAME})*$", max_length=1024)]
"""Within the artifact's directory: no part is empty or begins with a dot, so that none leads out of it."""

_TAIL = len('"\n}\n')


class FileEntry(Strict):
    """One file of an artifact.

    `path` is relative to the manifest, with forward slashes; of its `samples`, `source` are the user's own and
    `labelled` have a label.
    """

    path: RelativePath
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    samples: int = Field(0, ge=0)
    source: int = Field(0, ge=0)
    labelled: int = Field(0, ge=0)


class FailedSample(Strict):
    """A sample that was given up, and why; `file` of the source holds it, `unit` is the unit of work that it is in."""

    key: str
    stage: str
    reason: str
    file: str = ""
    unit: str = ""


class ShardReport(Strict):
    """What one committed unit of work wrote; kept beside the shards until the manifest replaces it."""

    files: list[FileEntry]
    failures: list[FailedSample] = Field([])
    details: dict[str, Any] = Field({})


class Manifest(Strict):
    """Contents of one artifact.

    `fingerprint` holds what the artifact was made from; two artifacts with equal fingerprints are interchangeable.
    `details` holds what the kind of artifact adds (see the stage that writes it). `manifest_sha256` is that of the
    manifest's own bytes with zeros in its place, which `pack` fills in and `unpack` checks.
    """

    format: Literal["bpkd"] = "bpkd"
    version: Literal[1] = FORMAT_VERSION
    artifact: str
    bpkd: str
    files: list[FileEntry] = Field(fail_fast=True)
    failures: int = 0
    fingerprint: dict[str, Any]
    details: dict[str, Any] = Field({})
    manifest_sha256: str = Field("0" * 64, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _paths_once(self) -> Manifest:
        paths = [file.path for file in self.files]
        if MANIFEST in paths:
            raise ValueError(f"lists {MANIFEST} itself")
        if len(set(paths)) < len(paths):
            raise ValueError(f"lists {Counter(paths).most_common(1)[0][0]} twice")
        return self

    @property
    def samples(self) -> int:
        return sum(file.samples for file in self.files)


def pack(manifest: Manifest) -> bytes:
    """The bytes of a manifest.json."""
    blank = manifest.model_copy(update={"manifest_sha256": "0" * 64})
    data = (blank.model_dump_json(indent=1) + "\n").encode()
    return data[: -_TAIL - 64] + hashlib.sha256(data).hexdigest().encode() + data[-_TAIL:]


def unpack(data: bytes) -> Manifest:
    """The manifest in a manifest.json.

    Raises:
        ValueError: one line; it is too long, no manifest of this version, or not the bytes that were written.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data)} bytes, a manifest has {MAX_BYTES} at most")
    if sum(data.count(sign) for sign in (b",", b"[", b"{")) > _MAX_VALUES:
        raise ValueError(f"more than {_MAX_VALUES} values")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise ValueError(f"{clipped(place)}: {clipped(problem['msg'], 300)}") from None
    digest = hashlib.sha256(data[: -_TAIL - 64] + b"0" * 64 + data[-_TAIL:]).hexdigest()
    if digest != manifest.manifest_sha256:
        raise ValueError("its own sha256 is another: it is damaged, or was changed by hand")
    return manifest
