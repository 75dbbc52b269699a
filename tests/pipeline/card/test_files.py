"""A card does not grow with the data set, and holds where little is known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from pipeline.card import CROISSANT, README, Facts, card_files
from pipeline.card.croissant import MAX_LISTED
from pipeline.datasets.classes import ClassCounts
from schemas.dataset import DatasetDetails
from schemas.manifest import FileEntry
from schemas.registry import FORMATS


def facts(format: str = "parquet", shards: int = 2, samples: int = 10, width: int = 3, **changes: Any) -> Facts:
    rows = {"kind": "image", "codec": "fp16", "width": width, "shape": [1, 4, 5], "task": "classification"}
    details = DatasetDetails(
        rows=rows,
        format=format,
        split="train",
        counts={"source": samples * shards, "auxiliary": 0, "rounds": []},
        provenance={"name": "digits"},
    )
    files = [
        FileEntry(path=f"train-{i:05d}.{FORMATS.build(format).suffix}", bytes=100, sha256="0" * 64, samples=samples)
        for i in range(shards)
    ]
    return replace(Facts("9.9", details, files, 0, None, []), **changes)


def front_matter(known: Facts) -> dict[str, Any]:
    head = card_files(known)[README].decode().removeprefix("---\n").split("\n---\n")[0]
    found: dict[str, Any] = yaml.safe_load(head)
    return found


@pytest.mark.parametrize("format", FORMATS.names)
def test_more_shards_than_anyone_reads_are_one_pattern(format: str) -> None:
    few, many = (card_files(facts(format, shards=count)) for count in (MAX_LISTED, MAX_LISTED + 1))
    assert len(many[README]) <= len(few[README]) + 10 and len(many[CROISSANT]) < 10_000
    (only,) = json.loads(many[CROISSANT])["distribution"]
    assert only["@type"] == "cr:FileSet" and only["includes"].startswith("train-*.")
    mlcroissant = pytest.importorskip("mlcroissant")
    mlcroissant.Dataset(json.loads(many[CROISSANT]))


def test_more_classes_than_anyone_reads_are_counted_together() -> None:
    counts = [ClassCounts(index, f"c{index}", 0, index, 0) for index in range(200)]
    card = card_files(facts(classes=counts))[README].decode()
    assert "| c199 | 0 | 199 | 0 |" in card and "| c149 |" not in card and "| 150 more, with fewer samples |" in card


@pytest.mark.parametrize(
    ("samples", "category"),
    [(999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**9, "1B<n<10B"), (10**12, "n>1T")],
)
def test_size_categories_of_the_hub(samples: int, category: str) -> None:
    assert front_matter(facts(shards=1, samples=samples))["size_categories"] == [category]


def test_a_name_is_shown_as_it_is() -> None:
    known, classes = facts(), ["a\n---\nb", "yes", "1"]
    rows = known.details.rows.model_copy(update={"class_names": classes})
    known = replace(known, details=known.details.model_copy(update={"rows": rows}))
    known.details.provenance["name"] = name = 'no: "x" # *y*\n---\nlicense: mit'
    assert front_matter(known)["pretty_name"] == " ".join(name.split())
    assert front_matter(known)["license"] == "unknown"
    assert '\n# no\\: "x" # \\*y\\* --- license\\: mit\n' in card_files(known)[README].decode()
    label = next(one for one in front_matter(known)["dataset_info"]["features"] if one["name"] == "label")
    assert list(label["dtype"]["class_label"]["names"].values()) == classes


def test_the_same_bytes_for_the_same_facts() -> None:
    assert card_files(facts()) == card_files(facts())
