"""Prefect's settings for a run started by hand, and the embedded server that shows its states.

The settings are defaults: the environment and a Prefect profile win. They take effect only when this module is
imported before `prefect`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

from pipeline.interrupts import interrupts_blocked
from schemas.errors import BpkdError, UserError
from schemas.urls import shown

if TYPE_CHECKING:
    from flows.watched import WatchedServer

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # A cold start with two busy cores takes longer than Prefect's own 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    # Runs on one machine share a database, in which one of them writes at a time.
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    # Progress is ours to show. Prefect's lines, and the traceback of a stage that failed, still reach its server.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
}


_REMEDY = "run the same stages without Prefect: bpkd run --direct"


def configure() -> None:
    """Set the defaults in this process's environment, from which Prefect and its server read them."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    # Else Prefect prints what it cannot send to a server's log.
    logging.raiseExceptions = False


def is_named() -> bool:
    """Whether the environment or a Prefect profile names a server, so that none has to be started."""
    configure()
    from prefect.settings import get_current_settings

    return get_current_settings().api.url is not None


@contextmanager
def started() -> Iterator[None]:
    """Start the embedded server, or see that the one answers that a Prefect profile or PREFECT_API_URL names.

    Prefect would start it by itself at the first call; here it starts deaf to Ctrl-C, which a terminal sends to
    every process in front of it. A server that dies before the run has told it how it ended costs a minute of
    retries.

    What is done within is done meanwhile; it answers at the end.

    Raises:
        BpkdError: it did not come up, or does not answer.
    """
    if is_named():
        require(f"unset PREFECT_API_URL or {_REMEDY}")
        yield
        return
    # Imported before anything is done meanwhile: like torch it silences warnings, which two threads cannot at a time.
    from flows.watched import WatchedServer

    problems: list[Exception] = []
    # In a thread of its own, so that the main one hears Ctrl-C during the seconds that this takes.
    starter = Thread(target=_start, args=[WatchedServer(), problems], daemon=True)
    starter.start()
    yield
    while starter.is_alive():
        starter.join(0.1)
    if problems:
        raise BpkdError(f"Prefect's server does not start ({problems[0]}); {_REMEDY}") from problems[0]


def require(remedy: str) -> str:
    """The URL of the server that a Prefect profile or PREFECT_API_URL names.

    Args:
        remedy: what to do where it does not answer.

    Raises:
        UserError: there is something else.
        BpkdError: it does not answer.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    url = str(get_current_settings().api.url)
    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
    if problem is not None:
        if "404" in str(problem) and not url.rstrip("/").endswith("/api"):
            raise UserError(f"PREFECT_API_URL: there is no Prefect server at {shown(url)}; its address ends in /api")
        raise BpkdError(f"the Prefect server at {shown(url)} does not answer ({problem}); {remedy}")
    return url


@contextmanager
def without_heartbeats() -> Iterator[None]:
    """Let flow runs send none. Each waits a second for the thread that does when it ends.

    A server tells by them that a flow run has crashed, for which those of the outermost one do.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def _start(server: WatchedServer, problems: list[Exception]) -> None:
    try:
        with interrupts_blocked():
            server.start()
    except Exception as error:  # such as a timeout of its client, which would end in this thread unseen
        problems.append(error)
