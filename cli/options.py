"""Options that commands share."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click

from cli.settings import Settings
from schemas.errors import BpkdError

Command = TypeVar("Command", bound=Callable[..., Any])


set_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override a key of the config; paths are relative to CONFIG.",
)
"""Gives the command `overrides`, as `load_config` takes them."""


def common(command: Command) -> Command:
    """Add --quiet and --debug, which `Settings` keeps; the command does not see them."""
    for name, text in (("--debug", "Show the traceback of an error."), ("--quiet", "Show no progress.")):
        command = click.option(name, is_flag=True, expose_value=False, callback=_keep, help=text)(command)
    return command


def _keep(ctx: click.Context, option: click.Parameter, given: bool) -> None:
    if given and option.name:
        setattr(ctx.ensure_object(Settings), option.name, True)


def reads_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command on a config takes.

    The command gets `config` (validated), `progress` and `as_json`.
    """

    @click.argument("path", metavar="CONFIG", type=click.Path())
    @set_option
    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
    @common
    @wraps(command)
    def wrapper(path: str, overrides: tuple[str, ...], **options: Any) -> Any:
        from cli.progress import make_progress
        from schemas.config import load_config

        config = load_config(path, overrides)
        settings = click.get_current_context().ensure_object(Settings)
        try:
            return command(config=config, progress=make_progress(quiet=settings.quiet), **options)
        except BpkdError as error:
            # A command that a message names is then one to copy.
            error.args = (str(error).replace(" CONFIG", f" {_retyped(path, overrides)}"),)
            raise

    return wrapper


def _retyped(path: str, overrides: Sequence[str]) -> str:
    """The config as it was given."""
    return shlex.join([path, *(part for override in overrides for part in ("--set", override))])


def on_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command takes that makes what a config says: besides the above `restart`."""

    @click.option("--restart", is_flag=True, help="Throw away what is there and begin anew.")
    @wraps(command)
    def resumable(restart: bool, **options: Any) -> Any:
        settings = click.get_current_context().ensure_object(Settings)
        settings.restart, settings.resumes = restart, True
        return command(restart=restart, **options)

    return reads_config(resumable)


def example(*lines: str, notes: str = "") -> str:
    """An epilog that ends with an example."""
    text = "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
    return f"{notes}\n\n{text}" if notes else text
