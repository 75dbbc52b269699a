"""The run and its stages as Prefect flows. What is done is what the manifests say, not what Prefect says.

Called by `bpkd run` they work on what it has handed over; in a deployment they load the config themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import Flow, flow
from prefect.context import FlowRunContext
from prefect.runtime import deployment
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_chain, wait_fixed
from tenacity.wait import wait_base

from flows import server
from flows.context import RunContext, current_run, resolve_version, run_context
from flows.reporting import Logged, Recorded, record_outcome
from flows.secrets import masked
from flows.stages import UP_TO_DATE, Outcome, finished, follow, perform
from flows.tracked import Tracked
from pipeline.progress import Progress
from pipeline.runs import is_complete
from schemas.config import load_config
from schemas.errors import BpkdError, TransientError
from schemas.urls import shown

ATTEMPTS = 3
WAIT: wait_base = wait_chain(wait_fixed(15), wait_fixed(60))
"""Seconds before a stage is tried again."""


@contextmanager
def _opened(config: str, overrides: Sequence[str], stage: str = "cache") -> Iterator[RunContext]:
    """The run that was handed over, or else the one that the parameters name, of which `stage` is performed first."""
    if (run := current_run()) is not None:
        yield run
        return
    progress, given = Logged(), load_config(config, overrides)
    found = _again("data and models", progress)(resolve_version, given, progress, stage=stage)
    with run_context(found, progress, versioned=given.run.versions, name=deployment.name) as loaded:
        yield loaded


def _name(stage: str = "") -> Callable[[], str]:
    """Names a flow run after the run and its stage."""

    def name() -> str:
        if (current := current_run()) is not None:
            run = current.title
        elif deployment.name:
            run = deployment.name
        else:
            context = FlowRunContext.get()
            parameters = (context.parameters if context else None) or {}
            try:
                run = load_config(parameters["config"], parameters["overrides"]).run.name
            except (BpkdError, KeyError):
                run = "distill"  # the flow itself says what is wrong
        return f"{run} · {stage}" if stage else run

    return name


def _stage_flow(stage: str, does: str) -> Flow[..., Any]:
    @flow(name=stage, description=does, flow_run_name=_name(stage), persist_result=False, retries=0)
    def run_stage(config: str, overrides: list[str] = []) -> Any:  # noqa: B006
        with masked(), _opened(config, overrides, stage) as run:
            return _perform(stage, run)

    return run_stage


cache = _stage_flow("cache", "Store the teacher's logits of every source sample.")
mine = _stage_flow("mine", "Climb to auxiliary samples, round by round.")
export = _stage_flow("export", "Write the data set that can be shared.")
train = _stage_flow("train", "Train the student from the data set alone.")
evaluate = _stage_flow("evaluate", "Measure the student on held-out data.")

STAGES = {"cache": cache, "mine": mine, "export": export, "train": train, "evaluate": evaluate}


@flow(flow_run_name=_name(), persist_result=False, retries=0)
def distill(config: str, overrides: list[str] = []) -> Outcome:  # noqa: B006
    """Cache, mine, export, train, and evaluate where there is held-out data.

    Args:
        config: path of the run's TOML file, on the machine of the worker.
        overrides: SECTION.KEY=VALUE, as in `bpkd run --set`.

    Raises:
        UserError: the config, the data or a model is wrong.
    """
    with masked():
        handed_over = current_run() is not None
        with _opened(config, overrides) as run:
            done = is_complete(run.config)
            if done and run.versioned:
                outcome = finished(run.config)
            else:
                with server.without_heartbeats():
                    outcome = follow(run.config, lambda stage: STAGES[stage](config, overrides))
            record_outcome(outcome, run.name, run.title)
            if done and not handed_over:
                run.progress.say(UP_TO_DATE)
            return outcome


def _perform(stage: str, run: RunContext) -> Any:
    """One stage, tried again as a whole: it goes on where it stopped."""
    recorded, tracked = Recorded(run.progress, run.name, run.title), Tracked(run.runner, run.title)
    return _again(stage, run.progress)(perform, stage, run.config, progress=recorded, runner=tracked)


def _again(what: str, progress: Progress) -> Retrying:
    """Tries something again where a store or a worker failed in a way that may pass, and says so."""

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0
        progress.say(shown(f"{what}: {error}; trying again in {seconds:.0f} s"))

    return Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=WAIT,
        retry=retry_if_exception_type(TransientError),
        before_sleep=say,
        reraise=True,
    )
