"""A deployment for real: a Prefect server, a worker, one run by hand, one by schedule, one that is cancelled."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.run import run
from pipeline.verify import verify
from schemas.config import load_config

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
CONFIG = """
[run]
output = "nightly"
name = "small"
rounds = 1
device = "cpu"
[data]
kind = "array"
train = "data.npz"
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed")
    generator = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=generator.normal(size=(12, 4)), y=generator.integers(0, 2, 12))
    (folder / "c.toml").write_text(CONFIG)
    (folder / "teacher.py").write_text(TEACHER)
    return folder


@pytest.fixture(scope="module")
def environment(folder: Path) -> Iterator[dict[str, str]]:
    """Of a server that is up, and a worker that starts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = os.environ | QUICK | {"PREFECT_HOME": str(folder / "home")}
    served = env | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    server = [*PREFECT, "server", "start", "--no-ui", "--host", "127.0.0.1", "--port", port, "--log-level", "WARNING"]
    worker = [*PREFECT, "worker", "start", "--pool", "bpkd", "--type", "process"]
    with process(server, env, folder / "server.log"):
        until(lambda: urllib.request.urlopen(f"{served['PREFECT_API_URL']}/health").status == 200)
        bpkd(served, "deploy", folder / "c.toml", "--name", "nightly", "--paused")  # which makes the pool
        with process(worker, served, folder / "worker.log"):
            yield served


def until(true: Callable[[], Any], seconds: float = 90) -> Any:
    """What `true` gives, once it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if found := true():
                return found
        time.sleep(0.2)
    raise AssertionError("waited in vain")


def bpkd(env: dict[str, str], *arguments: str | Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "cli.main", *map(str, arguments), "--json"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def post(env: dict[str, str], path: str, **body: Any) -> Any:
    request = urllib.request.Request(f"{env['PREFECT_API_URL']}{path}", json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    return json.loads(urllib.request.urlopen(request).read() or "null")


def begin(env: dict[str, str], deployment: str, *overrides: str) -> str:
    """Run a deployment by hand; the id of the flow run."""
    parameters = {"overrides": ["run.versions=false", *overrides]}
    state = {"type": "SCHEDULED"}
    return str(post(env, f"/deployments/{deployment}/create_flow_run", parameters=parameters, state=state)["id"])


def runs(env: dict[str, str], **which: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = post(env, "/flow_runs/filter", flow_runs=which)
    return found


def test_by_hand_and_by_schedule(environment: dict[str, str], folder: Path) -> None:
    scheduled = ["--name", "nightly", "--interval", "20", "--set", "run.versions=false"]
    made = bpkd(environment, "deploy", folder / "c.toml", *scheduled)
    assert made["name"] == "distill/nightly"
    assert made["schedule"] == "every 20 s"
    assert not made["pool_created"]
    begin(environment, made["id"], "run.output=by-hand", "run.name=mine")
    ended = {"state": {"type": {"any_": ["COMPLETED"]}}, "deployment_id": {"any_": [made["id"]]}}
    wanted = {("mine", False), ("small", True)}
    until(lambda: {(run["name"], run["auto_scheduled"]) for run in runs(environment, **ended)} >= wanted)
    for output in ("by-hand", "nightly"):
        assert not verify(str(folder / output)).problems
    tasks = post(environment, "/task_runs/filter", task_runs={})
    assert {"mine · cache · shard 2", "small · round 1 mine · shard 0", "small · export · shard 0"} <= {
        task["name"] for task in tasks
    }
    artifacts = {artifact["key"]: artifact for artifact in post(environment, "/artifacts/filter")}
    assert {"mine-artifacts", "mine-data-set", "mine-cache", "small-round-1-mine"} <= set(artifacts)
    assert f"file://{folder.resolve()}/by-hand/dataset" in artifacts["mine-data-set"]["data"]
    table = json.loads(artifacts["mine-artifacts"]["data"])
    assert [(row["artifact"], row["samples"], row["failed"]) for row in table][:3] == [
        ("teacher-logits", 12, 0),
        ("auxiliary", 12, 0),
        ("dataset", 24, 0),
    ]


def test_what_was_cancelled_can_go_on(environment: dict[str, str], folder: Path) -> None:
    deployed = bpkd(environment, "deploy", folder / "c.toml", "--name", "nightly")
    assert deployed["schedule"] is None
    (folder / "slow").touch()
    flow_run = begin(environment, deployed["id"], "run.output=cancelled")
    until(lambda: list((folder / "cancelled").glob("teacher-logits/_progress/*shard*")))
    post(environment, f"/flow_runs/{flow_run}/set_state", state={"type": "CANCELLING"})
    until(lambda: runs(environment, id={"any_": [flow_run]})[0]["state_type"] == "CANCELLED")
    (folder / "slow").unlink()
    assert not list((folder / "cancelled").glob("**/lock.json"))
    assert not list((folder / "cancelled").glob("*/manifest.json"))
    run(load_config(folder / "c.toml", ["run.output=cancelled"]), direct=True)
    assert not verify(str(folder / "cancelled")).problems


def test_prefect_deploys_by_the_file_at_the_top(environment: dict[str, str]) -> None:
    command = [*PREFECT, "deploy", "--prefect-file", str(ROOT / "prefect.yaml"), "--all"]
    subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
    request = urllib.request.urlopen(f"{environment['PREFECT_API_URL']}/deployments/name/distill/nightly")
    found = json.loads(request.read())
    assert found["entrypoint"] == "flows.distill.distill"
    assert [schedule["schedule"]["cron"] for schedule in found["schedules"]] == ["0 2 * * *"]
    assert found["parameters"]["overrides"] == ["run.versions=true"]
    assert found["work_pool_name"] == "bpkd"
    assert found["tags"] == ["bpkd"]
