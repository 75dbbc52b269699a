"""`bpkd push` and `bpkd pull`: share a data set, with every file checked."""

from __future__ import annotations

import os

import click

from cli.options import common, example
from cli.results import as_object, print_artifact, print_json
from cli.settings import Settings
from schemas.errors import counted

_NOTES = (
    "Every file is checked against the manifest as it is read, and read back where it went to a remote store. The "
    "manifest comes last, so that nobody sees half a data set; in a repository of the Hugging Face hub "
    "(hf://datasets/NAME/SET) all of it is one commit. What is there already is not sent again: run the same "
    "command again after an interruption."
)


def _transfer(name: str, text: str, source: str, target: str, *examples: str) -> click.Command:
    """One direction.

    Args:
        name: of the command.
        text: help.
        source, target: names of the arguments.
        examples: for the help.
    """

    @click.argument("source", metavar=source)
    @click.argument("target", metavar=target)
    @click.option("--replace", is_flag=True, help=f"Let this one take the place of another that is at {target}.")
    @click.option("--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Files at the same time.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
    @common
    @click.pass_context
    def command(ctx: click.Context, source: str, target: str, replace: bool, jobs: int, as_json: bool) -> None:
        from cli.progress import make_progress
        from pipeline.transfer.copying import transfer

        settings = ctx.ensure_object(Settings)
        settings.resumes = True
        progress = make_progress(quiet=settings.quiet)
        if settings.quiet:
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read when the hub's client is imported
        done = transfer(source, target, jobs=jobs, replace=replace, progress=progress)
        if as_json:
            sent = {"files": done.sent, "bytes": done.sent_bytes}
            kept = {"files": done.kept, "bytes": done.kept_bytes}
            print_json({**as_object(done.manifest, target), "sent": sent, "kept": kept})
        else:
            print_artifact(done.manifest, target)
            click.echo(
                f"  {_files(done.sent, done.sent_bytes)} copied, {_files(done.kept, done.kept_bytes)} there already"
            )

    return click.command(name, help=text, epilog=example(*examples, notes=_NOTES))(command)


def _files(count: int, size: int) -> str:
    from rich.filesize import decimal

    return f"{counted(count, 'file')} ({decimal(size)})"


push = _transfer(
    "push",
    "Copy the data set at DATASET to URL. Any other finished artifact of a run can be pushed, too.",
    "DATASET",
    "URL",
    "bpkd push runs/demo/dataset s3://bucket/digits",
)
pull = _transfer(
    "pull",
    "Copy the data set at URL into the directory DIR. Any other finished artifact of a run can be pulled, too.",
    "URL",
    "DIR",
    "bpkd pull s3://bucket/digits data/digits",
    "bpkd train config.toml --dataset data/digits",
)
