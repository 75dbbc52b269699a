"""`bpkd run`: the whole flow."""

from __future__ import annotations

import click

from cli.options import example, on_config
from cli.results import as_object, print_artifact, print_figures, print_json
from pipeline.progress import Progress
from schemas.config import Config
from schemas.urls import shown


@click.command(epilog=example("bpkd run config.toml", "bpkd run config.toml --set run.rounds=9"))
@click.option("--direct", is_flag=True, help="Run the stages one after the other, without Prefect.")
@on_config
def run(config: Config, progress: Progress, restart: bool, as_json: bool, direct: bool) -> None:
    """Run all stages of CONFIG: cache, mine, export, train, and evaluate where data.eval is set.

    What an interrupted run has finished is kept; run it again to resume.
    """
    from flows.run import run as run_stages

    given = click.get_current_context().params
    outcome = run_stages(
        config,
        path=given["path"],
        overrides=given["overrides"],
        restart=restart,
        progress=progress,
        direct=direct,
    )
    if as_json:
        artifacts = [as_object(manifest, url) for url, manifest in outcome.artifacts]
        print_json({"url": shown(outcome.url), "artifacts": artifacts, "evaluation": outcome.evaluation})
        return
    for url, manifest in outcome.artifacts:
        print_artifact(manifest, url)
    if outcome.evaluation:
        print_figures(outcome.evaluation)
    elif config.data.eval is None:
        click.echo("not evaluated: data.eval is not set")
