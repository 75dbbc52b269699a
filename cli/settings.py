"""What holds for every command, given before or after its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    """How this call behaves.

    Attributes:
        debug: show the traceback of an error.
        quiet: show no progress.
        restart: what was there is thrown away.
        resumes: given again after an interruption, the command goes on where it stopped.
    """

    debug: bool = False
    quiet: bool = False
    restart: bool = False
    resumes: bool = False
