"""One maker at a time: a lock in an artifact's directory that says who holds it, and that dies with its holder.

The holder renews the lock as long as it lives. Whoever finds another's lock takes it over at once when the holder was
a process of this machine that has gone, and otherwise waits to see it renewed: if it is, somebody is at work and the
newcomer gives up; if not, the holder is dead. No two clocks are compared.

Should a holder that was only paused come back, it notices at its next renewal and stops. Nothing is lost in between:
both write the same bytes for the same unit.
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

import psutil

from pipeline.storage import Folder
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
        machine: host name, and on Linux the process namespace, so that numbers of processes can be compared.
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
        self._taken_by: Holder | None = None
        self._renewer = threading.Thread(target=self._renew, name="bpkd-lock", daemon=True)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            BpkdError: somebody else is at work.
        """
        _mine.add(self._self.token)
        try:
            while not self._folder.create(self._name, _to_json(self._self)):
                holder = self._read()
                if holder is not None and self._alive(holder):
                    raise BpkdError(f"{self._folder.url} is being made by {holder}; wait until it is done, or stop it")
                if holder == self._read():
                    self._folder.remove(self._name)
            self._renewer.start()
        except BaseException:
            self.release()
            raise

    def require(self) -> None:
        """Raise BpkdError where another process has taken the lock over."""
        if self._taken_by is not None:
            raise BpkdError(f"{self._folder.url} was taken over by {self._taken_by} while this process was paused")

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

    def _remove(self) -> None:
        if self._renewer.is_alive():
            self._renewer.join()
        with suppress(BpkdError):
            holder = self._read()
            if holder is not None and holder.token == self._self.token:
                self._folder.remove(self._name)

    def _alive(self, holder: Holder) -> bool:
        """Whether `holder` still works; may take DEAD seconds to find out."""
        if holder.machine == self._self.machine:
            return holder.token in _mine if holder.process == self._self.process else _runs(holder)
        self._say(f"{self._folder.url}: locked by {holder}; waiting up to {DEAD:.0f} s to see whether it is alive")
        until = time.monotonic() + DEAD
        while time.monotonic() < until:
            time.sleep(LOOK)
            now = self._read()
            if now != holder:
                return now is not None
        return False

    def _renew(self) -> None:
        while not self._stop.wait(RENEW):
            try:
                holder = self._read()
                if holder is not None and holder.token != self._self.token:
                    self._taken_by = holder
                    return
                self._self = replace(self._self, renewals=self._self.renewals + 1)
                self._folder.write(self._name, _to_json(self._self))
            except BpkdError:
                continue  # a store that does not answer fails the work itself, with a message

    def _read(self) -> Holder | None:
        """The holder; None where there is none."""
        try:
            return Holder(**json.loads(self._folder.read(self._name)))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            # Cut short by a crash of the machine: nobody that renews it.
            return Holder("an unknown machine", 0, 0.0, "")


def _to_json(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()


def _machine() -> str:
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()} {namespace}".strip()


def _runs(holder: Holder) -> bool:
    """Whether this process of this machine is still the one that took the lock."""
    try:
        process = psutil.Process(holder.process)
        same = abs(process.create_time() - holder.started) < 1
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
