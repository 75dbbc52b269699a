"""Which settings change nothing in what a run makes, however they are set."""

from __future__ import annotations

from collections.abc import Mapping

ANYWAY: Mapping[str, frozenset[str]] = {
    "run": frozenset(
        {"name", "output", "device", "runner", "runner_options", "workers", "base", "versions", "disk_cache"}
    ),
    "train": frozenset({"checkpoint_every", "tensorboard"}),
}
"""Section -> keys: names and places, how the work is shared out, and what is kept or drawn besides."""

DESCRIPTION: Mapping[str, frozenset[str]] = {"data": frozenset({"license", "homepage", "citation"})}
"""Section -> keys that change what a data set says of itself, and no sample."""
