"""What is kept in `_progress/` while an artifact is made: what it will be, and which units are done."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.storage import Folder, is_temporary
from schemas.errors import UserError
from schemas.manifest import MANIFEST, MAX_BYTES, Manifest, ShardReport, unpack

PROGRESS = "_progress"
LOCK = f"{PROGRESS}/lock.json"
BEGUN = f"{PROGRESS}/begun.json"
TRANSFER = f"{PROGRESS}/transfer.json"
"""Stands at a copy that is not complete."""
_REPORT = ".unit.json"
_AT_ONCE = 8
_OURS = re.compile(r"(shard-\d{5,}|\w+-\d{5,}-of-\d{5,}|model|optimizer|metrics|gallery|failures|units)\.[a-z]+")
"""What a stage that was killed may have written without noting it."""


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
        found = self._found()
        if found is None and self._folder.names():
            found = self._found()  # somebody may have begun in between
            if found is None:
                raise UserError(f"{self._folder.url} holds other files; name another place for the {self._name}")
        if found not in (None, self._name):
            raise UserError(f"{self._folder.url} holds a {found}; name another place for the {self._name}")
        return found is not None

    def exists(self) -> bool:
        """Whether there is anything at all, a lock for one."""
        return self._folder.exists(PROGRESS)

    def begin(self, fingerprint: Mapping[str, Any]) -> None:
        """Note what the artifact is made from."""
        self._note(fingerprint=fingerprint)

    def fingerprint(self) -> dict[str, Any] | None:
        """What `begin` noted, None where nothing has begun; what `change` or `discard` left half done is done first."""
        begun = self._begun() or {}
        if "discard" in begun:
            self._discard(begun["discard"])
            return None
        if "again" in begun:
            self.change(begun["fingerprint"], begun["again"])
        return begun.get("fingerprint")

    def noted(self) -> dict[str, Any] | None:
        """What `begin` noted, whatever was broken off since."""
        return (self._begun() or {}).get("fingerprint")

    def change(self, fingerprint: Mapping[str, Any], again: Collection[str]) -> None:
        """Note that the artifact is made from something else now, of which only the units `again` are different."""
        self._note(fingerprint=fingerprint, again=sorted(again))
        for unit in again:
            self._progress.remove(unit + _REPORT)
        self.begin(fingerprint)

    def record(self, unit: str, report: ShardReport) -> None:
        """Note that a unit is done."""
        self._progress.write(unit + _REPORT, report.model_dump_json(indent=1).encode())

    def reports(self) -> dict[str, ShardReport]:
        """What is done, by unit."""
        names = [name for name in self._progress.names() if name.endswith(_REPORT)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = [ShardReport.model_validate_json(data) for data in pool.map(self._progress.read, names)]
        return {name.removesuffix(_REPORT): report for name, report in zip(names, found, strict=True)}

    def save(self, name: str, data: bytes) -> None:
        """Keep state of unfinished work."""
        self._progress.write(name, data)

    def load(self, name: str) -> bytes | None:
        return self._progress.read(name) if self._progress.exists(name) else None

    def close(self) -> None:
        """Remove all but the lock, the note of what it was last."""
        kept, lock = BEGUN.removeprefix(f"{PROGRESS}/"), LOCK.removeprefix(f"{PROGRESS}/")
        names = [name for name in self._progress.names() if name != kept and not name.startswith(lock)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self._progress.remove, names):
                pass
        self._folder.remove(BEGUN)

    def discard(self) -> None:
        """Remove the artifact, and nothing else that lies in its directory; if broken off, `fingerprint` goes on."""
        listed = [file for report in self.reports().values() for file in report.files]
        if self._folder.exists(MANIFEST):
            listed += parse_manifest(self._folder).files
        files = sorted({file.path for file in listed})
        self._note(discard=files)
        self._discard(files)

    def _discard(self, files: Collection[str]) -> None:
        unlisted = [name for name in self._folder.names() if _OURS.fullmatch(name) or is_temporary(name)]
        for name in [MANIFEST, *files, *unlisted]:
            self._folder.remove(name)
        self.close()

    def _found(self) -> str | None:
        """The name of the artifact that is here."""
        begun = self._begun()
        if begun is not None:
            return str(begun["artifact"])
        try:
            return parse_manifest(self._folder).artifact
        except FileNotFoundError:
            return None

    def _note(self, **values: Any) -> None:
        self._folder.write(BEGUN, json.dumps({"artifact": self._name, **values}, indent=1).encode())

    def _begun(self) -> dict[str, Any] | None:
        try:
            begun: dict[str, Any] = json.loads(self._folder.read(BEGUN))
        except FileNotFoundError:
            return None
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
