"""One maker at a time: a lock in an artifact's directory that says who holds it, and that dies with its holder.

The holder renews the lock as long as it lives. Whoever finds another's lock takes it over at once when the holder was
a process of this machine that has gone, and otherwise waits to see it renewed: if it is, somebody is at work and the
newcomer gives up; if not, the holder is dead. No two clocks are compared.

Should a holder that was only paused come back, it sees before its next write that the lock is no longer its own, and
stops. What can slip through is a single write that was under way; of a unit, both write the same bytes.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from pipeline.storage import Folder, sha256
from schemas.errors import BpkdError

RENEW = 15.0
"""Seconds between two renewals."""
DEAD = 60.0
"""Seconds without a renewal after which the holder counts as dead."""
PATIENCE = 0.5
"""Seconds that a user who interrupts waits for the lock to be given back."""
LOOK = 0.5
"""Seconds between two looks at another's lock."""

_mine: set[str] = set()
"""Tokens of the locks that this process holds."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        machine: where it runs; within one machine numbers of processes can be compared.
        process: its number there.
        started: when, in seconds since 1970, as numbers of processes are used again.
        token: unique to this lock.
        renewals: so far.
    """

    machine: str
    process: int
    started: float
    token: str
    renewals: int = 0

    def __str__(self) -> str:
        return f"process {self.process} on {self.machine.partition(' ')[0]}"


@dataclass(frozen=True)
class Lease:
    """What others, such as workers on other machines, know of a lock that is held: enough to see whether it still is.

    Attributes:
        name: of the lock's file in its folder.
        token: unique to the lock.
    """

    name: str
    token: str

    def require(self, folder: Folder) -> None:
        """Make sure that the lock is still held.

        Raises:
            BpkdError: it was given up, or another process has taken it over.
        """
        holder = _read(folder, self.name)
        if holder is None or holder.token != self.token:
            who = f"is being made by {holder}" if holder else "is no longer being made"
            raise BpkdError(f"{folder.url} {who}; what this worker made for it is not written")


class Lock:
    """A file that only one process has made.

    Args:
        folder: of the artifact.
        name: of the lock within it.
        say: told when there is something to wait for.
    """

    def __init__(self, folder: Folder, name: str, say: Callable[[str], None] = lambda line: None) -> None:
        self._folder, self._name, self._say = folder, name, say
        self._self = Holder(_machine(), os.getpid(), psutil.Process().create_time(), uuid.uuid4().hex)
        self._stop = threading.Event()
        self._lost = ""
        self._renewed = 0.0
        self._renewer = threading.Thread(target=self._renew, name="bpkd-lock", daemon=True)

    @property
    def lease(self) -> Lease:
        return Lease(self._name, self._self.token)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            BpkdError: somebody else is at work.
        """
        _mine.add(self._self.token)
        try:
            self._take(self._name)
            self._renewed = time.monotonic()
            self._renewer.start()
        except BaseException:
            self.release(PATIENCE)
            raise

    def require(self, *, surely: bool = False) -> None:
        """Make sure that the lock is still held.

        Args:
            surely: look, whenever it was renewed last.

        Raises:
            BpkdError: it was given back, or another process has taken it over.
        """
        if self._stop.is_set():  # a thread that was at a write when its run was interrupted
            raise BpkdError(f"{self._folder.url} is no longer being made")
        if surely or time.monotonic() - self._renewed > 2 * RENEW:
            self._look()
        if self._lost:
            raise BpkdError(f"{self._folder.url} was taken over {self._lost} while this process was paused")

    def release(self, patience: float | None = None) -> None:
        """Give the lock back, if it is held.

        Args:
            patience: seconds to wait for a store that does not answer. A lock that stays behind is that of a process
                that has gone, which anyone may take over.
        """
        self._stop.set()
        if self._self.token in _mine:
            _mine.remove(self._self.token)
            remover = threading.Thread(target=self._remove, name="bpkd-unlock", daemon=True)
            remover.start()
            remover.join(patience)

    def _take(self, name: str) -> None:
        """Make the file `name` this lock's: nobody has it, or its holder is dead.

        Of those who find the same holder dead at the same time, one goes on: the one that made the claim, a lock of
        its own whose name is that holder's, so that it too can be taken over.
        """
        while not self._folder.create(name, _to_json(self._self)):
            holder = _read(self._folder, name)
            if holder is None:
                continue
            if (alive := self._alive(name, holder)) is not None:
                raise BpkdError(f"{self._folder.url} is being made by {alive}; wait until it is done, or stop it")
            claim = f"{name}.{sha256(holder.token.encode())[:16]}"
            self._take(claim)
            try:
                if _read(self._folder, name) == holder:
                    self._folder.write(name, _to_json(self._self))
                    return
            finally:
                self._folder.remove(claim)

    def _remove(self) -> None:
        if self._renewer.is_alive():
            self._renewer.join()
        with suppress(BpkdError, OSError):
            holder = self._read()
            if holder is not None and holder.token == self._self.token:
                self._folder.remove(self._name)

    def _alive(self, name: str, holder: Holder) -> Holder | None:
        """Who works, if somebody does; may take DEAD seconds to find out."""
        if holder.machine == self._self.machine:
            runs = holder.token in _mine if holder.process == self._self.process else _runs(holder)
            if runs is not None:
                return holder if runs else None
        self._say(f"{self._folder.url}: locked by {holder}; waiting up to {DEAD:.0f} s to see whether it is alive")
        until = time.monotonic() + DEAD
        while time.monotonic() < until:
            time.sleep(LOOK)
            now = _read(self._folder, name)
            if now != holder:
                return now
        return None

    def _renew(self) -> None:
        while not self._stop.wait(RENEW) and not self._lost:
            try:
                self._look()
                if not self._lost:
                    self._self = replace(self._self, renewals=self._self.renewals + 1)
                    self._folder.write(self._name, _to_json(self._self))
                    self._renewed = time.monotonic()
            except BpkdError:
                continue  # a store that does not answer fails the work itself, with a message

    def _look(self) -> None:
        """Note where the lock is no longer this one's."""
        holder = self._read()
        if holder is None or holder.token != self._self.token:
            self._lost = f"by {holder}" if holder else "by another process, which has ended,"

    def _read(self) -> Holder | None:
        return _read(self._folder, self._name)


def _read(folder: Folder, name: str) -> Holder | None:
    """Who holds a lock; None where nobody does."""
    try:
        return Holder(**json.loads(folder.read(name)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        # Cut short by a crash of the machine: nobody that renews it.
        return Holder("an unknown machine", 0, 0.0, "")


def _to_json(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()


def _machine() -> str:
    """The host's name, which others may have, too; on Linux also its start and the namespace of its processes."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _runs(holder: Holder) -> bool | None:
    """Whether a process of this machine is still the one that took the lock; None where only time can tell."""
    try:
        process = psutil.Process(holder.process)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # A start that is another may be another process, or a clock that was set since.
        return True if process.create_time() == holder.started else None
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
