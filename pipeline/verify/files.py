"""The manifest against the files that are there."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from pipeline.artifacts.absent import COPY
from pipeline.artifacts.failures import FAILURES
from pipeline.artifacts.ledger import PROGRESS, TRANSFER
from pipeline.artifacts.promised import check_file
from pipeline.layout import MADE_BY
from pipeline.storage import Folder
from pipeline.verify.verdict import Findings
from schemas.errors import BpkdError
from schemas.manifest import MANIFEST, MAX_BYTES, FailedSample, FileEntry, Manifest, unpack

_MISSING = "is missing"
_LONGEST_LINE = 2**16

Sizes = Mapping[str, int]
"""Bytes of every file of an artifact by name."""


def begun(sizes: Sizes) -> bool:
    """Whether there is work that has not come to its end."""
    return any(name.startswith(f"{PROGRESS}/") for name in sizes)


def open_manifest(folder: Folder, sizes: Sizes, found: Findings) -> Manifest | None:
    """The manifest; None, and a problem, where there is none that can be read."""
    size = sizes.get(MANIFEST)
    if size is None:
        unfinished = f"is missing: this {COPY}" if TRANSFER in sizes else "is missing: unfinished, or being made now"
        found.add(MANIFEST, None, unfinished if begun(sizes) else _MISSING)
        return None
    if size > MAX_BYTES:
        found.add(MANIFEST, None, f"{size} bytes, a manifest has {MAX_BYTES} at most")
        return None
    try:
        return unpack(folder.read(MANIFEST))
    except (ValueError, OSError, BpkdError) as error:
        found.add(MANIFEST, None, reason(error, folder, MANIFEST))
    return None


def compare_listing(manifest: Manifest, sizes: Sizes, found: Findings) -> list[FileEntry]:
    """Report what is missing, extra or of another size; the entries of all other files."""
    fitting = []
    for entry in manifest.files:
        size = sizes.get(entry.path, -1)
        if size == entry.bytes:
            fitting.append(entry)
        else:
            found.add(entry.path, None, _MISSING if size < 0 else _promised(f"{size:,} bytes", f"{entry.bytes:,}"))
    listed = {entry.path for entry in manifest.files} | {MANIFEST}
    if begun(sizes):
        stage = f"bpkd {MADE_BY.get(manifest.artifact, 'run')} CONFIG"
        left = f"is left of unfinished work; run `{stage}` again to clear it"
        found.add(PROGRESS, None, f"this {COPY}" if TRANSFER in sizes else left)
    for name in sizes:
        hidden = any(part.startswith(".") for part in name.split("/"))
        if name not in listed and not hidden and not name.startswith(f"{PROGRESS}/"):
            found.add(name, None, "is not in the manifest")
    return fitting


def check_bytes(folder: Folder, entry: FileEntry, found: Findings) -> bool:
    """Whether a file is the promised one; it may be larger than memory."""
    try:
        check_file(folder, entry)
    except (OSError, BpkdError) as error:
        found.add(entry.path, None, reason(error, folder, entry.path))
        return False
    return True


def check_failures(folder: Folder, listed: bool, manifest: Manifest, found: Findings) -> None:
    """Compare the number of failed samples with the lines of the file that lists them."""
    lines = 0
    if listed:
        with folder.open(FAILURES) as file:
            while line := file.readline(_LONGEST_LINE):
                lines += 1
                try:
                    FailedSample.model_validate_json(line)
                except ValidationError:
                    found.add(FAILURES, None, f"line {lines} is not the JSON of a failed sample")
    if lines != manifest.failures:
        found.add(FAILURES, None, _promised(f"{lines:,} failed samples", f"{manifest.failures:,}"))


def reason(error: Exception, folder: Folder, path: str) -> str:
    """What `error` says of a file, without the file's name."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error).removeprefix(folder.url).removeprefix(f"/{path}").lstrip(":/ ")


def _promised(there: str, wanted: str) -> str:
    return f"{there}, the manifest promises {wanted}"
