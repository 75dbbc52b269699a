"""A deployment for real: a Prefect server, a worker, runs by schedule and by hand, one that is cancelled."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect"), pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]
QUICK = {
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_CANCELLATION_POLL_SECONDS": "1",
}
VERSIONS = ["v001", "v002"]
CONFIG = """
[run]
output = "nightly"
name = "small"
rounds = 1
device = "cpu"
[data]
kind = "array"
train = "source"
classes = 2
shard_size = 4
[teacher]
factory = "teacher.py:Teacher"
[student]
factory = "zoo:mlp"
kwargs = {hidden = [2]}
[train]
steps = 4
batch_size = 4
"""
TEACHER = """
import time
from pathlib import Path
from torch import nn

class Teacher(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)

    def forward(self, x):
        if Path(__file__).with_name("slow").exists() and len(x) > 1:
            time.sleep(1)
        return super().forward(x)
"""


@contextmanager
def process(command: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    """A process and its children, which end with it."""
    with log.open("w") as file:
        started = subprocess.Popen(command, env=env, cwd=log.parent, stdout=file, stderr=file, start_new_session=True)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def add_samples(folder: Path, number: int) -> None:
    """One more file in the source, whole at once."""
    generator = np.random.default_rng(number)
    file = folder / f"{number}.npz"
    np.savez(file, x=generator.normal(size=(12, 4)), y=generator.integers(0, 2, 12))
    file.rename(folder / "source" / file.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "source").mkdir()
    add_samples(folder, 0)
    (folder / "c.toml").write_text(CONFIG)
    (folder / "teacher.py").write_text(TEACHER)
    return folder


@pytest.fixture(scope="module")
def environment(folder: Path) -> Iterator[dict[str, str]]:
    """Of a server that is up."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = os.environ | QUICK | {"PREFECT_HOME": str(folder / "home")}
    served = env | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    server = [*PREFECT, "server", "start", "--no-ui", "--host", "127.0.0.1", "--port", port, "--log-level", "WARNING"]
    with process(server, env, folder / "server.log"):
        until(lambda: urllib.request.urlopen(f"{served['PREFECT_API_URL']}/health").status == 200)
        yield served


@pytest.fixture(scope="module")
def deployed(environment: dict[str, str], folder: Path) -> Iterator[dict[str, Any]]:
    """What `bpkd deploy` has registered, and a worker that starts."""
    made = bpkd(environment, "deploy", folder / "c.toml", "--name", "nightly", "--interval", "5")
    post(environment, f"/deployments/{made['id']}/pause_deployment")
    worker = [*PREFECT, "worker", "start", "--pool", "bpkd", "--type", "process"]
    with process(worker, environment, folder / "worker.log"):
        yield made


def until(true: Callable[[], Any], seconds: float = 90) -> Any:
    """What `true` gives, once it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if found := true():
                return found
        time.sleep(0.5)
    raise AssertionError("waited in vain")


def bpkd(env: dict[str, str], *arguments: str | Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "cli.main", *map(str, arguments), "--json"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def post(env: dict[str, str], path: str, **body: Any) -> Any:
    """Ask the server, again where its database is busy, as Prefect's own client does."""

    def answer() -> bytes | None:
        request = urllib.request.Request(f"{env['PREFECT_API_URL']}{path}", json.dumps(body).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        try:
            return bytes(urllib.request.urlopen(request).read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise AssertionError(f"{path}: {error}") from None
            return None

    return json.loads(until(answer))


def begin(env: dict[str, str], deployment: str, *overrides: str) -> str:
    """Run a deployment by hand; the id of the flow run."""
    parameters = {"overrides": ["run.versions=false", *overrides]}
    state = {"type": "SCHEDULED"}
    return str(post(env, f"/deployments/{deployment}/create_flow_run", parameters=parameters, state=state)["id"])


def runs(env: dict[str, str], **which: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = post(env, "/flow_runs/filter", flow_runs=which)
    return found


def log_of(env: dict[str, str], flow_run: str) -> str:
    """The log of a flow run, once it is complete."""
    which = {"flow_run_id": {"any_": [flow_run]}}

    def look() -> str:
        log = "\n".join(line["message"] for line in post(env, "/logs/filter", logs=which))
        return log if "Finished in state Completed" in log else ""

    return str(until(look))


def night(env: dict[str, str], deployment: str, before: list[str]) -> str:
    """The log of the flow run that the schedule begins next.

    Not of several: those that wait for it keep SQLite busy.

    Args:
        env: of the server.
        deployment: its id.
        before: receives the ids of flow runs that began.
    """
    which = {"deployment_id": {"any_": [deployment]}, "state": {"type": {"not_any_": ["SCHEDULED"]}}}
    post(env, f"/deployments/{deployment}/resume_deployment")
    begun = until(
        lambda: [run["id"] for run in runs(env, **which) if run["auto_scheduled"] and run["id"] not in before]
    )
    post(env, f"/deployments/{deployment}/pause_deployment")
    before.extend(begun)
    return log_of(env, begun[0])


def test_night_after_night(environment: dict[str, str], deployed: dict[str, Any], folder: Path) -> None:
    """What `bpkd deploy` registers makes a version, another one of a source that has grown, and then nothing."""
    assert (deployed["name"], deployed["schedule"], deployed["pool_created"]) == ("distill/nightly", "every 5 s", True)
    assert deployed["overrides"] == ["run.versions=true"]
    versions, begun = folder / "nightly", list[str]()
    night(environment, deployed["id"], begun)
    assert not verify(str(versions / "v001")).problems
    add_samples(folder, 1)
    while "version v002: 1 new file in the source since v001" not in night(environment, deployed["id"], begun):
        assert len(begun) < 4  # one may have begun before there was a new file
    assert not verify(str(versions / "v002")).problems
    old, new = ({file.stat().st_ino for file in versions.glob(f"{name}/teacher-logits/*.parquet")} for name in VERSIONS)
    assert (len(old), len(new), len(old & new)) == (3, 6, 3)  # taken over, as links
    assert "up to date: nothing to do" in night(environment, deployed["id"], begun)
    assert sorted(path.name for path in versions.iterdir()) == ["latest.json", *VERSIONS]
    assert json.loads((versions / "latest.json").read_text())["version"] == "v002"
    tasks = {task["name"] for task in post(environment, "/task_runs/filter", task_runs={})}
    wanted = ("v001 · cache · shard 2", "v002 · round 1 mine · shard 3", "v001 · export · shard 0")
    assert {f"nightly · {name}" for name in wanted} <= tasks


def test_by_hand_and_cancelled_and_again(environment: dict[str, str], deployed: dict[str, Any], folder: Path) -> None:
    overrides = ["run.output=by-hand", "data.train=source/0.npz"]
    (folder / "slow").touch()
    cancelled = begin(environment, deployed["id"], *overrides)
    until(lambda: list((folder / "by-hand").glob("teacher-logits/_progress/*shard*")))
    post(environment, f"/flow_runs/{cancelled}/set_state", state={"type": "CANCELLING"})
    until(lambda: runs(environment, id={"any_": [cancelled]})[0]["state_type"] == "CANCELLED")
    (folder / "slow").unlink()
    assert not list((folder / "by-hand").glob("**/lock.json"))
    assert not list((folder / "by-hand").glob("*/manifest.json"))
    log_of(environment, begin(environment, deployed["id"], *overrides))
    assert not verify(str(folder / "by-hand")).problems
    found = post(environment, "/artifacts/filter")
    artifacts = {artifact["key"]: artifact["data"] for artifact in found if "by-hand" in str(artifact["data"])}
    assert f"file://{folder.resolve()}/by-hand/dataset" in artifacts["nightly-data-set"]
    assert {artifact["data"] for artifact in found if artifact["key"] == "nightly-export"} == {100.0}
    table = json.loads(artifacts["nightly-artifacts"])
    assert [(row["artifact"], row["samples"], row["failed"]) for row in table][:3] == [
        ("teacher-logits", 12, 0),
        ("auxiliary", 12, 0),
        ("dataset", 24, 0),
    ]


@pytest.mark.usefixtures("deployed")  # which has made the work pool
def test_prefect_deploys_by_the_file_at_the_top(environment: dict[str, str]) -> None:
    command = [*PREFECT, "deploy", "--prefect-file", str(ROOT / "prefect.yaml"), "--all"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    request = urllib.request.urlopen(f"{environment['PREFECT_API_URL']}/deployments/name/distill/nightly")
    found = json.loads(request.read())
    assert found["entrypoint"] == "flows.distill.distill"
    assert [schedule["schedule"]["cron"] for schedule in found["schedules"]] == ["0 2 * * *"]
    assert found["parameters"]["overrides"] == ["run.versions=true"]
    assert found["work_pool_name"] == "bpkd"
    assert found["tags"] == ["bpkd"]
