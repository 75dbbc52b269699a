"""A run makes the same through Prefect as directly, and its errors come out as they were raised."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_fixed

from flows import server
from flows.run import run
from pipeline.progress import Silent, Task
from pipeline.storage import Folder
from schemas.config import Config
from schemas.errors import BpkdError, TransientError, UserError

STAGES = ["cache", "mine", "export", "train", "evaluate"]
STARTING = "starting Prefect; bpkd run --direct does the same without it"

# One embedded server, so one worker. It ends with the worker, as Prefect arranges by itself.
pytestmark = pytest.mark.xdist_group("prefect")


class Heard(Silent):
    """Progress that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def task(self, title: str, total: int, unit: str = "samples") -> AbstractContextManager[Task]:
        raise NotImplementedError

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(params=[True, False], ids=["direct", "prefect"])
def direct(request: pytest.FixtureRequest) -> bool:
    value: bool = request.param
    return value


def test_stages_run_in_order_and_report(stages: Any, config: Config, direct: bool) -> None:
    heard = Heard()
    outcome = run(config, progress=heard, direct=direct)
    assert [name for name, _, _ in stages.calls] == STAGES
    assert heard.lines == [*([] if direct else [STARTING]), *(f"in {name}" for name in STAGES)]
    assert [manifest.artifact for _, manifest in outcome.artifacts] == [
        "teacher-logits",
        "auxiliary",
        "auxiliary",
        "dataset",
        "student",
    ]
    assert outcome.evaluation == {"accuracy": 0.5}


def test_urls_are_within_the_run(stages: Any, config: Config, tmp_path: Path, direct: bool) -> None:
    outcome = run(config, direct=direct)
    assert all(called.output == str(tmp_path.resolve() / "out") for _, called, _ in stages.calls)
    assert [url.removeprefix(f"{tmp_path.resolve()}/out/") for url, _ in outcome.artifacts] == [
        "teacher-logits",
        "round-01/auxiliary",
        "round-02/auxiliary",
        "dataset",
        "student",
    ]


def test_without_held_out_data_nothing_is_evaluated(stages: Any, config: Config, direct: bool) -> None:
    outcome = run(config.model_copy(update={"data": config.data.model_copy(update={"eval": None})}), direct=direct)
    assert [name for name, _, _ in stages.calls] == STAGES[:-1]
    assert outcome.evaluation is None


@pytest.mark.parametrize("error", [UserError("wrong"), BpkdError("bad luck"), RuntimeError("odd"), KeyboardInterrupt()])
def test_an_error_comes_out_as_it_was_raised_and_is_not_tried_again(
    stages: Any, config: Config, direct: bool, error: BaseException, capfd: pytest.CaptureFixture[str]
) -> None:
    stages.results["mine"] = error
    with pytest.raises(type(error)) as caught:
        run(config, direct=direct)
    assert caught.value is error
    assert [name for name, _, _ in stages.calls] == ["cache", "mine"]
    assert capfd.readouterr() == ("", "")


def test_prefect_says_nothing_of_its_own(stages: Any, config: Config, capfd: pytest.CaptureFixture[str]) -> None:
    run(config)
    assert capfd.readouterr() == ("", "")


def test_prefect_tries_a_stage_again_where_that_may_help(
    stages: Any, config: Config, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gives up in the end; directly it is not tried again."""
    from flows import distill

    monkeypatch.setattr(distill, "WAIT", wait_fixed(0))
    stages.results["mine"] = error = TransientError("the store does not answer")
    heard = Heard()
    with pytest.raises(TransientError) as caught:
        run(config, progress=heard, direct=direct)
    assert caught.value is error
    attempts = 1 if direct else 3
    assert [name for name, _, _ in stages.calls] == ["cache", *["mine"] * attempts]
    again = [line for line in heard.lines if "again" in line]
    assert again == ["mine: the store does not answer; trying again in 0 s"] * (attempts - 1)


def test_what_prefect_shows(stages: Any, config: Config) -> None:
    """Names that say which run and stage, parameters and errors without secrets, and what was made."""
    from prefect.client.orchestration import get_client

    named = config.model_copy(update={"run": config.run.model_copy(update={"name": "Vögel {1}"})})
    overrides = ["data.train=s3://me:hunter2@bucket/x", 'teacher.kwargs={token="hunter2"}']
    masked = ["data.train=s3://***@bucket/x", "teacher.kwargs=***"]
    run(named, path="c.toml", overrides=overrides)
    stages.results["train"] = UserError("s3://me:hunter2@bucket/x is gone")
    with pytest.raises(UserError):
        run(named, path="c.toml", overrides=overrides)
    with get_client(sync_client=True) as client:
        flow_runs = [found for found in client.read_flow_runs() if found.name.startswith("Vögel {1}")]
        names = {found.name: found for found in flow_runs}
        assert set(names) == {"Vögel {1}", *(f"Vögel {{1}} · {name}" for name in STAGES)}
        assert all(found.parameters == {"config": "c.toml", "overrides": masked} for found in flow_runs)
        failed = {found.name: found.state.message for found in flow_runs if found.state and found.state.is_failed()}
        assert set(failed) == {"Vögel {1}", "Vögel {1} · train"}
        assert all("s3://***@bucket/x is gone" in str(message) for message in failed.values())
        shown = {artifact.key: artifact.data for artifact in client.read_artifacts(limit=200)}
    rows = json.loads(shown["v-gel-1-artifacts"])
    assert [row["artifact"] for row in rows] == ["teacher-logits", "auxiliary", "auxiliary", "dataset", "student"]
    assert rows[-1]["where"] == f"{config.output}/student"
    assert json.loads(shown["v-gel-1-evaluation"]) == [{"figure": "accuracy", "value": 0.5}]
    assert Path(config.output, "dataset").as_uri() in shown["v-gel-1-data-set"]


def test_a_run_that_is_complete_needs_no_server(stages: Any, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "started", None)
    for name in ("teacher-logits", "round-01/opponent", "round-01/auxiliary", "dataset", "student", "evaluation"):
        Folder(f"{config.output}/{name}").write("manifest.json", b"{}")
    heard = Heard()
    one = config.model_copy(update={"run": config.run.model_copy(update={"rounds": 1})})
    run(one, progress=heard)
    assert [name for name, _, _ in stages.calls] == STAGES
    assert heard.lines[-1] == "up to date: nothing to do"
    with pytest.raises(TypeError):  # a round is missing
        run(config)
