"""Images in a terminal that has colours: two rows of pixels in one line of half blocks."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from cli.facts import print_side_by_side

if TYPE_CHECKING:
    from rich.text import Text

    from pipeline.datasets.sample import Sample

COLUMNS = 36
"""Of an image, at most; larger ones are shrunk, as are those that would not fit beside each other."""


def shows_images() -> bool:
    """Whether stdout is a terminal with colours."""
    from rich.console import Console

    console = Console()
    return console.is_terminal and console.color_system is not None and not console.no_color


def print_images(family: list[Sample]) -> None:
    """A sample's image, to the right of its parent's where there is one; nothing for samples that are no images."""
    images = [(sample, sample.files["png"]) for sample in reversed(family) if "png" in sample.files]
    if images:
        from rich.console import Console

        names = ["parent" if sample is not family[0] else sample.origin for sample, _ in images]
        # A space on each side of each, and what is between them and around all.
        beside = (Console().width - len(images) - 1) // len(images) - 2
        print_side_by_side(names, [[half_blocks(data, min(COLUMNS, max(beside, 1))) for _, data in images]])


def half_blocks(data: bytes, columns: int = COLUMNS) -> Text:
    """A data set's own PNG, which has been checked as it was read, in so many columns at most."""
    from PIL import Image
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    image = Image.open(io.BytesIO(data), formats=("PNG",)).convert("RGB")
    image.thumbnail((columns, columns))
    text = Text()
    for top in range(0, image.height, 2):
        for column in range(image.width):
            upper, lower = (
                Color.from_rgb(*image.getpixel((column, row))) if row < image.height else None  # type: ignore[misc]
                for row in (top, top + 1)
            )
            text.append("▀", Style(color=upper, bgcolor=lower))
        text.append("\n")
    text.rstrip()
    return text
