"""`bpkd init`: a config to start from."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import common, example
from cli.results import print_json
from schemas.errors import UserError
from schemas.starter import KINDS, starter


@click.command(epilog=example("bpkd init config.toml", "bpkd init reviews.toml --kind text"))
@click.argument("path", type=click.Path(path_type=Path), default=Path("config.toml"))
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="Kind of data.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@common
def init(path: Path, kind: str, force: bool, as_json: bool) -> None:
    """Write a commented starter config to PATH (config.toml)."""
    from pipeline.storage.faults import tried

    if path.is_dir():
        raise UserError(f"{path} is a directory; name the file to write, such as {path / 'config.toml'}")
    tried(str(path), "written", lambda: _write(path, starter(kind), force), remote=False)
    if as_json:
        print_json({"path": str(path), "kind": kind})
    else:
        click.echo(path)


def _write(path: Path, text: str, force: bool) -> None:
    from pipeline.storage.local import make_folder

    make_folder(str(path.absolute().parent))
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path} is there already; --force replaces it") from None
