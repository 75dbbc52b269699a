"""An artifact: a directory of committed units of work that is complete once its manifest exists.

While work goes on, `_progress/` holds the lock of whoever is at work, the fingerprint of the inputs and one report per
committed unit. The manifest replaces it at the end, so that a finished artifact is the same bytes whether or not it
was ever interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from pipeline.artifacts.absent import require_finished
from pipeline.artifacts.failures import FAILURES, UNITS, Retry, failure_files, read_reports
from pipeline.artifacts.identity import require_same
from pipeline.artifacts.ledger import LOCK, PROGRESS, Ledger, parse_manifest
from pipeline.artifacts.lock import PATIENCE, Lock
from pipeline.artifacts.units import Target
from pipeline.layout import MADE_BY
from pipeline.storage import Folder, is_temporary, sha256
from pipeline.timing import Clock
from pipeline.version import VERSION
from schemas.errors import BpkdError
from schemas.manifest import MANIFEST, FailedSample, FileEntry, Manifest, ShardReport, pack, unpack


def read_manifest(url: str, made_by: str | None) -> Manifest:
    """The manifest of a complete artifact.

    Args:
        url: directory of the artifact.
        made_by: command that makes it, for the message; None where it may come from elsewhere.

    Raises:
        UserError: there is none, or it is not a manifest that this version reads.
    """
    folder = Folder(url)
    require_finished(folder, made_by)
    return parse_manifest(folder)


def recorded_fingerprint(url: str) -> dict[str, Any] | None:
    """What an artifact is made from, finished or not; None where there is none.

    Raises:
        UserError: its manifest is damaged.
    """
    folder = Folder(url)
    if folder.exists(MANIFEST):
        return parse_manifest(folder).fingerprint
    return Ledger(folder, "").noted()


def discard(url: str, name: str) -> None:
    """Remove an artifact, finished or not; nothing happens where there is none.

    Raises:
        UserError: what is there is no artifact, or another kind of artifact.
        BpkdError: it is being made.
    """
    folder = Folder(url)
    ledger = Ledger(folder, name)
    if ledger.holds():
        with held(folder):
            ledger.discard()


@contextmanager
def held(folder: Folder, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Have a directory to oneself; if it is empty in the end, it goes.

    Raises:
        BpkdError: another process is at work there.
    """
    lock = Lock(folder, LOCK, say)
    lock.acquire()
    try:
        yield
    except BaseException:
        _release(lock, folder, PATIENCE)
        raise
    _release(lock, folder)


class Artifact:
    """One artifact being made, resumed or found complete; a context manager, within which nobody else makes it.

    Args:
        url: its directory.
        name: what it is, for example "teacher-logits".
        fingerprint: JSON-like; everything that decides its content.
        restart: throw away what is there.
        retry: if given, units with failed samples are made again, as it says.
        run: URL of the run that it belongs to, which keeps how long it took.
        say: told when there is something to wait for.

    Attributes:
        manifest: None until it is complete.
        again: units that `retry` has made open again.

    Raises:
        UserError: what is there was made from something else, or is something else.
        BpkdError: another process is making it.
    """

    def __init__(
        self,
        url: str,
        name: str,
        fingerprint: Mapping[str, Any],
        *,
        restart: bool = False,
        retry: Retry | None = None,
        run: str | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.folder = Folder(url)
        self.name = name
        self.fingerprint: dict[str, Any] = json.loads(json.dumps(fingerprint))
        self.manifest: Manifest | None = None
        self.again: set[str] = set()
        self._restart, self._retry = restart, retry
        self._ledger = Ledger(self.folder, name)
        self._lock = Lock(self.folder, LOCK, say)
        self._reports: dict[str, ShardReport] = {}
        self._begun = False
        self._clock = Clock(run, self.folder.url)

    def __enter__(self) -> Self:
        if self._ledger.holds() and not self._restart and not self._ledger.exists():
            # Where it has gone since, somebody is throwing it away, and holds the lock.
            with suppress(FileNotFoundError):
                manifest = parse_manifest(self.folder)
                if not self._finished_retried(manifest):
                    self.manifest = manifest
                    return self
        self._lock.acquire()
        try:
            if self._ledger.holds() and self._restart:
                self._ledger.discard()
            self._take_up()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def done(self, unit: str) -> bool:
        """Whether `unit` is committed."""
        return unit in self._reports

    def report(self, unit: str) -> ShardReport:
        """What was committed as `unit`."""
        return self._reports[unit]

    def write(self, path: str, data: bytes, *, samples: int = 0, source: int = 0, labelled: int = 0) -> FileEntry:
        """Write one file; it counts once its entry is committed."""
        self._begin()
        self.folder.write(path, data)
        digest = sha256(data)
        return FileEntry(path=path, bytes=len(data), sha256=digest, samples=samples, source=source, labelled=labelled)

    def target(self) -> Target:
        """Where workers write files of units, which `commit` then takes in."""
        self._begin()
        return Target(self.folder.url, self._lock.lease)

    def commit(
        self,
        unit: str,
        files: Iterable[FileEntry],
        failures: Iterable[FailedSample] = (),
        details: Mapping[str, Any] | None = None,
    ) -> ShardReport:
        """Record that `unit` is done; its files are already written."""
        self._begin()
        failed = [failure.model_copy(update={"unit": unit}) for failure in failures]
        report = ShardReport(files=list(files), failures=failed, details=dict(details or {}))
        self._ledger.record(unit, report)
        self._reports[unit] = report
        return report

    def take(self, folder: Folder, entry: FileEntry, path: str) -> FileEntry:
        """Write the file `entry` of another artifact as `path`; it counts once its entry is committed.

        Its bytes are not looked at: whoever reads them compares them with the manifest.

        Raises:
            BpkdError: it is missing.
        """
        self._begin()
        try:
            self.folder.take(path, folder, entry.path)
        except FileNotFoundError:
            raise BpkdError(f"{folder.url}/{entry.path} is missing, though the manifest lists it") from None
        return entry.model_copy(update={"path": path})

    def save_state(self, name: str, data: bytes) -> None:
        """Keep state of unfinished work; it goes when the artifact is finished."""
        self._begin()
        self._ledger.save(name, data)

    def load_state(self, name: str) -> bytes | None:
        return self._ledger.load(name)

    def abandon(self) -> None:
        """Throw away what was written, so that the next one to come may make it from something else."""
        if self._begun:
            self._lock.require()
            self._ledger.discard()
            self._reports, self._begun = {}, False

    def finish(self, units: Iterable[str], details: Mapping[str, Any] | None = None) -> Manifest:
        """Write the manifest over all units, in their order, and forget the progress."""
        reports = {unit: self._reports[unit] for unit in units}
        files = [file for report in reports.values() for file in report.files]
        files += [self.write(name, data) for name, data in failure_files(reports).items()]
        manifest = Manifest(
            artifact=self.name,
            bpkd=VERSION,
            files=files,
            failures=sum(len(report.failures) for report in reports.values()),
            fingerprint=self.fingerprint,
            details=dict(details or {}),
        )
        data = pack(manifest)
        manifest = unpack(data)  # what cannot be read must not be written
        self._lock.require(surely=True)
        self.folder.write(MANIFEST, data)
        self._tidy(manifest)
        self._clock.stop()
        self.manifest = manifest
        return self.manifest

    def _leave(self, error: BaseException | None) -> None:
        _release(self._lock, self.folder, None if error is None else PATIENCE)

    def _take_up(self) -> None:
        """See what is there, now that nobody else changes it."""
        found = self._ledger.fingerprint()
        if self.folder.exists(MANIFEST):
            manifest = parse_manifest(self.folder)
            self.again = self._finished_retried(manifest)
            if self.again:
                self._reopen(manifest, self.again)
            else:
                self._tidy(manifest)
                self.manifest = manifest
        elif found is not None:
            reports = self._ledger.reports()
            failed = {unit for unit, report in reports.items() if report.failures}
            self.again = self._retried(found, failed, any_failed=bool(failed))
            if self.again:
                self._ledger.change(self.fingerprint, self.again)
            self._reports = {unit: report for unit, report in reports.items() if unit not in self.again}
        else:
            self._clock.start()

    def _finished_retried(self, manifest: Manifest) -> set[str]:
        """`_retried` for a finished artifact, whose units are read only where some may be made again."""
        failed: set[str] = set()
        if self._retry is not None and manifest.failures:
            failed = {unit for unit, report in read_reports(self.folder, manifest).items() if report.failures}
        return self._retried(manifest.fingerprint, failed, any_failed=manifest.failures > 0)

    def _retried(self, found: dict[str, Any], failed: set[str], *, any_failed: bool) -> set[str]:
        """Names of the units to make again.

        Raises:
            UserError: the artifact is made from something else.
        """
        again: set[str] = set()
        if self._retry is not None and failed:
            found, again = self._retry(found, self.fingerprint, failed)
        command = f"bpkd {MADE_BY[self.name]} CONFIG" if self.name in MADE_BY else "the command"
        retry = "if only broken samples were mended, run it with --retry-failed; " if any_failed else ""
        remedy = f"{retry}go back to that, make it anew with `{command} --restart`, or name another output"
        require_same(self.folder.url, found, self.fingerprint, remedy)
        return again

    def _reopen(self, manifest: Manifest, again: set[str]) -> None:
        """Make a finished artifact one that lacks the units `again`. Until its manifest goes, it stays what it was."""
        reports = read_reports(self.folder, manifest)
        self._ledger.close()
        self._begin()
        for unit in reports.keys() - again:
            self._ledger.record(unit, reports[unit])
            self._reports[unit] = reports[unit]
        self.folder.remove(MANIFEST)

    def _begin(self) -> None:
        self._lock.require()
        if not self._begun:
            self._ledger.begin(self.fingerprint)
            self._begun = True

    def _tidy(self, manifest: Manifest) -> None:
        """Remove the progress, and what a killed writer or an earlier manifest has left."""
        old = {FAILURES, UNITS} - {file.path for file in manifest.files}
        for name in self.folder.names():
            if name in old or is_temporary(name):
                self.folder.remove(name)
        self._ledger.close()


def _release(lock: Lock, folder: Folder, patience: float | None = None) -> None:
    lock.release(patience)
    folder.remove_if_empty(PROGRESS)
    folder.remove_if_empty()
