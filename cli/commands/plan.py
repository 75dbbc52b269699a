"""`bpkd plan`: what a run takes, before it runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from cli.durations import duration, rough_duration
from cli.facts import print_table
from cli.options import example, reads_config
from cli.results import print_json
from pipeline.plan.costs import SECONDS, WORKERS, Plan
from pipeline.progress import Progress
from schemas.config import Config
from schemas.errors import counted

_NOTES = (
    "Runs all stages on the first samples, in a temporary directory, and works out the rest; the run's own directory "
    "is not touched. run.workers says how many workers are measured; each further one is taken to be as fast, with a "
    "device of its own."
)


def _counts(ctx: click.Context, option: click.Parameter, given: str) -> tuple[int, ...]:
    try:
        counts = tuple(sorted({int(part) for part in given.split(",")}))
    except ValueError:
        counts = ()
    if not counts or counts[0] < 1:
        raise click.BadParameter("takes numbers from 1 on, such as 1,2,8", ctx, option)
    return counts


@click.command(epilog=example("bpkd plan config.toml", "bpkd plan config.toml --workers 1,16", notes=_NOTES))
@click.option(
    "--workers",
    default=",".join(map(str, WORKERS)),
    show_default=True,
    callback=_counts,
    metavar="N,N,...",
    help="For how many.",
)
@click.option(
    "--seconds",
    default=SECONDS,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How long to measure, about; starting each stage comes on top.",
)
@reads_config
def plan(config: Config, progress: Progress, as_json: bool, workers: tuple[int, ...], seconds: float) -> None:
    """Measure a few batches of each stage of CONFIG and tell what the whole run takes."""
    from pipeline.plan.plan import plan as work_out

    found = work_out(config, workers=workers, seconds=seconds, progress=progress)
    if as_json:
        print_json(_as_object(found, workers))
    else:
        _print(found, workers)


def _as_object(found: Plan, workers: tuple[int, ...]) -> dict[str, Any]:
    total = {"bytes": found.bytes, "seconds": {count: found.seconds(count) for count in workers}}
    return {**asdict(found), "total": total}


def _print(found: Plan, workers: tuple[int, ...]) -> None:
    from rich.filesize import decimal

    on_gpu = any(stage.device_memory for stage in found.stages)
    heads = [counted(count, "worker") if count == workers[0] else str(count) for count in workers]
    columns = ["stage", "samples", *heads, "writes", "memory", *(["GPU"] if on_gpu else [])]
    rows = [
        [
            stage.stage,
            f"{stage.samples:,}",
            *(rough_duration(stage.seconds[count]) for count in workers),
            decimal(stage.bytes) if stage.bytes else "",
            _memory(stage.memory),
            *([_memory(stage.device_memory) if stage.device_memory else ""] if on_gpu else []),
        ]
        for stage in found.stages
    ]
    total = ["all", "", *(rough_duration(found.seconds(count)) for count in workers), decimal(found.bytes)]
    total += [_memory(max(stage.memory for stage in found.stages)), *([""] if on_gpu else [])]
    print_table(columns, [*rows, total])
    click.echo(
        f"measured in {duration(found.took)} on {found.device} with {counted(found.workers, 'worker')}, on "
        f"{found.pilot_samples:,} of {found.source_samples:,} samples; memory is that of the largest process"
    )
    for note in found.notes:
        click.echo(note)


def _memory(size: int) -> str:
    """In few letters."""
    from rich.filesize import decimal

    return decimal(size, precision=0 if size < 10**9 else 1)
