"""Puts what the studies have measured into docs/results.md and README.md, and pictures into docs/assets/results/.

    python benchmarks/results.py    # or: make results

Everything is made from benchmarks/results/*.json; nothing is measured. What has no JSON yet is said to be missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import paper.digits
import paper.regression
import paper.text
import travel
from paper.tables import setting_rows
from studies.pictures import lines_of
from studies.tables import shown
from timing import markdown, place

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE, README = ROOT / "docs" / "results.md", ROOT / "README.md"
PICTURES = ROOT / "docs" / "assets" / "results"

Report = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A place of the page.

    Attributes:
        command: that measures it, where there is no JSON yet.
        tables: Markdown of the report.
        picture: an SVG of the report, and what it shows, for who does not see it.
        name: of the JSON, without its ending, where another place shows it, too, and says how it was measured.
    """

    command: str
    tables: Callable[[Report], str]
    picture: tuple[Callable[[Report], bytes], str] | None = None
    name: str | None = None


def _study(script: str, about: str, x: str = "", **options: Any) -> Entry:
    command = f"python benchmarks/studies/{script}.py --data DIR"
    return Entry(command, partial(shown, **options), (partial(lines_of, x=x), about))


def _table(rows: Callable[[Report], Iterable[Sequence[str]]]) -> Callable[[Report], str]:
    """Markdown of rows, of which the first has the heads."""

    def made(report: Report) -> str:
        heads, *lines = rows(report)
        return markdown(heads, lines)

    return made


def _settings(report: Report) -> Iterable[Sequence[str]]:
    """What a search has chosen, for every method."""
    return [("method", "setting"), *report["chosen"].items()]


def _travelled(report: Report, figures: Sequence[str] = ("agreement", "accuracy")) -> str:
    """A table of each figure."""
    return "\n\n".join(_table(partial(travel.rows, figure=figure))(report) for figure in figures)


ENTRIES: dict[str, Entry] = {
    "study_search": Entry("python benchmarks/studies/samples.py --data DIR --search", _table(_settings)),
    "study_samples": _study("samples", "Accuracy of every method by the number of images"),
    "study_compression": _study("compression", "Accuracy of every method by the number of the student's weights"),
    "study_climb": _study("climb", "Accuracy by rounds, steps, step size and objective"),
    "study_compute": _study("compute", "Accuracy of every method by what it asks of the teacher", x="passes"),
    "study_steps": _study("steps", "Accuracy of every method by the number of optimiser steps"),
    "study_robustness": _study("robustness", "Accuracy under noise, blur, rotation and attacks, by their strength"),
    "travel": Entry("python benchmarks/travel.py --data DIR", _travelled),
    "levers": Entry("python benchmarks/levers.py --data DIR", partial(_travelled, figures=["agreement"])),
    "paper_regression": Entry(
        "python benchmarks/paper/regression.py",
        _table(paper.regression.rows),
        (
            paper.regression.draw,
            "Curves of teacher and student, polynomials above and networks below. Left without auxiliary samples, "
            "right with them: stars mark where on the teacher's curve they are.",
        ),
    ),
    "paper_digits": Entry("python benchmarks/paper/digits.py --data DIR", _table(paper.digits.rows)),
    "paper_text": Entry("python benchmarks/paper/text.py --data DIR", _table(paper.text.rows)),
    **{
        f"paper_{name}_settings": Entry(
            f"python benchmarks/paper/{name}.py", _table(setting_rows), name=f"paper_{name}"
        )
        for name in ("regression", "digits", "text")
    },
}
"""Place in docs/results.md -> what stands there. A new one is a line here and two comments in the page."""


def parts() -> tuple[dict[str, str], dict[str, bytes]]:
    """Name in docs/results.md -> Markdown, and file in docs/assets/results -> SVG."""
    texts: dict[str, str] = {}
    pictures: dict[str, bytes] = {}
    for name, entry in ENTRIES.items():
        file = RESULTS / f"{entry.name or name}.json"
        if not file.exists():
            texts[name] = f"*Not measured yet:* `{entry.command}`"
            continue
        report: Report = json.loads(file.read_text())
        texts[name] = entry.tables(report) + ("" if entry.name else f"\n\n{facts(report)}")
        if entry.picture:
            draw, about = entry.picture
            pictures[f"{name}.svg"] = draw(report)
            texts[name] = f"![{about}](assets/results/{name}.svg)\n\n{texts[name]}"
    return texts, pictures


def headline() -> dict[str, str]:
    """Name in README.md -> Markdown: what one gets, beside the best of what needs no bpkd."""
    images, text = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("travel", "few_sample_text"))
    own = travel.means(images, "accuracy", fresh=False)
    others = travel.means(images, "agreement", fresh=True)
    sentences = travel.means(text, "agreement", fresh=False)
    rivals = [name for name in travel.BASELINES if name.startswith("KD + ")]
    best_own, best_others = (max(rivals, key=found.__getitem__) for found in (own, others))
    lines = (
        "**A student of yours.** From 500 unlabelled Fashion-MNIST images and a 92.6% teacher, a student with 1/78 of "
        f"its weights reaches **{own['bpkd']:.1%} with bpkd**, {own['plain KD']:.1%} with plain distillation, "
        f"{own[best_own]:.1%} with {_augmentation(best_own)}, at the same number of training steps.",
        "**A data set for others.** New students of four architectures, trained from the data set that is left, "
        f"agree with the teacher in **{others['bpkd share']:.1%} of answers with bpkd**, {others['plain KD']:.1%} with "
        f"plain distillation, {others[best_others]:.1%} with {_augmentation(best_others)} "
        "([all numbers and commands](docs/results.md)).",
        "**Text.** From 500 unlabelled sentences, a student with two of a MiniLM's six layers agrees with it in "
        f"**{sentences['bpkd token']:.1%} of answers with bpkd**, {sentences['plain KD']:.1%} with plain distillation "
        "([text](#text)).",
    )
    return {"headline": "\n".join(f"- {line}" for line in lines).replace("%", " %")}


def _augmentation(method: str) -> str:
    return method.removeprefix("KD + ")


def facts(report: Report) -> str:
    """How it was measured: command, seeds, time and machine."""
    seeds = sorted({len({row["seed"] for row in rows}) for rows in _by_point(report)}, reverse=True)
    counts = " or ".join(map(str, seeds)) + (" seeds" if seeds != [1] else " seed")
    seconds, machine = report["seconds"], report["machine"]
    minutes = "some time" if seconds is None else f"{max(1, seconds / 60):,.0f} minutes"
    where = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
    return f"`{report['command']}`: {counts}, {minutes} on the clock; {where}."


def _by_point(report: Report) -> list[list[dict[str, Any]]]:
    points = dict.fromkeys(row.get("point") for row in report["results"])
    return [[row for row in report["results"] if row.get("point") == point] for point in points]


def main() -> None:
    texts, pictures = parts()
    for page, found in ((PAGE, texts), (README, headline())):
        page.write_text(place(page.read_text(), found, "results"))
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, data in pictures.items():
        (PICTURES / name).write_bytes(data)


if __name__ == "__main__":
    main()
