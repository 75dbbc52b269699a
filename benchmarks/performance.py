"""Puts what the speed benchmarks have measured into docs/performance.md, and how far the plan is off into its how-to.

python benchmarks/performance.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aims
import bf16_quality
import climb_speed
import decoding
import end_to_end
import growth
import logit_codecs
import plan_error
import reading
import start_up
import streaming
import training_speed
from comparison import Result
from timing import markdown, place

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
PLAN = ROOT / "docs" / "how-to" / "plan.md"
ON_PLAN = "plan-aims"
"""What is said on the page PLAN, too."""


def tables() -> dict[str, str]:
    """Name in docs/performance.md -> Markdown."""
    climb, codecs, shards, stages = (_read(name) for name in ("climb_speed", "logit_codecs", "reading", "end_to_end"))
    training, streamed, plan = (_read(name) for name in ("training_speed", "streaming", "plan_error"))
    bf16, larger, decoded, begun = (_read(name) for name in ("bf16_quality", "growth", "decoding", "start_up"))
    costs = growth.from_json(larger["stages"])
    made = {
        "climb": climb_speed.rows(climb["seconds"], climb["batch"]),
        "bf16-gaps": bf16_quality.gap_rows([bf16_quality.Gaps(**gap) for gap in bf16["gaps"]]),
        "bf16-students": bf16_quality.student_rows([Result(**result) for result in bf16["students"]]),
        "stages": end_to_end.rows(stages["seconds"], stages["cached"], stages["samples"]),
        "decoding": decoding.rows(decoded["seconds"], decoded["files"]),
        "start-up": start_up.rows(start_up.from_json(begun["calls"])),
        "training": training_speed.rows(training["seconds"], training["steps"]),
        "streaming": streaming.rows(streamed["runs"]),
        **{what: reading.rows(what, shards[what], shards["samples"]) for what in ("reading", "writing")},
        "growth-time": growth.time_rows(costs),
        "growth-memory": growth.memory_rows(costs),
        "plan": plan_error.rows(plan),
        "codecs": logit_codecs.rows(codecs["classes"]),
    }
    aimed = {
        "climb": aims.of_climb(climb),
        "stages": aims.of_stages(stages),
        "training": aims.of_training(training),
        "streaming": aims.of_streaming(streamed),
        "shards": aims.of_shards(shards),
        "growth": aims.of_growth(costs),
        "plan": aims.of_plan(plan),
    }
    machines = {
        **{"climb": climb, "codecs": codecs, "shards": shards, "stages": stages, "training": training},
        **{"streaming": streamed, "bf16": bf16, "growth": larger, "plan": plan},
        **{"decoding": decoded, "start-up": begun},
    }
    found = {name: markdown(heads, lines) for name, (heads, *lines) in made.items()}
    found |= {f"{name}-aims": aims.lines(of) for name, of in aimed.items()}
    found["stages-samples"] = f"{stages['cached']:,} images are cached, {stages['samples']:,} are climbed from."
    return found | {f"{name}-machine": _machine(report["machine"]) for name, report in machines.items()}


def pages() -> dict[Path, str]:
    """What each page has to be."""
    found = tables()
    on_plan = {ON_PLAN: found[ON_PLAN]}
    return {page: place(page.read_text(), of, "performance") for page, of in ((PAGE, found), (PLAN, on_plan))}


def _read(name: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return report


def _machine(machine: dict[str, Any]) -> str:
    known = ("platform", "processor", "gpu", "cores", "threads")
    threads = f"{machine['threads']} threads" if machine["threads"] > 1 else "1 thread"
    where = f"{machine.get('gpu') or machine['processor']}, {machine['cores']} cores, {threads}"
    versions = (f"{name} {version}" for name, version in machine.items() if name not in known)
    return f"{where}; {', '.join(versions)}."


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text)
