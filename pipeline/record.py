"""A run's config.toml: what was asked for, with every default filled in."""

from __future__ import annotations

from pipeline.storage import Folder
from schemas.config import Config, dump_config

NAME = "config.toml"


def record_config(config: Config) -> None:
    """Write the resolved config into the run's directory; to be called when a stage has succeeded."""
    Folder(config.output).write(NAME, dump_config(config).encode())
