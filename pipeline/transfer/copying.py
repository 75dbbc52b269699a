"""Copying a finished artifact to another place, every file checked; what was copied once is not copied again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from threading import Lock

from pipeline.artifacts.artifact import read_manifest
from pipeline.artifacts.ledger import PROGRESS
from pipeline.progress import Progress, Silent, Task
from pipeline.storage import Folder, shown
from pipeline.transfer.blocks import Damaged, checked_blocks, has
from pipeline.transfer.crew import Stop, at_once
from pipeline.transfer.hub import Repository, is_repository
from pipeline.transfer.target import Target
from schemas.errors import BpkdError, UserError
from schemas.manifest import MANIFEST, FileEntry, Manifest, unpack

MEMORY = 2**29
"""Bytes of files on their way to a remote store, at most, unless a single file is larger."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """What a transfer did.

    Attributes:
        url: where the artifact is now.
        manifest: of the artifact.
        sent, sent_bytes: files that were copied.
        kept, kept_bytes: files that were there already.
    """

    url: str
    manifest: Manifest
    sent: int
    sent_bytes: int
    kept: int
    kept_bytes: int


def transfer(
    source_url: str,
    target_url: str,
    *,
    jobs: int = 8,
    replace: bool = False,
    progress: Progress | None = None,
) -> Transferred:
    """Copy what a manifest lists, and the manifest last, so that a reader never sees half of it.

    Every file's size and sha256 are checked as it is read. A local file is then written in blocks under a temporary
    name and renamed; a remote one is put at once, which holds it in memory (`MEMORY` for all), and read back. In a
    repository of the Hugging Face hub all of it is one commit, see `pipeline.transfer.hub`.
    Interrupted, it goes on when called again: a file at the target with the right size and sha256 is not sent again.

    Args:
        source_url, target_url: directories.
        jobs: files on their way at the same time.
        replace: the target may hold another artifact; its manifest goes first and its other files at the end.
        progress: where to report, in bytes.

    Raises:
        UserError: the source is no finished artifact; the target is the source, holds something else, or leads out
            of itself by a symlink.
        BpkdError: a file is missing or damaged at the source or cannot be written, or another process is at work
            at the target.
    """
    progress = progress or Silent()
    source = Folder(source_url)
    if is_repository(target_url) and source.local is None:  # from where its files are sent
        with TemporaryDirectory(prefix="bpkd-push-") as folder:
            transfer(source_url, folder, jobs=jobs, progress=progress)
            return transfer(folder, target_url, jobs=jobs, replace=replace, progress=progress)
    manifest, packed = _read(source)
    target = Target(target_url, manifest, packed)
    target.refuse(source)
    total = sum(file.bytes for file in manifest.files)
    if is_repository(target_url):
        repository = Repository(target_url)
        target.look(replace)
        with progress.task("copy", total, unit="bytes") as task:
            sent = repository.put(source, target, manifest, packed, jobs, task)
    else:
        with target.claimed(replace=replace, say=progress.say):
            with progress.task("copy", total, unit="bytes") as task:
                sent = _copy(source, target, manifest.files, jobs, task)
            target.finish()
    everything = {file.path: file.bytes for file in manifest.files}
    return Transferred(
        url=target_url,
        manifest=manifest,
        sent=len(sent),
        sent_bytes=sum(everything[path] for path in sent),
        kept=len(everything) - len(sent),
        kept_bytes=sum(size for path, size in everything.items() if path not in sent),
    )


def _read(source: Folder) -> tuple[Manifest, bytes]:
    """The manifest, and its bytes as they are."""
    manifest = read_manifest(source.url, None)
    packed = source.read(MANIFEST)
    place = f"{shown(source.url)}/{MANIFEST}"
    if unpack(packed) != manifest:
        raise BpkdError(f"{place} was changed while it was read; run the same command again")
    for file in manifest.files:
        if file.path.split("/")[0] == PROGRESS:
            raise UserError(f"{place} lists {file.path}, but {PROGRESS}/ is for unfinished work")
    return manifest, packed


def _copy(source: Folder, target: Target, files: list[FileEntry], jobs: int, task: Task) -> set[str]:
    """Paths of the files that had to be sent."""
    if target.folder.local is None:
        jobs = max(1, min(jobs, MEMORY // max((file.bytes for file in files), default=1)))
    stop, lock = Stop(), Lock()

    def advance(count: int) -> None:
        stop.check()
        with lock:
            task.advance(count)

    def copy(file: FileEntry) -> bool:
        if target.sizes.get(file.path) == file.bytes and has(target.folder, file, stop.check):
            advance(file.bytes)
            return False
        if target.folder.local is not None:
            target.folder.write_blocks(file.path, checked_blocks(source, file, advance))
            return True
        target.folder.write_blocks(file.path, checked_blocks(source, file, lambda _: stop.check()))
        if not has(target.folder, file, stop.check):
            raise Damaged(f"{shown(target.folder.url)}/{file.path} is not what was written; run the same command again")
        advance(file.bytes)
        return True

    done = at_once(jobs, [partial(copy, file) for file in files], stop)
    return {file.path for file, sent in zip(files, done, strict=True) if sent}
