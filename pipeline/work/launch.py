"""What torchrun and `accelerate launch` tell a process: that it is one of several, and which. Imports nothing heavy."""

from __future__ import annotations

import os


def world_size() -> int:
    """How many processes were started together; 1 for a process that was started alone."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def rank() -> int:
    """Which of them this is, from 0; rank 0 is the one that writes and speaks."""
    return int(os.environ["RANK"]) if world_size() > 1 else 0


def local_rank() -> int:
    """Which of those on this machine it is, from 0."""
    return int(os.environ.get("LOCAL_RANK", 0)) if world_size() > 1 else 0


def local_world_size() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world_size())) if world_size() > 1 else 1


class RankError(Exception):
    """An error that this rank met and rank 0 did not; `__cause__` is the error."""


class ElsewhereError(Exception):
    """Another rank met an error, which it tells itself.

    Attributes:
        exit_code: of that error.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
