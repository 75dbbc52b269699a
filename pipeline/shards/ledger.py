"""What is kept in `_progress/` while an artifact is made: what it will be, and which units are done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.storage import Folder
from schemas.errors import UserError
from schemas.manifest import MANIFEST, MAX_BYTES, Manifest, ShardReport, unpack

PROGRESS = "_progress"
LOCK = f"{PROGRESS}/lock.json"
BEGUN = f"{PROGRESS}/begun.json"
_REPORT = ".unit.json"


class Ledger:
    """The progress of the artifact `name` in `folder`."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder, self._name = folder, name
        self._progress = folder / PROGRESS

    def holds(self) -> bool:
        """Whether the directory holds this artifact, finished or not.

        Raises:
            UserError: it holds something else.
        """
        begun = self._begun()
        found = begun["artifact"] if begun else None
        if found is None and self._folder.exists(MANIFEST):
            found = parse_manifest(self._folder).artifact
        if found not in (None, self._name):
            raise UserError(f"{self._folder.url} holds a {found}; name another place for the {self._name}")
        if found is None and self._folder.names():
            raise UserError(f"{self._folder.url} holds other files; name another place for the {self._name}")
        return found is not None

    def exists(self) -> bool:
        """Whether there is anything at all, a lock for one."""
        return self._folder.exists(PROGRESS)

    def begin(self, fingerprint: Mapping[str, Any] | None) -> None:
        """Note what the artifact is made from; None while it is being thrown away."""
        self._folder.write(BEGUN, json.dumps({"artifact": self._name, "fingerprint": fingerprint}, indent=1).encode())

    def fingerprint(self) -> dict[str, Any] | None:
        """What `begin` noted, None where nothing has begun. What was being thrown away is gone afterwards."""
        begun = self._begun()
        if begun is not None and begun["fingerprint"] is None:
            self.discard()
            return None
        return begun and begun["fingerprint"]

    def record(self, unit: str, report: ShardReport) -> None:
        """Note that a unit is done."""
        self._progress.write(unit + _REPORT, report.model_dump_json(indent=1).encode())

    def forget(self, unit: str) -> None:
        """Let a unit be made again."""
        self._progress.remove(unit + _REPORT)

    def reports(self) -> dict[str, ShardReport]:
        """What is done, by unit."""
        units = [name.removesuffix(_REPORT) for name in self._progress.names() if name.endswith(_REPORT)]
        return {unit: ShardReport.model_validate_json(self._progress.read(unit + _REPORT)) for unit in units}

    def save(self, name: str, data: bytes) -> None:
        """Keep state of unfinished work."""
        self._progress.write(name, data)

    def load(self, name: str) -> bytes | None:
        return self._progress.read(name) if self._progress.exists(name) else None

    def close(self) -> None:
        """Remove all but the lock, the note of what it was last."""
        for name in self._progress.names():
            if f"{PROGRESS}/{name}" not in (BEGUN, LOCK):
                self._progress.remove(name)
        self._folder.remove(BEGUN)

    def discard(self) -> None:
        """Remove the whole artifact but for the lock; if that is broken off, the next call goes on with it."""
        self.begin(None)
        for name in [MANIFEST, *self._folder.names()]:
            self._folder.remove(name)
        for name in self._folder.folders():
            if name != PROGRESS:
                self._folder.remove(name)
        self.close()

    def _begun(self) -> dict[str, Any] | None:
        begun: dict[str, Any] | None = json.loads(self._folder.read(BEGUN)) if self._folder.exists(BEGUN) else None
        return begun


def parse_manifest(folder: Folder) -> Manifest:
    """The manifest in a directory.

    Raises:
        FileNotFoundError: there is none.
        UserError: it is damaged, or of another version.
    """
    try:
        size = folder.size(MANIFEST)
        if size > MAX_BYTES:
            raise ValueError(f"{size} bytes, a manifest has {MAX_BYTES} at most")
        # What is no plain file has no size, and might be read for ever.
        return unpack(folder.read(MANIFEST) if size else b"")
    except ValueError as error:
        raise UserError(f"{folder.url}/{MANIFEST}: {error}") from None
