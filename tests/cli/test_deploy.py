"""`bpkd deploy`: every mistake is one line, before anything is registered. (On a real server: tests/flows.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows import deploy as registering

URL = "http://127.0.0.1:4200/api"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "run.rounds=many"], "run.rounds"),
        (
            ["--cron", "61 * * * *"],
            '--cron "61 * * * *": takes minute, hour, day of month, month and weekday; every',
        ),
        (["--cron", "0 2 * * *", "--timezone", "Mars/Base"], '--timezone "Mars/Base": no such zone'),
        (["--cron", "0 2 * * *", "--interval", "60"], "give --cron or --interval, not both"),
        (["--timezone", "Europe/Berlin"], "--timezone is of --cron, which is missing"),
        (["--interval", "0"], "--interval"),
        (["--interval", "inf"], "--interval"),
        (["--name", ""], "--name '': takes a name"),
        (["--set", "data.train=s3://me:hunter2@bucket/x"], "data.train=s3://***@bucket/x: holds credentials"),
        (["--set", 'teacher.kwargs={token="hunter2"}'], "--set teacher.kwargs=***: may hold a secret"),
        (["--name", "a/b"], "--name 'a/b': takes a name, without any of % & / < >"),
        (["--set", "run.name=R&D"], "--name 'R&D': takes a name, without"),
        (["--work-pool", "a&b"], "--work-pool 'a&b': takes a name, without"),
        ([], "start one with `prefect server start`, then set PREFECT_API_URL=http://127.0.0.1:4200/api"),
    ],
)
def test_a_mistake_is_one_line(bpkd: Any, config_file: Path, arguments: list[str], said: str) -> None:
    found = bpkd("deploy", config_file, *arguments)
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert said in found.err
    assert "hunter2" not in found.err


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a server would get, in the place of one."""
    found: dict[str, Any] = {}

    def register(config: Any, name: str, schedule: Any, work_pool: str, parameters: dict[str, object]) -> str:
        found.update(name=name, schedule=schedule, work_pool=work_pool, parameters=parameters)
        return "some-id"

    monkeypatch.setattr(registering, "_require_server", lambda: URL)
    monkeypatch.setattr(registering, "_pool", lambda client, name: ("process", True))
    monkeypatch.setattr(registering, "_register", register)
    monkeypatch.setattr("prefect.client.orchestration.get_client", lambda **_: Client())
    return found


class Client:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("line", "arguments", "overrides"),
    [
        ("", [], ["run.versions=true"]),
        ("", ["--set", "run.seed=3"], ["run.seed=3", "run.versions=true"]),
        ("", ["--set", "run.versions=false"], ["run.versions=false"]),
        ("run.versions = false", [], []),
    ],
)
def test_versions_are_kept_unless_it_is_said_otherwise(
    bpkd: Any, config_file: Path, registered: dict[str, Any], line: str, arguments: list[str], overrides: list[str]
) -> None:
    config_file.write_text(f"{line}\n{config_file.read_text()}")
    assert bpkd("deploy", config_file, *arguments).code == 0
    assert registered["parameters"] == {"config": str(config_file.resolve()), "overrides": overrides}


def test_the_result_in_words(bpkd: Any, config_file: Path, registered: dict[str, Any]) -> None:
    said = bpkd("deploy", config_file, "--cron", "0 2 * * *", "--timezone", "Europe/Berlin", "--paused")
    assert said.out.splitlines() == [
        "made the work pool bpkd, of type process",
        f"registered distill/distill at {URL}",
        "  schedule   0 2 * * * (Europe/Berlin), paused",
        f"  config     {config_file.resolve()}",
        "  --set      run.versions=true",
        "run its worker, and the deployment at once:",
        "  prefect worker start --pool 'bpkd' --type process",
        "  prefect deployment run 'distill/distill'",
    ]
    assert (registered["schedule"].timezone, registered["schedule"].active) == ("Europe/Berlin", False)


def test_versions_are_not_registered_where_a_run_is(bpkd: Any, config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.toml").touch()
    said = bpkd("deploy", config_file)
    assert said.code == 2
    assert "is a run without versions; name another run.output for versions" in said.err
