"""A run's directory, as far as it is there: its config, and what the manifests of its artifacts say."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline import layout
from pipeline.artifacts.absent import refuse_file
from pipeline.artifacts.artifact import read_manifest
from pipeline.artifacts.ledger import PROGRESS
from pipeline.artifacts.promised import read_checked
from pipeline.latest import advised
from pipeline.runs import CONFIG
from pipeline.storage import Folder
from schemas.errors import UserError
from schemas.manifest import MANIFEST, Manifest
from schemas.urls import shown

_LARGEST = 2**22
"""Bytes of a config that is read."""


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        url: of its directory.
        text: of its config.toml, without what would let a reader in; empty where there is none yet.
        config: what it says.
    """

    url: str
    text: str
    config: Mapping[str, Any]

    @cached_property
    def folder(self) -> Folder:
        return Folder(self.url)

    @property
    def rounds(self) -> int:
        """As the config has it; where there is none, those that were begun."""
        wanted = self.setting("run", "rounds")
        return wanted if isinstance(wanted, int) else max(self._begun, default=0)

    @cached_property
    def rounds_shown(self) -> list[int]:
        """The rounds that were begun, and the next: a config may ask for more than anybody could look at."""
        begun = {number for number in self._begun if 1 <= number <= self.rounds}
        next_ = next(number for number in itertools.count(1) if number not in begun)
        return sorted(begun | ({next_} if next_ <= self.rounds else set()))

    @property
    def more_rounds(self) -> int:
        """How many rounds there will be beside those."""
        return max(0, self.rounds - len(self.rounds_shown))

    @cached_property
    def _begun(self) -> list[int]:
        return layout.rounds_in(self.folder.folders())

    @property
    def name(self) -> str:
        return str(self.setting("run", "name") or self.url.rpartition("/")[2])

    def setting(self, section: str, key: str) -> Any:
        found = self.config.get(section)
        return found.get(key) if isinstance(found, dict) else None

    @cached_property
    def artifacts(self) -> list[tuple[str, str]]:
        """(path, kind) of every artifact that it has in the end, but for `more_rounds`, as `layout.artifacts`."""
        evaluated = self.setting("data", "eval") is not None or self.folder.exists(f"evaluation/{MANIFEST}")
        return layout.artifacts(
            self.rounds_shown, text=self.setting("data", "kind") == "text", evaluated=evaluated or not self.config
        )

    @cached_property
    def manifests(self) -> dict[str, Manifest | str]:
        """Path of each artifact -> its manifest, or else its state or what is wrong with it."""
        return {path: self._manifest(path, kind) for path, kind in self.artifacts}

    def manifest(self, path: str) -> Manifest | None:
        """Of an artifact that is finished."""
        found = self.manifests.get(path)
        return found if isinstance(found, Manifest) else None

    def read(self, path: str, name: str) -> bytes | None:
        """A file of a finished artifact, as its manifest promises it; None where it lists none.

        Raises:
            BpkdError: it is missing or damaged.
        """
        manifest = self.manifest(path)
        entries = [entry for entry in manifest.files if entry.path == name] if manifest else []
        return read_checked(self.folder / path, entries[0]) if entries else None

    def _manifest(self, path: str, kind: str) -> Manifest | str:
        folder = self.folder / path
        if not folder.exists(MANIFEST):
            return "unfinished" if folder.exists(PROGRESS) else "missing"
        try:
            manifest = read_manifest(folder.url, layout.MADE_BY[kind])
        except UserError as error:
            return str(error)
        return manifest if manifest.artifact == kind else f"{folder.url} holds another kind of artifact"


def open_run(url: str) -> Run:
    """A run, finished or not.

    Raises:
        UserError: there is none.
    """
    folder = Folder(url)
    if folder.exists(CONFIG):
        return _with_config(folder)
    if versions := advised(folder):
        raise UserError(f"{url} {versions}")
    if folder.exists(MANIFEST):
        raise UserError(f"{url} is one artifact; name the directory of its whole run, the one that run.output names")
    refuse_file(folder, "the directory of a run, the one that run.output names")
    run = Run(folder.url, "", {})
    if all(found == "missing" for found in run.manifests.values()):
        raise UserError(
            f"{url} is no run: it has no {CONFIG} and no artifact; name the directory that run.output names, which is "
            "relative to its config"
        )
    return run


def _with_config(folder: Folder) -> Run:
    if folder.size(CONFIG) > _LARGEST:
        raise UserError(f"{folder.url}/{CONFIG} is too large for a config")
    try:
        text = folder.read(CONFIG).decode()
        return Run(folder.url, shown(text), tomllib.loads(text))
    except ValueError as error:
        raise UserError(f"{folder.url}/{CONFIG}: {error}") from None
