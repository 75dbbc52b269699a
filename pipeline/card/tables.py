"""The tables of a card."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from pipeline.card.examples import Example, Seen
from pipeline.card.facts import Facts
from pipeline.card.markdown import code, number, table
from schemas.dataset import Gaps

_CLASSES = 50


def examples_table(facts: Facts) -> Markup:
    """One line for each example: what it is, its gaps, and what the teacher makes of it."""
    texts, choices = facts.details.rows.kind == "text", facts.details.rows.task == "classification"
    parents = facts.shows_parents
    header = [*(["parent"] if texts and parents else []), "auxiliary", "round", "gap before → after"]
    lines = [
        [
            *([_text(example.parent)] if texts and example.parent else []),
            _text(example.sample) if texts else code(example.key),
            example.round,
            f"{example.gap_before:.4g} → {example.gap_after:.4g}",
            *([_choice(example)] if choices else []),
        ]
        for example in facts.examples
    ]
    return table([*header, *(["the teacher sees"] if choices else [])], lines)


def rounds_table(facts: Facts) -> Markup:
    """Samples and gaps by origin and round."""
    counts = facts.details.counts
    lines = [
        [
            f"auxiliary, round {one.round}",
            number(one.samples),
            *(_gap(one.gap.get(name)) for name in ("gap_before", "gap_after")),
        ]
        for one in counts.rounds
    ]
    header = ["origin", "samples", "gap before, mean (quartiles)", "gap after, mean (quartiles)"]
    return table(header, [["source", number(counts.source), "", ""], *lines])


def classes_table(facts: Facts) -> Markup | None:
    """The classes with the most samples, in their order; None where they were not counted."""
    if facts.classes is None:
        return None
    many = sorted(facts.classes, key=lambda one: (-one.source - one.auxiliary, one.index))[:_CLASSES]
    lines = [
        [one.name, number(one.labelled), number(one.source), number(one.auxiliary)]
        for one in sorted(many, key=lambda one: one.index)
    ]
    if len(many) < len(facts.classes):
        lines.append([f"{len(facts.classes) - len(many):,} more, with fewer samples", "", "", ""])
    return table(["class", "with this label", "source, as the teacher sees it", "auxiliary, likewise"], lines)


def models_table(facts: Facts) -> Markup | None:
    """Both models, as far as they are known."""
    lines = [[role, *_model(facts.told(role))] for role in ("teacher", "student") if facts.told(role)]
    return table(["model", "factory", "options", "SHA-256 of its weights"], lines) if lines else None


def _model(told: dict[str, Any]) -> list[Markup]:
    options = {key: value for key, value in told.items() if value is not None and key not in ("factory", "sha256")}
    return [code(told.get("factory")), code(json.dumps(options)), code(told.get("sha256"))]


def _gap(gap: Gaps | None) -> str:
    return "" if gap is None else f"{gap.mean:.4g} ({gap.q25:.4g}, {gap.q50:.4g}, {gap.q75:.4g})"


def _choice(example: Example) -> str:
    return example.sample.choice if example.parent is None else f"{example.parent.choice} → {example.sample.choice}"


def _text(seen: Seen) -> Any:
    perturbed = seen.stored.perturbed
    if perturbed is None:
        return " / ".join(seen.stored.texts)
    return Markup(f"*{len(perturbed.tokens)} tokens, their embeddings shifted*")
