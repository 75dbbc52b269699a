"""Train the teacher that a config names, with labels, on all of its training data.

python examples/train_teacher.py examples/fashion_mnist.toml
python examples/train_teacher.py examples/movie_sentences.toml --epochs 2 --lr 5e-5 --batch-size 32
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
@click.option("--lr", default=2e-3, show_default=True, help="peak learning rate; about 2e-5 to 5e-5 for transformers")
@click.option("--batch-size", default=128, show_default=True, help="samples in one step")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="override a key of the config")
def main(config: str, epochs: int, lr: float, batch_size: int, overrides: tuple[str, ...]) -> None:
    try:
        loaded = load_config(config, overrides)
        progress = make_progress(quiet=False)
        taught = train_teacher(loaded, epochs=epochs, lr=lr, batch_size=batch_size, progress=progress)
    except BpkdError as error:
        raise click.ClickException(str(error)) from None
    weights = loaded.locate(str(loaded.teacher.weights))
    figures = ", ".join(f"{name} {value:.4f}" for name, value in taught.figures.items())
    click.echo(f"teacher: {figures}, {taught.weights:,} weights, in {weights}")


if __name__ == "__main__":
    main()
