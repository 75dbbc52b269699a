"""Prefect's settings and server: defaults that the user may override, and a server deaf to Ctrl-C."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from flows import server
from schemas.errors import BpkdError

ASK_PREFECT = """
from flows import server
server.configure()
from prefect.settings import get_current_settings
settings = get_current_settings()
print(settings.server.analytics_enabled, settings.server.ephemeral.startup_timeout_seconds)
"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "False 300"),
        ({"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "7"}, "False 7"),
        ({"PREFECT_SERVER_ANALYTICS_ENABLED": "true"}, "True 300"),
    ],
)
def test_prefect_reads_the_defaults_and_the_environment_wins(environment: dict[str, str], said: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in server.DEFAULTS}
    done = subprocess.run(
        [sys.executable, "-c", ASK_PREFECT], env=clean | environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == said


def test_a_server_that_does_not_answer_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: url}), pytest.raises(BpkdError) as caught, server.started():
            pass
    assert url in str(caught.value)
    assert "bpkd run --direct" in str(caught.value)
