"""Versions of a run side by side in one directory, and the one that was finished last."""

from __future__ import annotations

import json
import re

from pipeline.storage import Folder

VERSION_NAME = re.compile(r"v\d{3,}")
LATEST = "latest.json"
_LARGEST = 10_000
"""Bytes of it that are read."""


def versions(root: Folder) -> list[str]:
    """Names of all versions in a directory, the oldest first."""
    return sorted((name for name in root.folders() if VERSION_NAME.fullmatch(name)), key=lambda name: int(name[1:]))


def latest(root: Folder) -> str | None:
    """Name of the version that the last run has finished, or found up to date; None where no file says so."""
    try:
        name = json.loads(root.read(LATEST))["version"] if root.size(LATEST) <= _LARGEST else None
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None
    return name if isinstance(name, str) and VERSION_NAME.fullmatch(name) else None


def advised(root: Folder, part: str = "") -> str | None:
    """What to say of a directory of versions where it was named instead of one of them; None of any other directory.

    Args:
        root: the directory.
        part: of a version that should have been named, such as "/dataset".
    """
    if (name := latest(root)) is not None:
        return f"holds versions of a run; of the last finished one name {root.url}/{name}{part}"
    if kept := versions(root):
        return f"holds versions of a run, none of them finished; of the last name {root.url}/{kept[-1]}{part}"
    return None
