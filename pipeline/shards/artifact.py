"""An artifact: a directory of committed units of work that is complete once its manifest exists.

While work goes on, `_progress/` holds the fingerprint of the inputs and one report per committed unit. The manifest
replaces it at the end, so that a finished artifact is the same bytes whether or not it was ever interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.storage import Folder, sha256
from pipeline.version import VERSION
from schemas.errors import UserError
from schemas.manifest import MANIFEST, FailedSample, FileEntry, Manifest, ShardReport, pack, unpack

PROGRESS = "_progress"
BEGUN = f"{PROGRESS}/begun.json"
FAILURES = "failures.jsonl"


def read_manifest(url: str, made_by: str) -> Manifest:
    """The manifest of a complete artifact.

    Args:
        url: directory of the artifact.
        made_by: command that makes it, for the message.

    Raises:
        UserError: there is none, or it is not a manifest that this version reads.
    """
    folder = Folder(url)
    if not folder.exists(MANIFEST):
        state = "is not finished" if folder.exists(BEGUN) else "does not exist"
        raise UserError(f"{url} {state}; make it with `bpkd {made_by}`")
    return _parse(folder)


def identity(manifest: Manifest) -> dict[str, Any]:
    """What a later artifact remembers of one that it was made from: its fingerprint, and one hash over its files."""
    files = json.dumps([[file.path, file.sha256] for file in manifest.files])
    return {**manifest.fingerprint, "files": sha256(files.encode())}


def require_same(url: str, found: Mapping[str, Any], wanted: Mapping[str, Any], remedy: str) -> None:
    """Compare two fingerprints.

    Raises:
        UserError: they differ; names the first difference with both values, the others by path, and `remedy`.
    """
    differing = sorted(_differences(found, json.loads(json.dumps(wanted))))
    if differing:
        path, was, now = differing[0]
        more = f" (other too: {', '.join(path for path, *_ in differing[1:])})" if len(differing) > 1 else ""
        raise UserError(f"{url} was made with {path} = {was}, now it is {now}{more}; {remedy}")


def discard(url: str, name: str) -> None:
    """Remove an artifact, finished or not; nothing happens where there is none.

    Raises:
        UserError: what is there is no artifact, or another kind of artifact.
    """
    folder = Folder(url)
    begun = _begun(folder)
    found = _parse(folder).artifact if folder.exists(MANIFEST) else begun and begun["artifact"]
    if found == name:
        folder.remove()
    elif found is not None or folder.names():
        raise UserError(f"{url} holds {f'a {found}' if found else 'other files'}, no {name}; it is left as it is")


def _parse(folder: Folder) -> Manifest:
    try:
        return unpack(folder.read(MANIFEST))
    except ValueError as error:
        raise UserError(f"{folder.url}/{MANIFEST}: {error}") from None


def _begun(folder: Folder) -> dict[str, Any] | None:
    begun: dict[str, Any] | None = json.loads(folder.read(BEGUN)) if folder.exists(BEGUN) else None
    return begun


class Artifact:
    """One artifact being made, resumed or found complete.

    Args:
        url: its directory.
        name: what it is, for example "teacher-logits".
        fingerprint: JSON-like; everything that decides its content.
        restart: throw away what is there.

    Attributes:
        manifest: None until it is complete.
        new: nothing was there when this object was made.

    Raises:
        UserError: what is there was made from something else, or is something else.
    """

    def __init__(self, url: str, name: str, fingerprint: Mapping[str, Any], *, restart: bool = False) -> None:
        self.folder = Folder(url)
        self.name = name
        self.fingerprint: dict[str, Any] = json.loads(json.dumps(fingerprint))
        self.manifest: Manifest | None = None
        self.new = False
        if restart:
            discard(url, name)
        begun = _begun(self.folder)
        if self.folder.exists(MANIFEST):
            self.manifest = _parse(self.folder)
            self._require(self.manifest.artifact, self.manifest.fingerprint)
            self._tidy()
        elif begun is not None:
            self._require(begun["artifact"], begun["fingerprint"])
        elif self.folder.names():
            raise UserError(f"{url} holds other files; name another place for the {name}")
        else:
            self.new = True

    def done(self, unit: str) -> bool:
        """Whether `unit` is committed."""
        return self.folder.exists(f"{PROGRESS}/{unit}.json")

    def report(self, unit: str) -> ShardReport:
        """What was committed as `unit`."""
        return ShardReport.model_validate_json(self.folder.read(f"{PROGRESS}/{unit}.json"))

    def write(self, path: str, data: bytes, *, samples: int = 0, source: int = 0, labelled: int = 0) -> FileEntry:
        """Write one file; it counts once its entry is committed."""
        self._begin()
        self.folder.write(path, data)
        digest = sha256(data)
        return FileEntry(path=path, bytes=len(data), sha256=digest, samples=samples, source=source, labelled=labelled)

    def commit(
        self,
        unit: str,
        files: Iterable[FileEntry],
        failures: Iterable[FailedSample] = (),
        details: Mapping[str, Any] | None = None,
    ) -> ShardReport:
        """Record that `unit` is done; its files are already written."""
        self._begin()
        report = ShardReport(files=list(files), failures=list(failures), details=dict(details or {}))
        self.folder.write(f"{PROGRESS}/{unit}.json", report.model_dump_json(indent=1).encode())
        return report

    def save_state(self, name: str, data: bytes) -> None:
        """Keep state of unfinished work; it goes when the artifact is finished."""
        self._begin()
        self.folder.write(f"{PROGRESS}/{name}", data)

    def load_state(self, name: str) -> bytes | None:
        path = f"{PROGRESS}/{name}"
        return self.folder.read(path) if self.folder.exists(path) else None

    def finish(self, units: Iterable[str], details: Mapping[str, Any] | None = None) -> Manifest:
        """Write the manifest over all units, in their order, and forget the progress."""
        files: list[FileEntry] = []
        failures: list[FailedSample] = []
        for unit in units:
            report = self.report(unit)
            files += report.files
            failures += report.failures
        if failures:
            lines = "".join(failure.model_dump_json() + "\n" for failure in failures)
            files.append(self.write(FAILURES, lines.encode()))
        manifest = Manifest(
            artifact=self.name,
            bpkd=VERSION,
            files=files,
            failures=len(failures),
            fingerprint=self.fingerprint,
            details=dict(details or {}),
        )
        data = pack(manifest)
        self.folder.write(MANIFEST, data)
        self._tidy()
        self.manifest = unpack(data)
        return self.manifest

    def _begin(self) -> None:
        if not self.folder.exists(BEGUN):
            begun = {"artifact": self.name, "fingerprint": self.fingerprint}
            self.folder.write(BEGUN, json.dumps(begun, indent=1).encode())

    def _tidy(self) -> None:
        self.folder.remove(PROGRESS)
        for name in self.folder.names():
            if name.endswith(".tmp"):
                self.folder.remove(name)

    def _require(self, name: str, fingerprint: dict[str, Any]) -> None:
        if name != self.name:
            raise UserError(f"{self.folder.url} holds a {name}; name another place for the {self.name}")
        remedy = "use --restart to make it anew, or another run.output"
        require_same(self.folder.url, fingerprint, self.fingerprint, remedy)


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, old value, new value) of every leaf that differs, values shortened for a message."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif old != new:
        yield path, _short(old), _short(new)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
