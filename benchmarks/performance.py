"""Puts what the speed benchmarks have measured into docs/performance.md.

python benchmarks/performance.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bf16_quality
import climb_speed
import end_to_end
import growth
import logit_codecs
import reading
import training_speed
from comparison import Result
from scale.tables import markdown, place

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"


def tables() -> dict[str, str]:
    """Name in docs/performance.md -> Markdown."""
    names = ("climb_speed", "logit_codecs", "reading", "end_to_end", "training_speed", "bf16_quality", "growth")
    climb, codecs, shards, stages, training, bf16, larger = (_read(name) for name in names)
    made = {"climb": [*climb_speed.rows(climb["seconds"], climb["batch"])]}
    made["stages"] = [*end_to_end.rows(stages["seconds"], stages["samples"])]
    made["training"] = [*training_speed.rows(training["seconds"], training["steps"])]
    made["codecs"] = [*logit_codecs.rows(codecs["classes"])]
    for what in ("reading", "writing"):
        made[what] = [*reading.rows(what, shards[what], shards["samples"])]
    made["bf16-gaps"] = [*bf16_quality.gap_rows([bf16_quality.Gaps(**gap) for gap in bf16["gaps"]])]
    made["bf16-students"] = [*bf16_quality.student_rows([Result(**result) for result in bf16["students"]])]
    costs = growth.from_json(larger["stages"])
    made |= {"growth-time": [*growth.time_rows(costs)], "growth-memory": [*growth.memory_rows(costs)]}
    found = {name: markdown(heads, lines) for name, (heads, *lines) in made.items()}
    for name, report in (
        ("climb", climb),
        ("codecs", codecs),
        ("shards", shards),
        ("stages", stages),
        ("training", training),
        ("bf16", bf16),
        ("growth", larger),
    ):
        found[f"{name}-machine"] = _machine(report["machine"])
    return found


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
    PAGE.write_text(place(PAGE.read_text(), tables(), "performance"))
