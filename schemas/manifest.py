"""The manifest: the last file written into an artifact, and the only truth about what is in it."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION: Final = 1
MANIFEST = "manifest.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Strict):
    """One file of an artifact.

    `path` is relative to the manifest, with forward slashes; of its `samples`, `source` are the user's own and
    `labelled` have a label.
    """

    path: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    samples: int = Field(0, ge=0)
    source: int = Field(0, ge=0)
    labelled: int = Field(0, ge=0)


class FailedSample(_Strict):
    """A sample that was given up, and why."""

    key: str
    stage: str
    reason: str


class ShardReport(_Strict):
    """What one committed unit of work wrote; kept beside the shards until the manifest replaces it."""

    files: list[FileEntry]
    failures: list[FailedSample] = []
    details: dict[str, Any] = {}


class Manifest(_Strict):
    """Contents of one artifact.

    `fingerprint` holds what the artifact was made from; two artifacts with equal fingerprints are interchangeable.
    `details` holds what the kind of artifact adds (see the stage that writes it).
    """

    format: Literal["bpkd"] = "bpkd"
    version: Literal[1] = FORMAT_VERSION
    artifact: str
    bpkd: str
    files: list[FileEntry]
    failures: int = 0
    fingerprint: dict[str, Any]
    details: dict[str, Any] = {}

    @property
    def samples(self) -> int:
        return sum(file.samples for file in self.files)
