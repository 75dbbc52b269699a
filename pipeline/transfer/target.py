"""Where an artifact is copied to: whose files may be touched there, and what stands there while it is not complete."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.artifacts.ledger import BEGUN, LOCK, PROGRESS, TRANSFER
from pipeline.artifacts.lock import PATIENCE, Lock
from pipeline.storage import Folder, shown
from schemas.errors import UserError
from schemas.manifest import MANIFEST, Manifest, RelativePath, unpack


class _Mark(BaseModel):
    """What stands at a target until all is there.

    `ours` are the files that this or an earlier transfer put there, or that they replace.
    """

    model_config = ConfigDict(extra="forbid")
    ours: list[RelativePath]


class Target:
    """A directory that is to hold an artifact.

    Args:
        url: of the directory.
        manifest: of the artifact.
        packed: the manifest's bytes.

    Attributes:
        sizes: bytes of every file that is there, by path.
    """

    def __init__(self, url: str, manifest: Manifest, packed: bytes) -> None:
        self.folder = Folder(url)
        self.sizes: dict[str, int] = {}
        self._manifest, self._packed = manifest, packed
        self._paths = {file.path for file in manifest.files}
        self._ours: set[str] = set()

    def refuse(self, source: Folder) -> None:
        """Refuse to write into the source, and through symlinks below the target, wherever they lead.

        Raises:
            UserError: it would come to that.
        """
        here, there = self._place(self.folder), self._place(source)
        if here == there:
            raise UserError(f"{shown(self.folder.url)} is the source itself; name another place")
        if f"{here}/".startswith(f"{there}/") or f"{there}/".startswith(f"{here}/"):
            raise UserError(f"{shown(self.folder.url)} and the source lie one in the other; name another place")
        if self.folder.local is None:
            return
        paths = {MANIFEST, TRANSFER, LOCK, *self._paths}
        names = {path[:end] for path in paths for end in (*_slashes(path), len(path))}
        for name in sorted(names):
            if os.path.islink(self.folder.path(name)):
                raise UserError(f"{self.folder.url}/{name} is a symlink, through which nothing is written; remove it")

    @contextmanager
    def claimed(self, *, replace: bool, say: Callable[[str], None]) -> Iterator[None]:
        """Have the target to oneself, marked as unfinished.

        Args:
            replace: it may hold another artifact, whose manifest is removed.
            say: told when there is something to wait for.

        Raises:
            UserError: it holds something else; it is left as it is.
            BpkdError: another process is at work there.
        """
        self.look(replace)
        self._lock = Lock(self.folder, LOCK, say)
        self._lock.acquire()
        patience = None
        try:
            # Once more, as another process may have been at work until now.
            there = self.look(replace)
            self._mark()
            if there is not None and there != self._packed:
                self.folder.remove(MANIFEST)
            yield
        except KeyboardInterrupt:
            patience = PATIENCE
            raise
        finally:
            self._lock.release(patience)
            self.folder.remove_if_empty(PROGRESS)

    def finish(self) -> None:
        """Put the manifest in place, then remove what the artifact does not have, and the mark; within `claimed`.

        Raises:
            BpkdError: another process took the target over.
        """
        self._lock.require(surely=True)
        if not self.folder.exists(MANIFEST):
            self.folder.write(MANIFEST, self._packed)
        self.sizes = self.folder.find()
        for name in self.leftover():
            self.folder.remove(name)
        self.folder.remove(TRANSFER)

    def leftover(self) -> list[str]:
        """Files of an artifact before this one, where they were looked at last."""
        kept = {MANIFEST, LOCK, TRANSFER, *self._paths}
        return [name for name in self.sizes if name not in kept and self._known(name) and not _hidden(name)]

    def look(self, replace: bool) -> bytes | None:
        """Find out which files are there, and which of them may be touched; returns the manifest that is there.

        Args:
            replace: it may hold another artifact.

        Raises:
            UserError: it holds something else.
        """
        self.sizes = self.folder.find()
        self._ours = self._marked()
        there = self.folder.read(MANIFEST) if MANIFEST in self.sizes else None
        if there is not None:
            if there != self._packed and not replace:
                raise UserError(
                    f"{shown(self.folder.url)} holds {_described(there)}; --replace puts this one in its place"
                )
            self._ours |= _listed(there) | self._paths | {MANIFEST}
        foreign = [name for name in self.sizes if not self._known(name)]
        if foreign:
            raise UserError(f"{shown(self.folder.url)} holds other files, such as {foreign[0]!r}; name another place")
        self._ours |= self._paths | {MANIFEST}
        return there

    def _marked(self) -> set[str]:
        """The files that an unfinished transfer left."""
        if BEGUN in self.sizes:
            raise UserError(f"{shown(self.folder.url)} holds an artifact that is still being made; name another place")
        if TRANSFER not in self.sizes:
            return set()
        try:
            return set(_Mark.model_validate_json(self.folder.read(TRANSFER)).ours)
        except ValidationError:
            raise UserError(
                f"{shown(self.folder.url)}/{TRANSFER} is damaged; remove {PROGRESS}/ and try again"
            ) from None

    def _mark(self) -> None:
        self.folder.write(TRANSFER, _Mark(ours=sorted(self._ours)).model_dump_json().encode())

    def _known(self, name: str) -> bool:
        """Whether a file is a transfer's own, or hidden."""
        return name.startswith(f"{PROGRESS}/") or _hidden(name) or _original(name) in self._ours

    @staticmethod
    def _place(folder: Folder) -> str:
        return os.path.realpath(folder.local) if folder.local else folder.url


def _original(name: str) -> str:
    """The file that a temporary one, `NAME.RANDOM.tmp`, was going to be."""
    return name.rsplit(".", 2)[0] if name.endswith(".tmp") else name


def _hidden(name: str) -> bool:
    """Whether a file is none of an artifact's, such as those of version control."""
    return any(part.startswith(".") for part in name.split("/"))


def _slashes(path: str) -> list[int]:
    return [index for index, letter in enumerate(path) if letter == "/"]


def _listed(packed: bytes) -> set[str]:
    try:
        return {file.path for file in unpack(packed).files}
    except ValueError:
        return set()


def _described(packed: bytes) -> str:
    try:
        return f"another {unpack(packed).artifact!r}"
    except ValueError as error:
        return f"an artifact whose {MANIFEST} is damaged ({error})"
