"""The page: one HTML file with its style, its script, its plots and the library that draws them."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.finite import finite
from pipeline.report.figures import Cost, Figures, Stage
from pipeline.report.plots import plots
from pipeline.report.verdict import card, verdict
from pipeline.report.words import number, of_bytes, seconds
from schemas.errors import clipped, counted

ECHARTS = "6.1.0"
"""Version of the library in `vendor/`."""

FILES, ARTIFACTS, CONFIG = 40, 40, 200_000
"""What is listed, at most: of an artifact its files, of a run its last artifacts, of its config characters."""

_HERE = files(__package__)
_LEGENDS = {
    "image": "In the difference of grey images, blue is brighter than the parent and orange darker; in that of others, "
    "middle grey is no change.",
    "text": "Words that were exchanged are marked.",
    "array": "The numbers that changed most.",
}


def render(figures: Figures) -> str:
    """The whole page, which is the same for the same figures."""
    drawn = plots(figures)
    style, script, library = _text("templates/report.css"), _text("templates/report.js"), _library()
    environment = Environment(
        loader=FileSystemLoader(str(_HERE / "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    missing, finished = figures.missing, [stage for stage in figures.stages if stage.state == "finished"]
    page: str = environment.get_template("report.html").render(
        figures=figures,
        plots=drawn,
        options={id_: finite(plot.option) for id_, plot in drawn.items()},
        cards=[card(measure) for measure in figures.evaluation.measures] if figures.evaluation else [],
        verdict=verdict(figures),
        others=_others(figures),
        recipe=_recipe(figures),
        legend=_legend(figures),
        empty=_empty(figures),
        sections=_sections(figures),
        unfinished=missing[:8],
        more_unfinished=max(0, len(missing) - 8) + figures.not_begun,
        costs=_costs(figures.costs),
        artifacts=_artifacts(figures.stages),
        hashes=[(stage.name, stage.manifest) for stage in figures.stages if stage.manifest],
        files=lambda stage: [(path, f"{size:,}", digest) for path, size, digest in stage.hashes[:FILES]],
        made_from=lambda stage: json.dumps(_short(stage.made_from), indent=2, ensure_ascii=False),
        most_files=FILES,
        config=figures.config[:CONFIG],
        finished=finished[-ARTIFACTS:],
        more_finished=max(0, len(finished) - ARTIFACTS),
        echarts=ECHARTS,
        policy=_policy(style, script, library),
        style=Markup(style),
        script=Markup(script),
        library=Markup(library),
    )
    return page


def _others(figures: Figures) -> list[Sequence[str]]:
    if figures.evaluation is None:
        return []
    both = figures.evaluation.others
    return [
        [name, number(own), *([] if figures.baseline is None else ["unknown" if other is None else number(other)])]
        for name, (own, other) in both.items()
    ]


def _recipe(figures: Figures) -> str:
    """The commands that make a baseline, where one makes sense."""
    if figures.rounds == 0 or figures.evaluation is None:
        return ""
    remote = "://" in figures.url
    # Of a relative path `run.output` would be relative to the config, and `bpkd report` to wherever it is called.
    url = figures.url if remote else str(Path(figures.url).resolve())
    run, other = shlex.quote(url), shlex.quote(f"{url}-baseline")
    config = "CONFIG" if remote else shlex.quote(f"{url}/config.toml")
    budget = f" --set train.steps={figures.steps}" if figures.epochs and figures.steps is not None else ""
    return (
        f"bpkd run {config} --set run.rounds=0{budget} --set run.output={other}\n"
        f"bpkd report {run} --baseline {other}"
    )  # fmt: skip


def _empty(figures: Figures) -> str:
    """Which rounds have no auxiliary samples although they are finished, and why."""
    found = figures.empty_rounds
    if not found:
        return ""
    names = ", ".join(stage.name for stage in found[:8]) + (f" and {len(found) - 8:,} more" if len(found) > 8 else "")
    failed = sum(stage.failures for stage in found)
    why = f"{counted(failed, 'sample')} failed, failures.jsonl there says why" if failed else "mine.keep left out all"
    return f"Finished without an auxiliary sample: {names}. {why[0].upper()}{why[1:]}."


def _legend(figures: Figures) -> str:
    now = any(pair.gap_now is not None for pair in figures.pairs)
    more = " The last gap is that of the finished student." if now else ""
    asked = any(name == "student" for pair in figures.pairs for name, _ in pair.auxiliary.answers)
    more += "" if asked else " The student was not asked about these: bpkd evaluate does that."
    perturbed = any(pair.moved for pair in figures.pairs)
    return ("" if perturbed else _LEGENDS.get(figures.kind, "")) + more


def _sections(figures: Figures) -> list[tuple[str, str]]:
    regression = figures.evaluation is not None and figures.evaluation.task == "regression"
    middle = [("fit", "Answers")] if regression else [("classes", "Classes"), ("sure", "Calibration")]
    first = [("result", "Result"), ("learning", "Learning curves"), ("rounds", "Gaps")]
    last = [("gallery", "Auxiliary samples"), ("costs", "Time and bytes"), ("exact", "Config and hashes")]
    return [*first, *middle, *last]


def _costs(costs: Sequence[Cost]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for cost in costs:
        time = "unknown" if not cost.timed else seconds(cost.seconds)
        time = f"more than {time}" if 0 < cost.timed < cost.done else time
        done = f"{cost.done:,} of {cost.artifacts:,}" if cost.done < cost.artifacts else f"{cost.done:,}"
        facts = [time, of_bytes(cost.bytes), _some(cost.samples), _some(cost.failures)] if cost.done else [""] * 4
        rows.append([cost.name, *facts, done, f"bpkd {cost.command}"])
    return rows


def _artifacts(stages: Sequence[Stage]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for stage in stages:
        facts = [stage.state, "", "", "", ""]
        if stage.state == "finished":
            time = "unknown" if stage.seconds is None else seconds(stage.seconds)
            counts = [_some(stage.samples), _some(stage.failures), f"{stage.files:,}"]
            facts = [time, of_bytes(stage.bytes), *counts]
        rows.append([stage.name, *facts])
    return rows


def _some(count: int) -> str:
    return f"{count:,}" if count else ""


def _short(value: Any, deep: int = 0) -> Any:
    """What an artifact was made from, without what is there for programs: the hash of every file of a source."""
    if isinstance(value, dict):
        shown = {clipped(str(key), 200): _short(item, deep + 1) for key, item in list(value.items())[:FILES]}
        return shown | ({"…": f"{len(value) - FILES:,} more"} if len(value) > FILES else {})
    if isinstance(value, list):
        return [_short(item, deep + 1) for item in value[:FILES]]
    return clipped(value, 300) if isinstance(value, str) else value


def _policy(style: str, *scripts: str) -> str:
    """Nothing is loaded, and no script runs but those of this page."""
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'sha256-{_digest(style)}'; "
        "style-src-attr 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _library() -> str:
    """ECharts, which must not end the script element that it is in, with the licenses that go with every copy."""
    code = _text("vendor/echarts.common.min.js").replace("</script", "<\\/script")
    notices = "\n".join(_text(f"vendor/{name}") for name in ("NOTICE", "LICENSE-zrender", "LICENSE-d3"))
    return f"/*! Apache ECharts {ECHARTS}, Apache-2.0\n{notices.replace('*/', '* /')}*/\n{code}"


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
