"""Prefect's embedded server, which ends with the process that started it, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

from prefect.server.api.server import SubprocessASGIServer

_WATCH = """
import os, select, signal, sys
server = int(sys.argv[1])
try:
    while not select.select([0], [], [], 1)[0]:
        os.kill(server, 0)
    os.kill(server, signal.SIGKILL)
except ProcessLookupError:
    pass
"""
"""Ends with the server. Its stdin is a pipe that nobody writes to: once it ends, so has whoever held the other end."""


class WatchedServer(SubprocessASGIServer):
    """The server, and a small process beside it that kills it once this one has gone, were it by SIGKILL."""

    _watcher: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        super().stop()
        if self._watcher is not None and self._watcher.stdin is not None:
            self._watcher.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._watcher.wait(timeout=2)

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        server = super()._run_uvicorn_command()
        if os.name == "posix":
            nothing = subprocess.DEVNULL
            self._watcher = subprocess.Popen(
                [sys.executable, "-IS", "-c", _WATCH, str(server.pid)],
                stdin=subprocess.PIPE,
                stdout=nothing,
                stderr=nothing,
                start_new_session=True,  # a terminal sends it nothing
            )
        return server
