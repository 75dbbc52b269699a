"""An artifact to a repository of the Hugging Face hub, all of it in one commit, so that nobody sees half of it.

There every write is a commit: neither a lock that is renewed nor a mark of what is unfinished has a place. A commit is
made for the state that was looked at; where somebody else's comes first, the hub refuses it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.progress import Task
from pipeline.storage import Folder, sha256, shown
from pipeline.storage.place import Place
from pipeline.transfer.blocks import Damaged, checked_blocks
from pipeline.transfer.target import Target
from schemas.errors import UserError
from schemas.manifest import MANIFEST, FileEntry, Manifest


def is_repository(url: str) -> bool:
    """Whether it is a place in a repository of the hub, of data sets, models or spaces; its buckets are stores."""
    return url.startswith("hf://") and not url.startswith("hf://buckets/")


class Repository:
    """A place in a repository.

    Args:
        url: of the place.

    Raises:
        UserError: there is no such repository, or a package is missing.
        BpkdError: the hub does not answer, or refuses.
    """

    def __init__(self, url: str) -> None:
        self._place = Place(url)
        self._fs = self._place.fs
        self._fs.invalidate_cache()  # what others have committed meanwhile
        try:
            self._at = self._place.do("looked at", lambda: self._fs.resolve_path(self._place.path))
        except FileNotFoundError:
            raise UserError(
                f"{shown(url)}: no such repository, or none that you may see; `hf repos create` makes one, "
                "`hf auth login` says who you are"
            ) from None
        from huggingface_hub import HfApi

        self._api = HfApi(endpoint=self._fs.endpoint, token=self._fs.token)
        self._where = {"repo_id": self._at.repo_id, "repo_type": self._at.repo_type, "revision": self._at.revision}
        self._state: str = self._place.do("looked at", lambda: self._api.repo_info(**self._where)).sha

    def put(self, source: Folder, target: Target, manifest: Manifest, packed: bytes, jobs: int, task: Task) -> set[str]:
        """Commit what is not there yet, the manifest, and that what an artifact before had is gone.

        Args:
            source: on this machine.
            target: this place, which may be written to.
            manifest, packed: of the artifact, and its bytes.
            jobs: files on their way at the same time.
            task: advances by the bytes that are read of the source.

        Returns:
            Paths of the files that had to be sent.

        Raises:
            Damaged: a file of the source, or what the hub says that it has in the end.
        """
        blobs = {entry.path: _blob(source, entry, task) for entry in manifest.files}
        entry = FileEntry(path=MANIFEST, bytes=len(packed), sha256=sha256(packed))
        blobs[MANIFEST] = _git_id(len(packed), [packed])
        wanted = [*manifest.files, entry]
        missing, old = self._missing(wanted, blobs), target.leftover()
        if missing or old:
            self._place.do("written", lambda: self._commit(source, packed, missing, old, jobs))
        if lost := self._missing(wanted, blobs):
            raise Damaged(f"{shown(self._place.url)}/{min(lost)} is not what was sent; run the same command again")
        return missing - {MANIFEST}

    def _commit(self, source: Folder, packed: bytes, added: set[str], removed: list[str], jobs: int) -> None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        def operations() -> Iterator[Any]:
            for name in sorted(added):
                content = packed if name == MANIFEST else source.path(name)
                yield CommitOperationAdd(self._within(name), content)
            for name in removed:
                yield CommitOperationDelete(self._within(name))

        self._api.create_commit(
            operations=operations(),
            commit_message=f"bpkd push: {len(added)} files",
            parent_commit=self._state,
            num_threads=jobs,
            **self._where,
        )

    def _missing(self, wanted: list[FileEntry], blobs: dict[str, str]) -> set[str]:
        """Paths of the files that the hub does not have as they should be."""
        self._fs.invalidate_cache()
        found = self._place.do("listed", lambda: self._fs.find(self._place.path, detail=True))
        start = f"{self._at.unresolve()}/"
        there = {path.removeprefix(start): info for path, info in found.items()}
        return {entry.path for entry in wanted if not _is(there.get(entry.path), entry, blobs[entry.path])}

    def _within(self, name: str) -> str:
        """The path of a file in the repository."""
        return f"{self._at.path_in_repo}/{name}" if self._at.path_in_repo else name


def _blob(source: Folder, entry: FileEntry, task: Task) -> str:
    """Git's id of a file that is as the manifest promises."""
    return _git_id(entry.bytes, checked_blocks(source, entry, task.advance))


def _git_id(size: int, blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _is(info: dict[str, Any] | None, entry: FileEntry, blob: str) -> bool:
    """Whether the hub's word on a file is what a manifest says; of large ones it tells the sha256, else git's id."""
    if info is None or info["size"] != entry.bytes:
        return False
    large = info.get("lfs")
    return bool(large["sha256"] == entry.sha256 if large else info["blob_id"] == blob)
