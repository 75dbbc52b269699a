"""What becomes of a failure of a file system or store: tried again where it may pass, else one line with the remedy."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random
from tenacity.wait import wait_base

from pipeline.storage.causes import cause, is_absent, is_denied, is_no_bucket, is_no_credentials, is_transient
from schemas.errors import BpkdError, TransientError, UserError
from schemas.urls import shown

T = TypeVar("T")
_log = logging.getLogger("bpkd.storage")


class UrlError(UserError):
    """There is nothing at a URL and cannot be: an unknown kind, no such bucket, no possible name."""


ATTEMPTS = 5
WAIT: wait_base = wait_exponential(multiplier=1.5, exp_base=2) + wait_random(0, 1.5)
"""Seconds between two attempts: 1.5, 3, 6 and 12, each with up to 1.5 more, so that workers come back one by one."""

_GO_ON = "what is committed stays, and the same command goes on from there"
_CHECK = "check the URL and the network, then run the same command again"
_WRITES = ("written", "created")
_LOCAL = {
    errno.ENOSPC: f"the disk is full ({{free}} free); make room, {_GO_ON}",
    errno.EDQUOT: f"the disk quota is used up; make room or have it raised, {_GO_ON}",
    errno.EFBIG: f"larger than the limit on file sizes (`ulimit -f`, or the file system's own); raise it, {_GO_ON}",
    errno.EROFS: "the file system is read-only; remount it, or name another place",
    errno.EACCES: "permission denied; grant it, or name another place",
    errno.EPERM: "permission denied; grant it, or name another place",
    errno.EIO: f"the disk reports an input/output error; check it, {_GO_ON}",
    errno.ENOTDIR: "a file is in the way where a directory belongs; name another place",
}

_answered: set[str] = set()
"""Stores that have answered this process; with another nothing has begun that could go on."""


def tried(url: str, doing: str, action: Callable[[], T], *, remote: bool) -> T:
    """Do something with a file.

    Args:
        url: what it is about, for messages.
        doing: past participle, as in "cannot be read".
        action: may be done more than once.
        remote: whether a fault can pass by itself, so that it is worth to try again: server errors, throttling,
            broken connections, timeouts. ATTEMPTS and WAIT say how often and when.

    Raises:
        FileNotFoundError, IsADirectoryError, NotADirectoryError: as they come, except where a write meets them.
        UrlError: there is no such bucket, or the store does not take the name.
        BpkdError: anything else that went wrong, as one line with the remedy.
    """
    begin = time.monotonic()
    try:
        result = _retrying()(action) if remote else action()
        if remote:
            _answered.add(_store(url))
        return result
    except BpkdError:
        raise
    except Exception as error:  # stores raise classes of their own, by no means all of them OSErrors
        where = shown(url)
        if is_no_bucket(error):
            raise UrlError(f"{where}: no such bucket; correct the URL, or create the bucket") from error
        if is_absent(error) and doing not in _WRITES:
            if remote:
                _answered.add(_store(url))
            raise
        if isinstance(error, ValueError):
            raise UrlError(f"{where} cannot be {doing}: {cause(error)}") from error
        if not remote:
            raise _local_error(where, doing, error) from error
        remedy = _GO_ON if _store(url) in _answered else _CHECK
        raise _remote_error(where, doing, error, time.monotonic() - begin, remedy) from error


def _store(url: str) -> str:
    """The part of a URL that names the store, such as s3://bucket."""
    return "/".join(url.split("/")[:3])


def _retrying() -> Retrying:
    retry = retry_if_exception(is_transient)
    return Retrying(stop=stop_after_attempt(ATTEMPTS), wait=WAIT, retry=retry, before_sleep=_say_again, reraise=True)


def _say_again(state: RetryCallState) -> None:
    """Tell the log; whoever waits wants to know for what."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Exception):
        seconds = state.next_action.sleep if state.next_action else 0
        _log.warning("the store does not answer (%s); trying again in %.0f s", cause(error), seconds)


def _local_error(where: str, doing: str, error: Exception) -> BpkdError:
    number = error.errno if isinstance(error, OSError) else None
    named = error.filename if isinstance(error, OSError) and isinstance(error.filename, str) else where
    reason = _LOCAL.get(number or 0)
    own = (error.strerror if isinstance(error, OSError) else None) or cause(error)
    said = reason.format(free=_free(named)) if reason else own
    kind = UserError if number == errno.ENOTDIR else BpkdError
    return kind(f"{where if named.endswith('.tmp') else named} cannot be {doing}: {said}")


def _remote_error(where: str, doing: str, error: Exception, seconds: float, again: str) -> BpkdError:
    what, reason = f"{where} cannot be {doing}", cause(error)
    if is_no_credentials(error):
        remedy = "give them in the environment or in the profile that the store's own tools read"
        return BpkdError(f"{what}: no valid credentials ({reason}); {remedy}, then run the same command again")
    if is_denied(error):
        remedy = "check which account is used here and what it may do"
        return BpkdError(f"{what}: access denied ({reason}); {remedy}, then run the same command again")
    if is_transient(error):
        return TransientError(f"{what}: {reason}; tried {ATTEMPTS} times in {seconds:.0f} s; {again}")
    return BpkdError(f"{what}: {reason}")


def _free(path: str) -> str:
    """Room on the disk that `path`, of which a part may not exist, would lie on."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        return f"{shutil.disk_usage(path).free / 1e6:.1f} MB"
    except OSError:
        return "nothing"
