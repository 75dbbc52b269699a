"""Where `hf:NAME` is: a directory, an installed package, or the Hugging Face hub."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.models.messages import one_line
from schemas.errors import UserError

HF_PREFIX = "hf:"
MODEL_FILE = "config.json"
_PACKAGE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_REPOSITORY_TIMEOUT = 10  # seconds
_log = logging.getLogger("bpkd.models")

Found = TypeVar("Found")


@dataclass(frozen=True)
class Place:
    """Where a pretrained model lies.

    Attributes:
        name: an absolute directory, or a repository of the hub.
        local: whether it is a directory.
        where: the setting that named it, for messages.
        folder: the directory that was looked for.
    """

    name: str
    local: bool
    where: str
    folder: Path

    def load(self, function: Callable[..., Found], **options: Any) -> Found:
        """Call one of transformers' `from_pretrained` on this place: no code of it runs, nothing reaches the terminal.

        What the hub's cache holds is taken from there, without asking the hub.

        Raises:
            UserError: transformers cannot load it, or it is a repository that is not cached and cannot be reached.
        """
        options = {"trust_remote_code": False, **options}
        with quiet():
            try:
                return function(self.name, local_files_only=True, **options)
            except Exception as error:
                if self.local or not isinstance(error, OSError):
                    raise UserError(f"{self.where}: {self.name}: {_reason(error)}") from error
            self._require_on_the_hub()
            _log.warning("%s: fetching %s from the hub", self.where, self.name)
            try:
                return function(self.name, **options)
            except Exception as error:
                raise UserError(f"{self.where}: {self.name}: {_reason(error)}") from error

    def _require_on_the_hub(self) -> None:
        """Ask once: transformers would try again for half a minute."""
        from huggingface_hub import HfApi

        try:
            HfApi().model_info(self.name, timeout=_REPOSITORY_TIMEOUT)
        except Exception as error:
            raise UserError(
                f"{self.where}: no directory {self.folder}, no installed package of that name with a model, not in the "
                f"hub's cache; and on the hub: {one_line(error)}"
            ) from error


def find_place(name: str, locate: Callable[[str], str], where: str, *, files: Sequence[str] = (MODEL_FILE,)) -> Place:
    """Look for `hf:NAME`.

    In turn: a directory with one of `files`; an installed package with one in its folder, in a folder directly in that,
    or where its `get_model_path()` says; a name on the hub.

    Args:
        name: without the prefix.
        locate: makes a path of the config absolute.
        where: the setting, for messages.
        files: names, any of which a directory must have.

    Raises:
        UserError: transformers is not installed, or it can be none of these.
    """
    if importlib.util.find_spec("transformers") is None:
        raise UserError(f"{where}: needs transformers; pip install 'bpkd[text]'")
    folder = Path(locate(name))
    if _has(folder, files):
        return Place(str(folder), True, where, folder)
    packaged = _in_package(name, where, files) if _PACKAGE.fullmatch(name) else None
    if packaged is not None:
        return Place(str(packaged), True, where, folder)
    if _REPOSITORY.fullmatch(name) is None or folder.is_dir():
        found = f"{folder} has no {' or '.join(files)}" if folder.is_dir() else f"no directory {folder}"
        raise UserError(f"{where}: {found}; give a directory that transformers saved, a package or a name on the hub")
    return Place(name, False, where, folder)


def _in_package(name: str, where: str, files: Sequence[str]) -> Path | None:
    module = name.replace("-", "_")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    for location in map(Path, spec.submodule_search_locations):
        for folder in (location, *sorted(location.iterdir())) if location.is_dir() else ():
            if _has(folder, files):
                return folder
    try:
        get = getattr(importlib.import_module(module), "get_model_path", None)
        told = Path(str(get())) if callable(get) else None
    except Exception as error:
        raise UserError(f"{where}: the package {module} does not tell its model: {one_line(error)}") from error
    return told if told is not None and _has(told, files) else None


def _has(folder: Path, files: Sequence[str]) -> bool:
    return any((folder / name).is_file() for name in files)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and advice of transformers and of the hub off the terminal."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from huggingface_hub.utils import logging as hub
    from transformers.utils import logging as transformers

    levels, bars = (transformers.get_verbosity(), hub.get_verbosity()), transformers.is_progress_bar_enabled()
    hub_bars = not are_progress_bars_disabled()
    transformers.set_verbosity(logging.CRITICAL)
    hub.set_verbosity(logging.CRITICAL)
    transformers.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        transformers.set_verbosity(levels[0])
        hub.set_verbosity(levels[1])
        if bars:
            transformers.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()


def _reason(error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "brings its own code, which is not run; take a model of a family that transformers knows"
    if "Unrecognized configuration class" in str(error):
        return "is of a family that has no text classifier in transformers; take an encoder such as BERT"
    return one_line(error)
