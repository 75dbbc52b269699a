"""The config file: TOML in, validated `Config` out, every mistake named by file and key path."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import PrivateAttr, ValidationError, model_validator

from schemas.errors import UserError, clipped
from schemas.explain import explain
from schemas.fits import check_budget, check_kind, check_opponent, check_task
from schemas.recipes import RECIPES
from schemas.sections import (
    CacheConfig,
    DataConfig,
    ExportConfig,
    MineConfig,
    ModelConfig,
    RunConfig,
    Section,
    TrainConfig,
)
from schemas.urls import shown

_MAX_DEPTH = 32

_TEXT: list[tuple[str, str, Any]] = [
    # A tar spends some kB on the headers of each sample.
    ("export", "format", "parquet"),
    ("mine", "output", "token"),
    ("mine", "step_rule", "sentence"),
    ("mine", "step_size", 0.6),
    ("train", "lr", 2e-4),
    ("train", "batch_size", 32),
    ("train", "weight_decay", 0.01),
]
"""Defaults of text where they differ from those of other kinds; benchmarks/few_sample_text.py measures them."""


class Config(Section):
    """One run, fully resolved. Paths stay as the user wrote them; `locate` makes them absolute."""

    run: RunConfig
    data: DataConfig
    teacher: ModelConfig
    student: ModelConfig
    cache: CacheConfig = CacheConfig()
    mine: MineConfig = MineConfig()
    export: ExportConfig = ExportConfig()
    train: TrainConfig = TrainConfig.model_validate({})

    _root: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_data(cls, values: Any) -> Any:
        """Fill what depends on the data, its kind and its task; and the model of a student of the teacher's layers."""
        if not isinstance(values, dict) or not isinstance(data := values.get("data", {}), dict):
            return values
        defaults: list[tuple[str, str, Any]] = [
            ("train", "loss", "mse" if data.get("task") == "regression" else "kl"),
            *(_TEXT if data.get("kind") == "text" else [("mine", "output", "input")]),
        ]
        for section, key, default in [*_of_recipe(values), *defaults]:
            values = _filled(values, section, key, default)
        if isinstance(mine := values.get("mine"), dict) and mine.get("opponent") == "fresh":
            values = _filled(values, "train", "init", "fresh")
        if data.get("kind") == "text" and isinstance(mine := values["mine"], dict):
            # Words are looked for near a word itself; near the end of a climb costs twice as much, for as good ones.
            values = _filled(values, "mine", "steps", 0 if mine.get("output") == "token" else 2)
        return _student_of_teacher(values)

    @model_validator(mode="after")
    def _fits(self) -> Config:
        check_task(self.data, self.mine, self.train)
        check_kind(self.data, self.mine, self.train)
        check_opponent(self.mine, self.train)
        check_budget(self.run, self.train)
        return self

    def locate(self, path: str) -> str:
        """An absolute path or URL for `path`, which is relative to the config file unless it is a URL."""
        if "://" in path or "::" in path:
            return path
        local = Path(os.path.expanduser(path))
        return str(local if local.is_absolute() else (self._root / local).resolve())

    @property
    def output(self) -> str:
        """URL of the run's directory."""
        return self.locate(self.run.output)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read and validate a config file.

    Args:
        path: a TOML file.
        overrides: `section.key=value` strings; the value is TOML, or else a plain string.

    Raises:
        UserError: the file is missing or not TOML, a key is unknown or a value is wrong.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such config file; `bpkd init` writes one") from None
    except IsADirectoryError:
        inner = path / "config.toml"
        raise UserError(f"{path} is a directory; name {inner if inner.exists() else 'a config file'}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of numbers with thousands of digits
        raise UserError(f"{path}: not valid TOML: {clipped(str(error), 300)}") from None
    _make_room(values, overrides)
    for override in overrides:
        _apply(values, override)
    origin = f"{path} with --set {' --set '.join(map(clipped, overrides))}" if overrides else str(path)
    return parse_config(values, root=path.resolve().parent, origin=origin)


def parse_config(values: Mapping[str, Any], root: Path | None = None, origin: str = "config") -> Config:
    """Validate a nested mapping; relative paths are relative to `root`.

    Raises:
        UserError: one line that names `origin`, the key path, what it got and what it takes.
    """
    if _is_deep(values):
        raise UserError(f"{origin}: tables and lists within each other more than {_MAX_DEPTH} deep")
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{origin}: {explain(error, Config)}") from None
    if root is not None:
        config._root = root
    return config


def dump_config(config: Config) -> str:
    """The config as TOML with every default filled in, local paths made absolute and secrets in URLs masked."""
    values = config.model_dump(exclude_none=True)
    values["run"]["output"] = shown(config.output)
    if config.run.base is not None:
        values["run"]["base"] = shown(config.locate(config.run.base))
    options = values["run"]["runner_options"]
    values["run"]["runner_options"] = {
        name: shown(value) if isinstance(value, str) else value for name, value in options.items()
    }
    for key in ("train", "eval"):
        given = values["data"].get(key)
        if given is not None:
            located = [shown(config.locate(item)) for item in ([given] if isinstance(given, str) else given)]
            values["data"][key] = located[0] if isinstance(given, str) else located
    for section in ("teacher", "student"):
        model = values[section]
        if model.get("weights"):
            model["weights"] = shown(config.locate(model["weights"]))
        for key in ("factory", "tokenizer"):
            if model.get(key):
                model[key] = _located(model[key], config)
    return tomlkit.dumps(values)


def _located(name: str, config: Config) -> str:
    """A factory with an absolute path, where it is in a file or a directory."""
    file, colon, attribute = name.rpartition(":")
    if colon and file.endswith(".py"):
        return f"{config.locate(file)}:{attribute}"
    if file == "hf" and Path(config.locate(attribute)).is_dir():
        return f"hf:{config.locate(attribute)}"
    return name


def _of_recipe(values: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """What the config's recipe sets, as (section, key, value)."""
    mine, kind = values.get("mine"), values.get("data", {}).get("kind", "image")
    if not (isinstance(mine, dict) and isinstance(name := mine.get("recipe"), str) and (found := RECIPES.get(name))):
        return []
    settings = found.settings(kind)
    # Options belong to a name: they go where the config has another one.
    other = {
        options
        for name, options in (("start", "start_options"), ("step_rule", "step_options"))
        if mine.get(name) not in (None, settings.get(name))
    }
    return [("mine", key, value) for key, value in settings.items() if key not in other]


def _filled(values: dict[str, Any], section: str, key: str, default: Any) -> dict[str, Any]:
    """`values` with a default for a key that is left out."""
    found = values.get(section, {})
    if not isinstance(found, dict) or found.get(key) is not None:
        return values
    return {**values, section: {**found, key: default}}


def _student_of_teacher(values: dict[str, Any]) -> dict[str, Any]:
    """`values` with the teacher's model for a student that names `layers` and no model of its own."""
    teacher, student = values.get("teacher"), values.get("student")
    if not (isinstance(teacher, dict) and isinstance(student, dict)) or "layers" not in student or "factory" in student:
        return values
    return {**values, "student": {**teacher, **student}}


def _is_deep(values: Any) -> bool:
    """Whether a config is nested deeper than anything that validates or writes it could follow."""
    level = [values]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, Mapping | list)
            for inner in (value.values() if isinstance(value, Mapping) else value)
        ]
    return bool(level)


def _make_room(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Leave out the budget of the file where another one is given instead, as train.steps for train.epochs."""
    given = {override.partition("=")[0].strip() for override in overrides}
    train = values.get("train")
    for key, other in (("steps", "epochs"), ("epochs", "steps")):
        if f"train.{key}" in given and isinstance(train, dict):
            train.pop(other, None)


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts, given = key.strip().split("."), clipped(override)
    if not equals or not all(parts):
        raise UserError(f"--set {given}: takes SECTION.KEY=VALUE, for example --set mine.steps=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()
    node = values
    for part in parts[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise UserError(f"--set {given}: {part!r} is a value, not a section")
    node[parts[-1]] = value
