"""A whole run, through Prefect or directly."""

from __future__ import annotations

from flows.stages import Outcome, follow, perform
from pipeline.progress import Progress, Silent
from pipeline.runs import discard_run
from schemas.config import Config


def run(config: Config, *, restart: bool = False, progress: Progress | None = None, direct: bool = False) -> Outcome:
    """Cache, mine, export, train, and evaluate where there is held-out data.

    Args:
        config: the run.
        restart: throw away what an earlier run has left in its output.
        progress: where to report.
        direct: call the stages one after the other, without Prefect; the artifacts are the same.

    Raises:
        UserError: the config, the data or a model is wrong.
        BpkdError: Prefect cannot be reached.
    """
    progress = progress or Silent()
    if restart:
        from pipeline.work.setup import preflight

        preflight(config)  # a mistake in the config must not cost what is there
        discard_run(config.output)
    if direct:
        return follow(config, lambda name: perform(name, config, progress=progress))
    from flows.distill import run_flow

    return run_flow(config, progress=progress)
