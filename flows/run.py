"""A whole run, through Prefect or directly."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from flows import server
from flows.context import resolve_version, run_context
from flows.secrets import shown_override
from flows.stages import UP_TO_DATE, Outcome, finished, follow, perform
from pipeline.progress import Progress, Silent
from pipeline.runs import discard_run, is_complete
from schemas.config import Config
from schemas.urls import shown


def run(
    config: Config,
    *,
    path: str = "",
    overrides: Sequence[str] = (),
    restart: bool = False,
    progress: Progress | None = None,
    direct: bool = False,
) -> Outcome:
    """Cache, mine, export, train, and evaluate where there is held-out data.

    Args:
        config: the run.
        path: of the file that it came from, and
        overrides: what was set besides; only for Prefect to show.
        restart: throw away what an earlier run has left in its output.
        progress: where to report.
        direct: call the stages one after the other, without Prefect; the artifacts are the same.

    Raises:
        UserError: the config, the data or a model is wrong.
        BpkdError: Prefect cannot be reached.
    """
    progress = progress or Silent()
    versioned = config.run.versions
    config = resolve_version(config, progress, restart=restart)
    if restart:
        from pipeline.work.setup import preflight

        preflight(config)  # a mistake in the config must not cost what is there
        discard_run(config.output)
    done = is_complete(config)
    # A server of the user's hears of every run; to start one of our own for nothing would take longer than the run.
    if direct or (done and not server.is_named()):
        outcome = finished(config) if done and versioned else _run_directly(config, progress)
    else:
        outcome = _run_flow(config, path, overrides, progress, versioned)
    if done:
        progress.say(UP_TO_DATE)
    return outcome


def _run_directly(config: Config, progress: Progress) -> Outcome:
    with run_context(config, progress) as run:
        return follow(config, lambda name: perform(name, config, progress=progress, runner=run.runner))


def _run_flow(config: Config, path: str, overrides: Sequence[str], progress: Progress, versioned: bool) -> Outcome:
    """Run the flow in this process.

    Raises:
        BpkdError: Prefect's server does not start, or the one that its settings name does not answer.
        Exception: what a stage raised, as it raised it.
    """
    server.configure()  # before Prefect reads its settings
    embedded = not server.is_named()
    if embedded:
        progress.say("starting Prefect; bpkd run --direct does the same without it")
    with server.started():
        from flows.distill import distill  # brings torch with it
        from flows.lost import ended_if_lost

    # Nobody but this process looks after a server of its own.
    context = run_context(config, progress, versioned=versioned)
    with context, ended_if_lost(), server.without_heartbeats() if embedded else nullcontext():
        return distill(shown(path or config.output), [shown_override(override) for override in overrides])
