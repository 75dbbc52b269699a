"""`bpkd cache`, `mine`, `export`, `train`, `evaluate`: one stage in this process, without a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cli.options import example, on_config
from cli.results import as_object, print_artifact, print_figures, print_json
from flows.context import resolve_version
from flows.stages import perform
from pipeline import layout
from pipeline.progress import Progress
from schemas import registry
from schemas.config import Config
from schemas.manifest import Manifest
from schemas.registry import Registry
from schemas.urls import shown

_CACHE = {"teacher_logits": "Cache to use; by default the run's own."}
_RETRY = "Try samples again that failed before; what succeeded is kept."
_OUTPUT = {"output": "Directory or URL that receives it; by default within the run."}

Render = Callable[[Any, str, bool], None]


def _stage(
    name: str,
    text: str,
    *,
    url: Callable[[str], str],
    render: Render,
    takes: dict[str, str] | None = None,
    flags: dict[str, str] | None = None,
    names: dict[str, Registry] | None = None,
) -> click.Command:
    """The command of one stage.

    Args:
        name: of the stage.
        text: help.
        url: where its artifact is in a run.
        render: prints (result, URL, as JSON).
        takes: further options, all URLs, with their help; they are the stage's own keyword arguments.
        flags: the same for options without a value.
        names: config keys that name entries of a registry, listed in the help.
    """

    def run(config: Config, progress: Progress, restart: bool, as_json: bool, **given: Any) -> None:
        inputs = {key: value for key, value in given.items() if value}
        config = resolve_version(config, progress, restart=restart, stage=name)
        result = perform(name, config, restart=restart, progress=progress, **inputs)
        render(result, inputs.get("output", url(config.output)), as_json)

    notes = "\n\n".join(f"{key} takes {', '.join(known.names)}." for key, known in (names or {}).items())
    command: Callable[..., Any] = on_config(run)
    for option, help_ in reversed((takes or {}).items()):
        command = click.option(f"--{option.replace('_', '-')}", metavar="URL", help=help_)(command)
    for option, help_ in (flags or {}).items():
        command = click.option(f"--{option.replace('_', '-')}", is_flag=True, help=help_)(command)
    return click.command(name, help=text, epilog=example(f"bpkd {name} config.toml", notes=notes))(command)


def _render_artifact(manifest: Manifest, url: str, as_json: bool) -> None:
    if as_json:
        print_json(as_object(manifest, url))
    else:
        print_artifact(manifest, url)


def _render_rounds(manifests: list[Manifest], run: str, as_json: bool) -> None:
    rounds = [(layout.auxiliary(run, number), manifest) for number, manifest in enumerate(manifests, 1)]
    if not as_json:
        for url, manifest in rounds:
            print_artifact(manifest, url)
        return
    print_json(
        {
            "artifact": "auxiliary",
            "url": shown(run),
            "samples": sum(manifest.samples for manifest in manifests),
            "failures": sum(manifest.failures for manifest in manifests),
            "details": {"rounds": [as_object(manifest, url) for url, manifest in rounds]},
        }
    )


def _render_figures(figures: dict[str, float], url: str, as_json: bool) -> None:
    if as_json:
        print_json(figures)
    else:
        print_figures(figures)


cache = _stage(
    "cache",
    "Run the teacher once over the source and store its logits.",
    url=layout.teacher_logits,
    render=_render_artifact,
    takes=_OUTPUT,
    flags={"retry_failed": _RETRY},
    names={"cache.codec": registry.CODECS, "data.format": registry.SOURCES},
)
mine = _stage(
    "mine",
    "Train an opponent and climb to auxiliary samples against it, round by round. Needs the cache.",
    url=str,
    render=_render_rounds,
    takes=_CACHE,
    flags={"retry_failed": _RETRY},
    names={
        "mine.objective": registry.OBJECTIVES,
        "mine.step_rule": registry.STEP_RULES,
        "mine.start": registry.STARTS,
        "mine.output": registry.CLIMBERS,
        "mine.delta": registry.DELTAS,
        "mine.keep": registry.KEEPS,
    },
)
export = _stage(
    "export",
    "Write source and auxiliary samples as one data set that can be shared. Needs the cache and all rounds.",
    url=layout.dataset,
    render=_render_artifact,
    takes={**_CACHE, **_OUTPUT},
    names={"export.format": registry.FORMATS},
)
train = _stage(
    "train",
    "Train the student from an exported data set alone.",
    url=layout.student,
    render=_render_artifact,
    takes={"dataset": "Exported data set to train from; by default the run's own.", **_OUTPUT},
    names={"train.loss": registry.LOSSES},
)
evaluate = _stage(
    "evaluate",
    "Measure the student on data.eval, against the labels and against the teacher.",
    url=layout.evaluation,
    render=_render_figures,
    takes={"student": "Finished training to measure; by default the run's own.", **_OUTPUT},
    names={"data.metrics": registry.METRICS},
)
