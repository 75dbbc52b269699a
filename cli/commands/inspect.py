"""`bpkd inspect`: what is in a data set, or in one of its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.options import common, example
from cli.results import print_json
from cli.settings import Settings
from schemas.urls import shown

if TYPE_CHECKING:
    from pipeline.datasets.classes import ClassCounts
    from pipeline.datasets.sample import Sample
    from pipeline.datasets.summary import Summary


@click.command(
    epilog=example(
        "bpkd inspect runs/demo/dataset",
        "bpkd inspect s3://bucket/digits --fast",
        "bpkd inspect data/digits --sample 00017+r02 --save /tmp",
        notes="Counting by class reads labels and logits of a Parquet data set, and all of a WebDataset one. Nothing "
        "but the columns that are read is checked; `bpkd verify` checks all.",
    )
)
@click.argument("url", metavar="DATASET")
@click.option("--fast", is_flag=True, help="Do not count by class; reads nothing but the manifest.")
@click.option("--sample", "key", metavar="KEY", help="Show the sample with this key.")
@click.option("--save", metavar="DIR", help="With --sample: write its files, such as a PNG, and its parent's there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@common
@click.pass_context
def inspect(ctx: click.Context, url: str, fast: bool, key: str | None, save: str | None, as_json: bool) -> None:
    """Show what is in the data set at DATASET, a directory or a URL."""
    if key is None and save is not None:
        raise click.UsageError("--save goes with --sample KEY")
    if key is not None and fast:
        raise click.UsageError("--fast counts no classes, of which --sample shows none")
    from cli.progress import make_progress
    from cli.show_image import print_images, shows_images
    from cli.show_sample import print_sample
    from cli.show_summary import print_summary
    from pipeline.datasets import open_dataset
    from pipeline.datasets.sample import find_family, save_sample
    from pipeline.datasets.summary import count_classes, summarize
    from pipeline.storage import Folder

    progress = make_progress(quiet=ctx.ensure_object(Settings).quiet)
    dataset = open_dataset(url)
    if save is not None:
        Folder(save).refuse_file()
    if key is not None:
        drawn = not as_json and dataset.rows.kind == "image" and shows_images()
        family = find_family(dataset, key, parent=drawn or save is not None, progress=progress)
        saved = [shown(path) for sample in family if save is not None for path in save_sample(sample, save)]
        _sample_json(family[0], saved) if as_json else print_sample(family[0], saved)
        if drawn:
            print_images(family)
        elif not as_json and save is None and "png" in family[0].files:
            click.echo("--save DIR writes the image")
        return
    counts = None if fast else count_classes(dataset, progress)
    _summary_json(summarize(dataset), counts) if as_json else print_summary(summarize(dataset), counts)


def _summary_json(summary: Summary, counts: list[ClassCounts] | None) -> None:
    from dataclasses import asdict

    rounds = [round_.model_dump() for round_ in summary.rounds]
    embeddings = summary.embeddings.model_dump() if summary.embeddings else None
    by_class = None if counts is None else [asdict(count) for count in counts]
    found = {**asdict(summary), "url": shown(summary.url), "rounds": rounds, "embeddings": embeddings}
    print_json({**found, "by_class": by_class})


def _sample_json(sample: Sample, saved: list[str]) -> None:
    from dataclasses import asdict

    files = {extension: len(data) for extension, data in sample.files.items()}
    compared = sample.compared
    changes = None
    if compared is not None:
        changes = [[asdict(piece) for piece in pieces if piece.changed] for pieces in compared]
    print_json({**asdict(sample), "files": files, "changes": changes, "saved": saved})
