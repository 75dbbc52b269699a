"""Packages that take a second to import, for modules that are also used where nothing of them is needed.

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class lazy:
    """A module that is imported when something of it is first used.

    Args:
        name: of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
