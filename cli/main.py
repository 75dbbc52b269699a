"""The `bpkd` command: its subcommands, and what becomes of errors."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from threading import Thread
from typing import NoReturn

import click

from cli.interrupts import end_children, signals_as_interrupt
from cli.lazy import LazyGroup
from cli.options import common
from cli.ranks import only_train, quiet_but_first
from cli.settings import Settings
from pipeline.interrupts import end_reason
from pipeline.work.launch import ElsewhereError, RankError, local_rank, rank, world_size
from schemas.errors import BpkdError
from schemas.urls import shown

COMMANDS = {
    "init": ("cli.commands.init:init", "Write a commented starter config."),
    "plan": ("cli.commands.plan:plan", "Tell what a run takes, before it runs."),
    "run": ("cli.commands.run:run", "Do all of it: cache, mine, export, train, evaluate."),
    "cache": ("cli.commands.stages:cache", "Store the teacher's logits of every source sample."),
    "mine": ("cli.commands.stages:mine", "Climb to auxiliary samples, round by round."),
    "export": ("cli.commands.stages:export", "Write the data set that can be shared."),
    "train": ("cli.commands.stages:train", "Train the student from a data set alone."),
    "evaluate": ("cli.commands.stages:evaluate", "Measure the student on held-out data."),
    "report": ("cli.commands.report:report", "Show what a run made, as one HTML page."),
    "verify": ("cli.commands.verify:verify", "Check every byte and every sample of an artifact."),
    "inspect": ("cli.commands.inspect:inspect", "Show what is in a data set."),
    "push": ("cli.commands.transfer:push", "Copy a data set to a URL, every file checked."),
    "pull": ("cli.commands.transfer:pull", "Copy a data set from a URL, every file checked."),
    "deploy": ("cli.commands.deploy:deploy", "Register a scheduled Prefect deployment of a run."),
    "demo": ("cli.commands.demo:demo", "See it work on real bundled data."),
}

INTERRUPTED = 130
PARTING = 10
"""Seconds from the end of a command to that of its process, at most."""

# How long an OpenMP thread spins before it sleeps, read when torch is imported. GNU's own limit lets the threads of a
# small net spin against whatever else the machine does, which costs it most of its speed; this one costs nothing
# where the cores are free.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
if world_size() > 1:
    # What torch's own code in C++ warns of between ranks says nothing to a user.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


@click.command(
    cls=LazyGroup,
    lazy=COMMANDS,
    invoke_without_command=True,
    epilog="\b\nExample:\n  bpkd init config.toml\n  bpkd run config.toml",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="bpkd")
@common
@click.pass_context
def bpkd(ctx: click.Context) -> None:
    """Distil a large teacher into a small student, with samples mined where the two disagree."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    else:
        only_train(ctx.invoked_subcommand)


def main(
    arguments: Sequence[str] | None = None,
    *,
    settings: Settings | None = None,
    leave: Callable[[], NoReturn] | None = None,
) -> int:
    """Run a command.

    Args:
        arguments: by default those of this process.
        settings: receives how this call behaves.
        leave: ends the process where an interrupt does not end the command in time.

    Returns:
        The exit code: 0 done, 1 failed, 2 the user's input is wrong, 130 interrupted.
    """
    settings = settings or Settings()
    with signals_as_interrupt(leave) as interrupted, quiet_but_first():
        try:
            code = bpkd.main(arguments, prog_name="bpkd", standalone_mode=False, obj=settings)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of stdout has gone; Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except BaseException as error:
            # Some libraries make another error of an interrupt, for one that comes while they are imported.
            return _failed(_interrupt() if interrupted.is_set() else error, settings)
    return code if isinstance(code, int) else 0


def _failed(error: BaseException, settings: Settings) -> int:
    """Say what went wrong in one line, unless another rank says it; returns the exit code."""
    if isinstance(error, ElsewhereError):
        return error.exit_code
    own = isinstance(error, RankError)
    line, code = _told((error.__cause__ if own else None) or error, settings)
    # Before ranks have met, each has the errors of all others on its machine.
    if own or rank() == 0 or (local_rank() == 0 and code != INTERRUPTED):
        if settings.debug:
            click.echo(shown(traceback.format_exc()), err=True)
        click.echo(shown(" ".join([*([f"rank {rank()}:"] if rank() else []), *line.split()])), err=True)
    return code


def _told(error: BaseException, settings: Settings) -> tuple[str, int]:
    """(what to say of an error, exit code)."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        but = " but without --restart" if settings.restart else ""
        how = f"; run the same command again{but} to resume" if settings.resumes else ""
        return f"interrupted{how}", INTERRUPTED
    if isinstance(error, click.UsageError):
        help_ = f"; see {error.ctx.command_path} --help" if error.ctx else ""
        return f"error: {error.format_message().rstrip('.')}{help_}", error.exit_code
    if isinstance(error, click.ClickException):
        return f"error: {error.format_message()}", error.exit_code
    if isinstance(error, BpkdError):
        return f"error: {error}", error.exit_code
    if isinstance(error, Exception):
        hint = "" if settings.debug else "; run again with --debug for the traceback"
        return f"error: {type(error).__name__}: {error}{hint}", 1
    raise error


def entry() -> NoReturn:
    """Run a command and end this process with its exit code."""
    settings = Settings()

    def leave() -> NoReturn:
        _end(_failed(_interrupt(), settings))

    code = main(settings=settings, leave=leave)
    if code == INTERRUPTED or end_reason():
        _end(code)
    # What Prefect has left to tell a server that does not listen must not hold the process.
    Thread(target=_end, args=[code, PARTING], daemon=True).start()
    sys.exit(code)


def _interrupt() -> BaseException:
    """What ended the work from outside."""
    return end_reason() or KeyboardInterrupt()


def _end(code: int, after: float = 0) -> NoReturn:
    """End without waiting for threads: some are in the middle of a shard, Prefect's tell a server what happened."""
    time.sleep(after)
    end_children()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()
