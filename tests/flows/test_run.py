"""A run makes the same through Prefect as directly, and its errors come out as they were raised."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from flows.run import run
from pipeline.progress import Silent, Task
from schemas.config import Config
from schemas.errors import BpkdError, UserError

STAGES = ["cache", "mine", "export", "train", "evaluate"]

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
    assert heard.lines == [f"in {name}" for name in STAGES]
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
