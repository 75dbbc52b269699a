"""A run's directory as a whole: its config.toml, and throwing away what an earlier run left."""

from __future__ import annotations

import re

from pipeline import layout
from pipeline.shards.artifact import discard
from pipeline.storage import Folder
from schemas.config import Config, dump_config

CONFIG = "config.toml"


def record_config(config: Config) -> None:
    """Write the config, with every default filled in, into the run's directory."""
    Folder(config.output).write(CONFIG, dump_config(config).encode())


def discard_run(run: str) -> None:
    """Remove every artifact of a run, the last first, so that what is left can be taken up.

    Raises:
        UserError: something else lies where an artifact belongs; it is left as it is.
    """
    discard(layout.evaluation(run), "evaluation")
    discard(layout.student(run), "student")
    discard(layout.dataset(run), "dataset")
    discard_rounds(run)
    discard(layout.teacher_logits(run), "teacher-logits")


def discard_rounds(run: str) -> None:
    """Remove the opponents and auxiliary samples of all rounds, also of more rounds than there are now."""
    found = [re.fullmatch(r"round-(\d+)", name) for name in Folder(run).folders()]
    for number in sorted((int(match[1]) for match in found if match), reverse=True):
        discard(layout.auxiliary(run, number), "auxiliary")
        discard(layout.opponent(run, number), "opponent")
        folder = Folder(f"{run}/round-{number:02d}")
        if not folder.names() and not folder.folders():
            folder.remove()
