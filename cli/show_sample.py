"""One sample of a data set in words; text beside what it was mined from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.facts import is_terminal, print_facts, print_side_by_side, print_table, printable

if TYPE_CHECKING:
    from pipeline.datasets.sample import Sample
    from pipeline.text.comparison import Piece

CHOICES = 5
TOKENS = 12
"""Outputs and tokens that are shown, at most; --json has all."""


Words = list[tuple[str, bool]]
"""Of one side of a comparison, and whether the other side differs."""


def print_sample(sample: Sample, saved: list[str]) -> None:
    """All that is known of a sample, and the files that it was saved to."""
    print_facts(
        {
            "key": sample.key,
            "origin": sample.origin,
            "parent": sample.parent_key,
            "round": sample.round,
            "gap before": None if sample.gap_before is None else f"{sample.gap_before:.4g}",
            "gap after": None if sample.gap_after is None else f"{sample.gap_after:.4g}",
            "steps": sample.steps,
            "label": _label(sample),
            "stored as": ", ".join(f".{name} ({len(data):,} bytes)" for name, data in sample.files.items()),
            "in": sample.shard,
        }
    )
    _print_texts(sample)
    if sample.tokens is not None:
        _print_tokens(sample)
    _print_outputs(sample)
    for path in saved:
        click.echo(f"wrote {path}")


def _print_outputs(sample: Sample) -> None:
    """What the teacher says: the likeliest classes, or the numbers of a regression."""
    first = sample.outputs[:CHOICES]
    likely = [
        [output.name, f"{output.logit:.4g}", f"{output.probability:.2%}"]
        for output in first
        if output.probability is not None
    ]
    if likely:
        print_table(["teacher", "logit", "probability"], likely)
    else:
        print_table(["output", "teacher"], [[output.name, f"{output.logit:.4g}"] for output in first])
    if len(sample.outputs) > CHOICES:
        click.echo(f"and {len(sample.outputs) - CHOICES:,} more; --json has all")


def _label(sample: Sample) -> str:
    if sample.label is None:
        return "unknown"
    if isinstance(sample.label, list):
        return ", ".join(f"{number:.4g}" for number in sample.label)
    return str(sample.label) if sample.class_name == str(sample.label) else f"{sample.label} ({sample.class_name})"


def _print_texts(sample: Sample) -> None:
    """The texts; beside those of the parent, where both are known, with the words marked that differ."""
    compared = sample.compared
    if compared is None:
        for name, texts in (("parent", sample.parent_texts), ("text", sample.texts)):
            for text in texts or ():
                click.echo(f"\n{name}: {printable(text)}")
        return
    show = _print_styled if is_terminal() else _print_marked
    show(sample.origin, [(_words(pieces, True), _words(pieces, False)) for pieces in compared])


def _print_styled(origin: str, texts: list[tuple[Words, Words]]) -> None:
    from rich.text import Text

    def styled(words: Words) -> Text:
        return Text(" ").join(Text(word, "bold underline" if differs else "") for word, differs in words)

    print_side_by_side(["parent", origin], [[styled(side) for side in sides] for sides in texts])


def _print_marked(origin: str, texts: list[tuple[Words, Words]]) -> None:
    for sides in texts:
        for name, words in zip(("parent", origin), sides, strict=True):
            click.echo(f"\n{name}: {' '.join(f'[{word}]' if differs else word for word, differs in words)}")


def _words(pieces: list[Piece], old: bool) -> Words:
    """One side of a comparison, where it is not empty."""
    sides = ((printable(piece.before if old else piece.after), piece.changed) for piece in pieces)
    return [(words, changed) for words, changed in sides if words]


def _print_tokens(sample: Sample) -> None:
    tokens = sample.tokens or []
    rows = [
        [str(moved.id) if moved.token is None else printable(moved.token), f"{moved.place:,}", f"{moved.shift:.3g}"]
        for moved in tokens[:TOKENS]
    ]
    print_table(["most moved", "place", "shift in embedding norms" if sample.in_norms else "shift (L2)"], rows)
    if len(tokens) > TOKENS:
        click.echo(f"and {len(tokens) - TOKENS:,} more; --json has all")
