"""`bpkd deploy`: a run on a schedule."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cli.options import common, example, set_option
from cli.results import print_json

if TYPE_CHECKING:
    from flows.deploy import Deployment

_SECONDS = click.FloatRange(min=1, max=366 * 24 * 3600)


@click.command(
    epilog=example('bpkd deploy config.toml --cron "0 2 * * *" --timezone Europe/Berlin', "bpkd deploy config.toml")
)
@click.argument("path", metavar="CONFIG", type=click.Path())
@click.option("--name", help="Of the deployment; by default run.name.")
@click.option("--cron", metavar="CRON", help='When to run, as five fields: "0 2 * * *" is every night at two.')
@click.option("--interval", metavar="SECONDS", type=_SECONDS, help="Run every so many seconds instead.")
@click.option("--timezone", metavar="ZONE", help="Of --cron, such as Europe/Berlin; by default UTC.")
@click.option("--work-pool", default="bpkd", show_default=True, help="Whose workers run it; made where it is missing.")
@set_option
@click.option("--paused", is_flag=True, help="Leave the schedule switched off.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@common
def deploy(
    path: str,
    name: str | None,
    cron: str | None,
    interval: float | None,
    timezone: str | None,
    work_pool: str,
    overrides: tuple[str, ...],
    paused: bool,
    as_json: bool,
) -> None:
    """Register `bpkd run CONFIG` as a deployment on the Prefect server of PREFECT_API_URL.

    Workers run it, each with bpkd installed and the config at the same path. Unless CONFIG or --set says otherwise,
    each run over a source that has grown begins a new version (run.versions=true). Registering it again replaces it.
    """
    from flows.deploy import deploy as register

    deployment = register(
        path,
        overrides,
        name=name,
        cron=cron,
        interval=interval,
        timezone=timezone,
        work_pool=work_pool,
        paused=paused,
    )
    if as_json:
        print_json(asdict(deployment))
    else:
        _print(deployment)


def _print(deployment: Deployment) -> None:
    if deployment.pool_created:
        click.echo(f"made the work pool {deployment.work_pool}, of type {deployment.pool_type}")
    schedule = deployment.schedule or "on demand only"
    click.echo(f"registered {deployment.name} at {deployment.server}")
    click.echo(f"  schedule   {schedule}{', paused' if deployment.schedule and deployment.paused else ''}")
    click.echo(f"  config     {deployment.config}")
    for override in deployment.overrides:
        click.echo(f"  --set      {override}")
    click.echo("run its worker, and the deployment at once:")
    click.echo(f"  prefect worker start --pool '{deployment.work_pool}' --type {deployment.pool_type}")
    click.echo(f"  prefect deployment run '{deployment.name}'")
