"""What lies beside the shards of an exported data set: the same bytes each time, true, and read by other programs."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from pipeline.artifacts.artifact import read_manifest
from pipeline.datasets import open_dataset
from pipeline.datasets.classes import ClassCounts
from pipeline.datasets.summary import count_classes
from pipeline.stages import cache, export, mine, train
from pipeline.transfer.copying import transfer
from pipeline.verify import verify
from schemas.config import Config
from schemas.errors import UserError
from schemas.registry import FORMATS

CARD = {"README.md", "croissant.json", "examples.png"}
KINDS = ["images", "few classes", "numbers", "texts", "pairs", "shifts", "int8"]


def made(config: Config) -> Path:
    """The data set of a run."""
    cache(config), mine(config), export(config)
    return Path(config.output, "dataset")


@pytest.fixture
def kinds(configure: Any, text_config: Any, tmp_path: Path) -> Callable[..., Config]:
    """A function (kind, **sections) -> config of a tiny run on such data."""

    def build(kind: str, **sections: dict[str, Any]) -> Config:
        names = {"classes": ["a|b", "*c*", "<d>"]}
        if kind == "images":
            return configure(data=names, **sections)
        if kind == "few classes":
            return configure(data=names, cache={"codec": "topk", "codec_options": {"k": 2}}, **sections)
        if kind == "numbers":
            x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
            np.savez(tmp_path / "data.npz", x=x, y=x[:, :2])
            net = {"factory": "zoo:mlp", "kwargs": {"hidden": [8]}, "weights": None}
            data = {"kind": "array", "task": "regression", "train": "data.npz", "eval": None, "classes": None}
            return configure(data=data, teacher=net, student=net, **sections)
        names = {"classes": ["dull", "fine"]}
        if kind == "texts":
            return text_config(data=names, mine={"output": "token"}, **sections)
        delta = "fp16" if kind == "shifts" else "int8"
        mining = {"output": "token"} if kind == "pairs" else {"delta": delta}
        return text_config(pair=kind == "pairs", data=names, mine=mining, **sections)

    return build


def front_matter(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text().split("\n---\n")[0].removeprefix("---"))
    return found


# --- An artifact like any other ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS.names)
def test_a_part_of_the_data_set(configure: Any, tmp_path: Path, format: str) -> None:
    folder = made(configure(export={"format": format}))
    manifest = read_manifest(str(folder), None)
    assert {file.path for file in manifest.files if not file.samples} == CARD
    sent = transfer(str(folder), f"memory://{tmp_path.name}/set")
    transfer(sent.url, f"{tmp_path}/copy")
    for name in CARD:
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()
    (folder / "README.md").write_bytes((folder / "README.md").read_bytes().replace(b"teacher", b"trainer", 1))
    (problem,) = verify(str(folder)).problems
    assert problem.file == "README.md"


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_bytes_each_time_and_from_any_workers(configure: Any, files: Any, workers: int) -> None:
    first, again = configure(), configure(run={"output": "again", "workers": workers})
    assert files(str(made(first))) == files(str(made(again)))


def test_what_is_said_of_the_source_counts(configure: Any) -> None:
    """A data set with another licence is another one; the samples are the same."""
    folder = made(configure())
    assert front_matter(folder)["license"] == "unknown" and "Licence of the source: unknown" in text(folder)
    said = {"license": "CC-BY-4.0", "homepage": "https://example.org/x", "citation": "@misc{x,\n title={```X}\n}"}
    config = configure(data=said)
    with pytest.raises(UserError, match=r"about.*--restart"):
        export(config)
    assert cache(config).samples == 40, "neither the teacher's outputs nor what was mined depend on it"
    assert mine(config)[0].samples == 40
    before = {file.path: file.sha256 for file in read_manifest(str(folder), None).files if file.samples}
    after = export(config, restart=True)
    assert before == {file.path: file.sha256 for file in after.files if file.samples}
    assert {name: after.details["provenance"][name] for name in said} == said
    assert front_matter(folder)["license"] == "cc-by-4.0" and "unknown" not in text(folder)
    assert "Source: <https://example.org/x>" in text(folder)
    assert "````\n@misc{x,\n title={```X}\n}\n````" in text(folder)


def text(folder: Path) -> str:
    return (folder / "README.md").read_text()


# --- What it says is true ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        ({}, ["the student was trained on all samples so far", "from every sample", "mined against one student."]),
        ({"start": "noise"}, ["from a random variation (`noise`) of every sample"]),
        ({"opponent": "fresh"}, ["a student with new weights was trained", "against students of one architecture,"]),
    ],
    ids=["the student", "noise", "fresh"],
)
def test_it_says_how_the_samples_were_mined(kinds: Any, mine: dict[str, str], said: list[str]) -> None:
    shown = " ".join(text(made(kinds("images", run={"rounds": 1}, mine=mine))).split())
    assert all(part in shown for part in said)


@pytest.mark.parametrize("format", FORMATS.names)
@pytest.mark.parametrize("include", [True, False], ids=["all", "auxiliary"])
def test_counts_are_those_of_the_samples(kinds: Any, format: str, include: bool) -> None:
    folder = made(kinds("images", export={"format": format, "include_source": include, "shard_size": 9}))
    tables = [part.table() for part in open_dataset(str(folder)).parts]
    data = pl.concat([pl.DataFrame(pl.from_arrow(table)) for table in tables])
    assert f"\n{data.height} samples to distil" in text(folder)
    assert f"| source | {40 if include else 0} |" in text(folder)
    for number in (1, 2):
        these = data.filter(pl.col("round") == number)
        gaps = [f"{these[name].cast(pl.Float64).mean():.4g} (" for name in ("gap_before", "gap_after")]
        line = re.search(rf"^\| auxiliary, round {number} \| 40 \| (.*) \| (.*) \|$", text(folder), re.MULTILINE)
        assert line and all(cell.startswith(gap) for cell, gap in zip(line.groups(), gaps, strict=True))
    wanted = count_classes(open_dataset(str(folder)))
    shown = re.findall(r"^\| (a\\\|b|\\\*c\\\*|&lt;d&gt;) \| (\d+) \| (\d+) \| (\d+) \|$", text(folder), re.MULTILINE)
    assert [tuple(map(int, counts)) for _, *counts in shown] == [counts(one) for one in wanted]
    assert sum(sum(counts(one)[1:]) for one in wanted) == data.height


def counts(one: ClassCounts) -> tuple[int, int, int]:
    return one.labelled, one.source, one.auxiliary


@pytest.mark.parametrize(
    ("objective", "said"), [("l2", "how far the outputs of teacher and student are apart"), ("student", "how unsure")]
)
def test_what_the_gap_is(configure: Any, objective: str, said: str) -> None:
    assert f"The gap is {said}" in text(made(configure(run={"rounds": 1}, mine={"objective": objective})))


def test_the_sheet_shows_parents_auxiliary_samples_and_what_has_changed(configure: Any) -> None:
    folder = made(configure(export={"format": "parquet"}))
    stored = {row["key"]: pixels(row["image"]["bytes"]) for row in rows(folder)}
    keys = re.findall(r"^\| `(\S+)` \| \d \|", text(folder), re.MULTILINE)
    assert len(keys) == 8 and {key[-3:] for key in keys} == {"r01", "r02"}
    sheet = pixels((folder / "examples.png").read_bytes())[..., 0]
    for place, key in enumerate(keys):
        line = sheet[place * 100 :][:96]
        tiles = [line[6::12, start + 6 : start + 96 : 12] for start in (0, 100, 200)]
        parent, sample = stored[key.partition("+")[0]], stored[key]
        assert (tiles[0] == parent).all() and (tiles[1] == sample).all()
        assert (tiles[2] == np.clip((sample.astype(int) - parent) // 2 + 128, 0, 255)).all()


def test_without_the_source_nothing_of_it_is_shown(configure: Any) -> None:
    """A parent would be a sample of the source, and so would a difference beside an auxiliary sample."""
    folder = made(configure(export={"format": "parquet", "include_source": False}))
    assert {row["origin"] for row in rows(folder)} == {"auxiliary"}
    assert pixels((folder / "examples.png").read_bytes()).shape[1] == 96
    assert "not in here" in text(folder) and "parent, auxiliary" not in text(folder)
    assert "though the source's own samples are left out" in text(folder)


@pytest.mark.parametrize("include", [True, False], ids=["all", "auxiliary"])
def test_sentences_beside_their_parents(kinds: Any, include: bool) -> None:
    folder = made(kinds("texts", export={"include_source": include}))
    assert not (folder / "examples.png").exists()
    sentences = {row["key"]: row["text"] for row in rows(folder)}
    lines = re.findall(r"^\| ([^|]*) \| (?:([^|]*) \| )?1 \| \S+ → \S+ \| (.*) \|$", text(folder), re.MULTILINE)
    assert len(lines) == 8
    mined = [(row["parent_key"], row["text"]) for row in rows(folder) if row["parent_key"]]
    shown = [(parent, sample) if include else (None, parent) for parent, sample, _ in lines]
    assert set(shown) <= {(sentences.get(key) if include else None, sample) for key, sample in mined}
    assert all(("→" in choice) == include for *_, choice in lines)


def test_auxiliary_samples_alone_are_verified_and_trained_on(configure: Any) -> None:
    config = configure(export={"include_source": False}, train={"init": "fresh", "alpha": 1.0})
    folder = made(config)
    assert verify(str(folder)).problems == [] and verify(config.output).problems == []
    assert np.isfinite(train(config).details["loss"])


def test_plain_distillation_has_no_examples(configure: Any) -> None:
    folder = made(configure(run={"rounds": 0}))
    assert not (folder / "examples.png").exists() and "synthetic" not in front_matter(folder)["tags"]
    assert verify(str(folder)).problems == []


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table([str(path) for path in sorted(folder.glob("*.parquet"))]).to_pylist()
    return found


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


# --- Other programs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`datasets`, offline and with a cache of its own."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    datasets.disable_progress_bars()
    return datasets


@pytest.mark.parametrize("format", FORMATS.names)
@pytest.mark.parametrize("kind", KINDS)
def test_datasets_opens_the_directory(kinds: Any, hub: Any, kind: str, format: str) -> None:
    """As the front matter says: it gives the shards among the files, and types that tars do not have."""
    folder = made(kinds(kind, export={"format": format, "split": "mined"}))
    data = hub.load_dataset(str(folder), split="mined")
    said, tar = hub.load_dataset_builder(str(folder)).info, format == "webdataset"
    assert len(data) == said.splits["mined"].num_examples == read_manifest(str(folder), None).samples
    assert data.features == said.features
    if kind in ("images", "few classes"):
        assert data.features["png" if tar else "image"] == hub.Image()
    if kind == "images":
        assert data.features["teacher.npy" if tar else "teacher_logits"].feature == hub.Value("float16")
    if kind != "numbers":
        names = open_dataset(str(folder)).rows.class_names
        assert data.features["cls" if tar else "label"] == hub.ClassLabel(names=list(names or ()))
    # Types that it finds by itself are the same, but for the class.
    alone = hub.load_dataset(format, data_files={"mined": f"{folder}/mined-*"}, split="mined")
    different = {name for name in data.features if data.features[name] != alone.features[name]}
    assert different == ({"cls"} if tar and kind != "numbers" else set())
    tables = [one.with_format("arrow")[:].to_pylist() for one in (data, alone)]
    assert repr(tables[0]) == repr(tables[1]), "compared as text, as NaN is not itself"


@pytest.mark.parametrize("format", FORMATS.names)
@pytest.mark.parametrize("kind", KINDS)
def test_the_hub_takes_the_front_matter(kinds: Any, kind: str, format: str) -> None:
    repocard = pytest.importorskip("huggingface_hub")
    folder = made(kinds(kind, run={"rounds": 1}, export={"format": format}))
    card = repocard.DatasetCard.load(folder / "README.md", ignore_metadata_errors=False)
    assert card.data.license == "unknown" and card.data.size_categories == ["n<1K"]
    suffix = "tar" if format == "webdataset" else "parquet"
    (config,) = card.data.configs
    assert config["data_files"] == [{"split": "train", "path": f"train-*.{suffix}"}]
    task = {"images": "image", "few classes": "image", "numbers": "tabular"}.get(kind, "text")
    assert card.data.task_categories == [f"{task}-{'regression' if kind == 'numbers' else 'classification'}"]


@pytest.mark.parametrize("format", FORMATS.names)
@pytest.mark.parametrize("kind", KINDS)
def test_every_block_of_code_in_the_card_runs(
    kinds: Any, hub: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, kind: str, format: str
) -> None:
    folder = made(kinds(kind, export={"format": format}))
    monkeypatch.chdir(folder.parent)
    blocks = re.findall(r"```python\n(.*?)```", text(folder), re.DOTALL)
    assert len(blocks) == (3 if format == "parquet" else 2)
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
        assert capsys.readouterr().out


@pytest.fixture
def croissant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`mlcroissant` with a cache of its own: it keeps what it unpacks by the name of the tar alone."""
    pytest.importorskip("mlcroissant")
    from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(extract, "EXTRACT_PATH", type(extract.EXTRACT_PATH)(os.fspath(tmp_path / "extracted")))
    import mlcroissant

    return mlcroissant


def _plain(value: Any) -> Any:
    """A value of `mlcroissant` as Parquet has it."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {name.rpartition("/")[2]: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", KINDS)
def test_croissant_of_parquet_yields_all_samples(kinds: Any, croissant: Any, kind: str) -> None:
    folder = made(kinds(kind, export={"format": "parquet"}))
    dataset = croissant.Dataset(folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    found = {row["key"]: row for row in map(_plain, dataset.records("samples"))}
    wanted = {row["key"]: row for row in rows(folder)}
    assert found.keys() == wanted.keys()
    for key, row in wanted.items():
        if "image" in row:
            assert (np.asarray(found[key].pop("image")) == pixels(row.pop("image")["bytes"])).all()
        assert found[key] == row
    if kind != "numbers":
        classes = [_plain(row) for row in dataset.records("classes")]
        names = open_dataset(str(folder)).rows.class_names
        assert classes == [{"index": index, "name": name} for index, name in enumerate(names or ())]


@pytest.mark.parametrize("kind", KINDS)
def test_croissant_of_tars_yields_inputs_labels_and_climbs(kinds: Any, croissant: Any, kind: str) -> None:
    """More than two members of a sample it cannot join, `.npy` it does not know."""
    folder = made(kinds(kind, export={"format": "webdataset"}))
    dataset = croissant.Dataset(folder / "croissant.json")
    records = {one.id: [_plain(row) for row in dataset.records(one.id)] for one in dataset.metadata.record_sets}
    stored = pa.concat_tables([part.table() for part in open_dataset(str(folder)).parts])
    keys = sorted(stored["key"].to_pylist())
    assert sorted(row["key"] for row in records["climbs"]) == keys
    origins = dict(zip(stored["key"].to_pylist(), stored["origin"].to_pylist(), strict=True))
    assert {row["key"]: json.loads(row["climb"])["origin"] for row in records["climbs"]} == origins
    if kind != "numbers":
        labels = {row["key"]: row["label"] for row in stored.select(["key", "label"]).to_pylist()}
        assert {row["key"]: row["label"] for row in records["labels"]} == {
            key: -1 if label is None else label for key, label in labels.items()
        }
    if kind in ("images", "few classes"):
        images = dict(zip(stored["key"].to_pylist(), stored["image"].to_pylist(), strict=True))
        assert len(records["images"]) == len(images)
        for row in records["images"]:
            assert (np.asarray(row["image"]) == pixels(images[row["key"]]["bytes"])).all()
    if kind == "pairs":
        second = {f"{row['key']}.pair": row["text_pair"] for row in stored.to_pylist()}
        first = {row["key"]: row["text"] for row in stored.to_pylist()}
        assert {row["key"]: row["text"] for row in records["texts"]} == first | second


def test_croissant_lists_every_file_with_its_sha256(kinds: Any) -> None:
    folder = made(kinds("int8", export={"format": "parquet", "shard_size": 5}))
    described = json.loads((folder / "croissant.json").read_text())
    listed = {file["contentUrl"]: file["sha256"] for file in described["distribution"] if "sha256" in file}
    promised = {file.path: file.sha256 for file in read_manifest(str(folder), None).files}
    assert listed == {name: digest for name, digest in promised.items() if name not in CARD}
    assert described["license"] == "unknown" and described["version"].startswith("1.0.0+")
