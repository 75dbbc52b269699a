"""Train the teacher that a config names, with labels, on all of its training data.

python examples/train_teacher.py examples/fashion_mnist.toml
"""

from __future__ import annotations

import click

from cli.progress import make_progress
from pipeline.work.teaching import train_teacher
from schemas.config import load_config
from schemas.errors import BpkdError


@click.command(help=__doc__)
@click.argument("config")
@click.option("--epochs", default=8, show_default=True, help="passes over the training data")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="override a key of the config")
def main(config: str, epochs: int, overrides: tuple[str, ...]) -> None:
    try:
        loaded = load_config(config, overrides)
        taught = train_teacher(loaded, epochs=epochs, progress=make_progress(quiet=False))
    except BpkdError as error:
        raise click.ClickException(str(error)) from None
    weights = loaded.locate(str(loaded.teacher.weights))
    click.echo(f"teacher: accuracy {taught.accuracy:.4f}, {taught.weights:,} weights, in {weights}")


if __name__ == "__main__":
    main()
