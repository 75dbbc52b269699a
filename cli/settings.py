"""What holds for every command, given before or after its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    """Attributes: debug: show tracebacks; quiet: no progress."""

    debug: bool = False
    quiet: bool = False
