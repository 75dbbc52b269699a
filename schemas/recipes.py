"""Recipes: settings of `[mine]` that go together, under a name. Keys that a config sets itself count more.

docs/results.md measures them. A new recipe is one entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import unknown


@dataclass(frozen=True)
class Recipe:
    """Settings under a name.

    Attributes:
        about: what it is, in a few words.
        mine: of every kind of data, key -> value.
        kinds: kind of data -> what it has besides.
    """

    about: str
    mine: Mapping[str, Any]
    kinds: Mapping[str, Mapping[str, Any]]

    def settings(self, kind: str) -> dict[str, Any]:
        """Key of `[mine]` -> value, for one kind of data."""
        return {**self.mine, **self.kinds.get(kind, {})}


RECIPES: dict[str, Recipe] = {
    "paper": Recipe(
        about="the climb of arXiv 2301.12006, from the sample along the gradient as it is",
        mine={"objective": "l2", "step_rule": "gradient", "start": "sample", "keep": "all"},
        kinds={"text": {"output": "embedding", "carry": "embedding"}},
    ),
    "share": Recipe(
        about="for a data set that students other than this one are trained from",
        mine={},
        kinds={
            "image": {
                "opponent": "fresh",
                "start": "crop",
                "start_options": {"pad": 3},
                "step_rule": "smooth",
                "step_size": 0.3,
                "steps": 3,
            },
            "array": {"opponent": "fresh", "start": "noise"},
            # Sentences are read by any student, shifts of embeddings by those with the same embeddings only.
            "text": {"output": "token"},
        },
    ),
}


def told_recipes() -> str:
    """Every recipe with what it is."""
    return "; ".join(f"{name}: {recipe.about}" for name, recipe in RECIPES.items())


def check_recipe(name: str) -> str:
    """Return `name` unchanged.

    Raises:
        ValueError: there is no such recipe.
    """
    if name in RECIPES:
        return name
    raise ValueError(unknown("recipe", name, tuple(RECIPES)))
