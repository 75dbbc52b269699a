"""What a data set says of itself: README.md for people and the Hugging Face hub, croissant.json for search engines."""

from pipeline.card.facts import Facts
from pipeline.card.files import CROISSANT, README, SHEET, card_files

__all__ = ["CROISSANT", "README", "SHEET", "Facts", "card_files"]
