"""The files of a card, which lie beside the manifest."""

from __future__ import annotations

from pipeline.card.croissant import croissant
from pipeline.card.facts import Facts
from pipeline.card.readme import readme
from pipeline.card.sheet import contact_sheet

README = "README.md"
CROISSANT = "croissant.json"
SHEET = "examples.png"


def card_files(facts: Facts) -> dict[str, bytes]:
    """Name -> bytes; the same for the same facts."""
    sheet = {}
    if facts.details.rows.kind == "image" and facts.examples:
        sheet[SHEET] = contact_sheet(facts.examples)
    return {
        README: readme(facts, SHEET if sheet else None).encode(),
        CROISSANT: croissant(facts).encode(),
        **sheet,
    }
