"""From a run's directory to the figures of its report: no model is asked, and no code that a run names is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline import layout
from pipeline.directory import Run, open_run
from pipeline.report import gallery, history, outcome
from pipeline.report.answers import Answers, open_answers
from pipeline.report.figures import Baseline, Evaluation, Figures
from pipeline.verify.chain import broken_links
from schemas.anyway import ANYWAY, DESCRIPTION
from schemas.errors import BpkdError, UserError, clipped
from schemas.manifest import Manifest
from schemas.urls import shown

Value = TypeVar("Value")

_NO_BETTER = {**ANYWAY, **DESCRIPTION, "train": {*ANYWAY["train"], "memory_mb"}}
"""Settings that say nothing of how good a student may become."""


def gather(url: str, baseline: str | None = None) -> Figures:
    """Read what is there of a run; what is damaged becomes a note.

    Args:
        url: of the run.
        baseline: URL of another run to compare with.

    Raises:
        UserError: there is no run, or the baseline has no evaluation, or one that cannot be compared.
        BpkdError: the store cannot be reached.
    """
    own, notes = open_run(url), list[str]()
    other = None if baseline is None else open_run(baseline)
    if other is not None and other.url == own.url:
        raise UserError(f"{baseline} is the run itself; a baseline is another run")

    def part(find: Callable[[], Value], instead: Value) -> Value:
        try:
            return find()
        except (BpkdError, ValidationError) as error:
            notes.append(clipped(shown(str(error)).partition("\n")[0], 500))
            return instead

    notes += [shown(f"{found}") for found in own.manifests.values() if _is_damage(found)]
    there = {f"{path}/": found for path, found in own.manifests.items() if isinstance(found, Manifest)}
    notes += [f"{place.rstrip('/')} {what}" for place, what in broken_links(there)]
    answers = open_answers(own)
    evaluation: Evaluation | None = None
    if other is not None:
        # Asked for by name, so that a page without it would be no answer.
        evaluation = outcome.evaluate(_required(answers, own), _required(open_answers(other), other))
    elif answers is not None:
        evaluation = part(lambda: outcome.evaluate(answers, None), None)
    made = history.stages(own)
    return Figures(
        name=own.name,
        url=shown(own.url),
        bpkd=next((found.bpkd for found in own.manifests.values() if isinstance(found, Manifest)), "?"),
        kind=str(own.setting("data", "kind") or "unknown"),
        rounds=own.rounds,
        config=own.text,
        stages=made,
        costs=history.costs(made, own.more_rounds),
        curves=part(lambda: history.curves(own), []),
        gaps=part(lambda: history.gaps(own), []),
        evaluation=evaluation,
        baseline=None if other is None else _compared(own, other),
        pairs=part(lambda: gallery.pairs(own), []),
        notes=notes,
        steps=history.steps(own),
        epochs=own.setting("train", "epochs") is not None,
        fresh_opponents=own.setting("mine", "opponent") == "fresh",
        held_out=own.setting("data", "eval") is not None,
        not_begun=len(layout.IN_ROUNDS) * own.more_rounds,
    )


def _required(answers: Answers | None, run: Run) -> Answers:
    if answers is None:
        raise UserError(f"{run.url} has no evaluation to compare; `bpkd evaluate CONFIG` makes one if data.eval is set")
    return answers


def _is_damage(found: Manifest | str) -> bool:
    return isinstance(found, str) and found not in ("missing", "unfinished")


def _compared(own: Run, other: Run) -> Baseline:
    here, there = dict(_leaves(own.config)), dict(_leaves(other.config))
    keys = [key for key in sorted(here.keys() | there.keys()) if here.get(key) != there.get(key)]
    plain = other.rounds == 0
    return Baseline(
        name="without auxiliary samples" if plain else clipped(other.name, 60),
        url=shown(other.url),
        plain=plain,
        steps=history.steps(other),
        differences=[(key, _short(here.get(key)), _short(there.get(key))) for key in keys],
    )


def _leaves(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(SECTION.KEY, value) of all that may make a student better or worse."""
    for section, values in config.items():
        if isinstance(values, dict):
            left_out = _NO_BETTER.get(section, ())
            yield from ((f"{section}.{key}", value) for key, value in values.items() if key not in left_out)


def _short(value: Any) -> str:
    return "not set" if value is None else clipped(shown(str(value)), 80)
