"""Register the run of a config as a Prefect deployment, which workers run on a schedule or on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flows import server
from flows.secrets import shown_override
from pipeline.runs import refuse_mixing
from schemas.config import Config, load_config
from schemas.errors import BpkdError, UserError
from schemas.urls import shown

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.schedules import Schedule

VERSIONS = "run.versions"
POOL_TYPE = "process"
_FORBIDDEN = {*"/%&<>"}
"""In names of Prefect."""


@dataclass(frozen=True)
class Deployment:
    """What was registered.

    Attributes:
        name: "FLOW/NAME", as Prefect's own commands take it.
        id: of the deployment on the server.
        server: URL of its API.
        schedule: in words; None where it runs on demand only.
        paused: whether the schedule waits to be switched on.
        work_pool: whose workers run it.
        pool_type: how they do.
        pool_created: whether the pool was not there before.
        config: absolute path of the config, which has to be the same on every worker's machine.
        overrides: as in --set.
    """

    name: str
    id: str
    server: str
    schedule: str | None
    paused: bool
    work_pool: str
    pool_type: str
    pool_created: bool
    config: str
    overrides: list[str]


def deploy(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    cron: str | None = None,
    interval: float | None = None,
    timezone: str | None = None,
    work_pool: str = "bpkd",
    paused: bool = False,
) -> Deployment:
    """Register a deployment of `distill`, or replace the one of the same name.

    Args:
        path: of the config.
        overrides: SECTION.KEY=VALUE. Where neither they nor the config say whether versions are kept side by side,
            they are, as a source that grows would else be refused.
        name: of the deployment, by default that of the run.
        cron: when it runs, as five fields.
        interval: seconds between two runs, instead.
        timezone: of the cron fields, by default UTC.
        work_pool: whose workers run it; made, for processes, where it is missing.
        paused: leave the schedule switched off.

    Raises:
        UserError: the config, an override or the schedule is wrong, holds credentials, or there is no server; or where
            versions would go there is a run without.
        BpkdError: the server does not answer.
    """
    config = load_config(path, overrides)
    given = [*overrides] if VERSIONS.split(".")[1] in config.run.model_fields_set else [*overrides, f"{VERSIONS}=true"]
    refuse_mixing(load_config(path, given))  # else the first night would find it out
    located = str(Path(path).resolve())
    _refuse_secrets(located, given)
    deployed = config.run.name if name is None else name
    for option, value in (("--name", deployed), ("--work-pool", work_pool)):
        if _FORBIDDEN & {*value} or not value.strip():
            raise UserError(f"{option} {value!r}: takes a name, without any of {' '.join(sorted(_FORBIDDEN))}")
    server.configure()
    schedule = _schedule(cron, interval, timezone, paused)
    url = _require_server()

    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        pool_type, created = _pool(client, work_pool)
    return Deployment(
        name=f"distill/{deployed}",
        id=_register(config, deployed, schedule, work_pool, {"config": located, "overrides": given}),
        server=shown(url),
        schedule=_in_words(cron, interval, timezone),
        paused=paused,
        work_pool=work_pool,
        pool_type=pool_type,
        pool_created=created,
        config=located,
        overrides=given,
    )


def _refuse_secrets(path: str, overrides: Sequence[str]) -> None:
    for value in (path, *overrides):
        if shown(value) != value:
            raise UserError(
                f"{shown(value)}: holds credentials, which would be stored on the server; "
                "give them to the workers, in the environment or where the store's own tools read them"
            )
    for override in overrides:
        if shown_override(override) != override:
            raise UserError(
                f"--set {shown_override(override)}: may hold a secret, and would be stored on the server; "
                f"write it into {path} on every worker's machine, or have it read from the worker's environment"
            )


def _schedule(cron: str | None, interval: float | None, timezone: str | None, paused: bool) -> Schedule | None:
    """The schedule as Prefect takes it."""
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.schedules import Cron, Interval
    from pydantic import ValidationError

    if cron is not None and interval is not None:
        raise UserError("a deployment has one schedule: give --cron or --interval, not both")
    if cron is None:
        if timezone is not None:
            raise UserError("--timezone is of --cron, which is missing")
        return None if interval is None else Interval(timedelta(seconds=interval), active=not paused)
    try:
        CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        wrong = {part for problem in error.errors() for part in problem["loc"]}
        if "timezone" in wrong:
            raise UserError(f'--timezone "{timezone}": no such zone; takes names such as Europe/Berlin') from None
        raise UserError(
            f'--cron "{cron}": takes minute, hour, day of month, month and weekday; every night at two is "0 2 * * *"'
        ) from None
    return Cron(cron, timezone=timezone, active=not paused)


def _in_words(cron: str | None, interval: float | None, timezone: str | None) -> str | None:
    if cron is not None:
        return f"{cron} ({timezone or 'UTC'})"
    return None if interval is None else f"every {interval:g} s"


def _require_server() -> str:
    """URL of the server, which answers."""
    if not server.is_named():
        raise UserError(
            "a deployment needs a Prefect server: start one with `prefect server start`, "
            "then set PREFECT_API_URL=http://127.0.0.1:4200/api here and for every worker"
        )
    return server.require("start it with `prefect server start`, or set PREFECT_API_URL to the one that runs")


def _pool(client: SyncPrefectClient, name: str) -> tuple[str, bool]:
    """(type, whether it was made now) of a work pool."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    try:
        return client.read_work_pool(name).type, False
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=name, type=POOL_TYPE, base_job_template=template))
        return POOL_TYPE, True


def _register(
    config: Config, name: str, schedule: Schedule | None, work_pool: str, parameters: dict[str, object]
) -> str:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    from flows.distill import distill

    deployment = RunnerDeployment.from_flow(
        distill,
        name,
        schedule=schedule,
        parameters=parameters,
        # One run at a time: the next one would find the run's directory locked.
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
        description=f"Distils {config.run.name}: cache, mine, export, train, evaluate.",
        tags=["bpkd"],
        work_pool_name=work_pool,
        job_variables={"env": {"DO_NOT_TRACK": "1"}},
        # Every worker has bpkd installed; nothing of it is copied.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    try:
        return str(deployment.apply())
    except DeploymentApplyError as error:
        raise BpkdError(f"Prefect does not take the deployment: {error}") from error
