"""A run whose Prefect server has gone ends: Prefect itself would go on asking for many minutes, line after line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import httpx

from pipeline.interrupts import end_run
from schemas.errors import TransientError
from schemas.urls import shown

EVERY = 5.0
"""Seconds between two questions."""
REFUSED = 20.0
"""Seconds for which nobody listens, after which the server counts as gone."""
SILENT = 300.0
"""The same for one that listens and does not answer, as a busy one may for a while."""


@contextmanager
def ended_if_lost() -> Iterator[None]:
    """End what is done within, by `end_run`, when the server of Prefect's settings, or the embedded one, has gone."""
    over = Event()
    watch = Thread(target=_watch, args=[over], name="bpkd-server", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()


def _watch(over: Event) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        url = str(client.api_url)
    answered: float | None = None  # one that never answers may only be out of the reach of a plain request
    # Not by Prefect's client, which tries again by itself for a minute.
    with httpx.Client(timeout=EVERY) as plain:
        while not over.wait(EVERY):
            try:
                plain.get(f"{url.rstrip('/')}/health")
                answered = time.monotonic()
            except httpx.HTTPError as problem:
                patience = REFUSED if isinstance(problem, httpx.ConnectError) else SILENT
                if answered is not None and time.monotonic() - answered > patience and not over.is_set():
                    end_run(_gone(url, problem))
                    return


def _gone(url: str, problem: Exception) -> TransientError:
    return TransientError(
        f"the Prefect server at {shown(url)} has gone ({problem}); run the same command again once it is back, "
        "or go on without Prefect: bpkd run --direct"
    )
