"""Text as other programs read it: pyarrow, polars, `webdataset` and Hugging Face `datasets`, with none of our code."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.shards.rows import RowFormat, Rows
from pipeline.text.sentences import Sentence
from schemas.registry import FORMATS

OWN, MINED = 6, 4
"""Hugging Face `datasets` takes the types of a tar from its first five samples, which are here all of the source."""

FP16, INT8 = pa.list_(pa.list_(pa.float16(), 4)), pa.list_(pa.list_(pa.int8(), 4))
IN_ARROW = {
    None: {},
    "fp16": {"ids": pa.list_(pa.int32()), "segments": pa.list_(pa.int8()), "delta": FP16},
    "int8": {
        "ids": pa.list_(pa.int32()),
        "segments": pa.list_(pa.int8()),
        "delta": INT8,
        "scale": pa.list_(pa.float16()),
    },
}
IN_TARS = {
    None: {},
    "fp16": {"ids": "int32", "delta": "float16"},
    "int8": {"ids": "int32", "delta": "int8", "scale": "float16"},
}


@pytest.fixture
def written(texts: RowFormat, make_table: Callable[..., pa.Table], tmp_path: Path) -> Callable[[str], Path]:
    """`written(format)`: the folder of a data set of one shard, with what lies beside it."""

    def write(format: str) -> Path:
        shard = FORMATS.build(format)
        data = shard.write(make_table(texts, OWN, MINED), texts)
        (tmp_path / f"train-00000-of-00001.{shard.suffix}").write_bytes(data)
        for name in ("manifest.json", "tokenizer.json"):
            (tmp_path / name).write_text("{}")
        return tmp_path

    return write


@pytest.fixture
def sentences(texts: RowFormat, make_table: Callable[..., pa.Table]) -> list[Sentence]:
    """What was written."""
    return list(texts.decode(make_table(texts, OWN, MINED)).stored)


def compare(sample: dict[str, Any], sentence: Sentence, form: RowFormat) -> None:
    """A sample, by the names of columns, as numpy arrays or lists."""
    texts = tuple(sample[name] for name in ("text", "text_pair")[: form.shape[0]])
    assert texts == sentence.texts
    if sentence.perturbed is not None:
        assert np.asarray(sample["ids"]).tolist() == sentence.perturbed.tokens.ids.tolist()
        assert np.asarray(sample["segments"]).tolist() == sentence.perturbed.tokens.segments.tolist()
        delta = np.asarray(sample["delta"], np.float32)
        if form.delta == "int8":
            delta = delta * np.asarray(sample["scale"], np.float32)[:, None]
        assert np.array_equal(delta, sentence.perturbed.delta)


def from_tar(sample: dict[str, Any]) -> dict[str, Any]:
    """Members by the names of columns."""
    named = {"text": sample["txt"], "text_pair": sample.get("pair.txt")}
    if "ids.npy" in sample:
        named |= dict(zip(("ids", "segments"), sample["ids.npy"], strict=True))
    return named | {name: sample[f"{name}.npy"] for name in ("delta", "scale") if f"{name}.npy" in sample}


def test_pyarrow(written: Callable[[str], Path], texts: RowFormat, sentences: list[Sentence]) -> None:
    table = pq.read_table(written("parquet") / "train-00000-of-00001.parquet")
    names = ["text", "text_pair"][: texts.shape[0]]
    types = {**dict.fromkeys(names, pa.string()), **IN_ARROW[texts.delta]}
    assert table.column_names[1 : table.column_names.index("label")] == list(types)
    assert {name: table.schema.field(name).type for name in types} == types
    for sample, sentence in zip(table.to_pylist(), sentences, strict=True):
        compare(sample, sentence, texts)
        assert all((sample[name] is None) == (sentence.perturbed is None) for name in IN_ARROW[texts.delta])


def test_polars(written: Callable[[str], Path], texts: RowFormat, sentences: list[Sentence]) -> None:
    frame = pl.read_parquet(written("parquet") / "*.parquet")
    assert frame.filter(pl.col("origin") == "source").height == OWN and frame["text"].dtype == pl.String
    if texts.delta is not None:
        assert frame["ids"].dtype == pl.List(pl.Int32) and frame["segments"].dtype == pl.List(pl.Int8)
        value = pl.Int8 if texts.delta == "int8" else pl.Float16
        assert frame["delta"].dtype == pl.List(pl.Array(value, 4))
    for sample, sentence in zip(frame.to_dicts(), sentences, strict=True):
        compare(sample, sentence, texts)


def test_webdataset(written: Callable[[str], Path], texts: RowFormat, sentences: list[Sentence]) -> None:
    wds = pytest.importorskip("webdataset")
    tar = written("webdataset") / "train-00000-of-00001.tar"
    samples = list(wds.WebDataset(str(tar), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [f"s{i}" for i in range(OWN)] + [
        f"s{i}+r02" for i in range(MINED)
    ]
    for sample, sentence in zip(samples, sentences, strict=True):
        files = {name: _decoded(name, data) for name, data in sample.items() if name.endswith(("txt", ".npy"))}
        assert {name: files[f"{name}.npy"].dtype for name in IN_TARS[texts.delta]} == IN_TARS[texts.delta]
        compare(from_tar(files), sentence, texts)


def _decoded(name: str, data: bytes) -> Any:
    return data.decode() if name.endswith("txt") else np.load(io.BytesIO(data), allow_pickle=False)


@pytest.fixture
def hugging_face(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Path], Any]:
    """`hugging_face(format, folder)`: its split `train` as `datasets` loads it."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    cache = tmp_path_factory.mktemp("cache")

    def load(format: str, folder: Path) -> Any:
        datasets.disable_progress_bars()
        return datasets.load_dataset(format, data_dir=str(folder), split="train", cache_dir=str(cache))

    return load


def test_datasets_reads_parquet(
    hugging_face: Callable[[str, Path], Any],
    written: Callable[[str], Path],
    texts: RowFormat,
    sentences: list[Sentence],
) -> None:
    data = hugging_face("parquet", written("parquet"))
    types = {name: data.features.arrow_schema.field(name).type for name in IN_ARROW[texts.delta]}
    assert types == IN_ARROW[texts.delta] and data.features["text"].dtype == "string"
    if texts.class_names:
        assert data.features["label"].names == list(texts.class_names)
    assert len(data) == OWN + MINED
    for sample, sentence in zip(data, sentences, strict=True):
        compare(sample, sentence, texts)


def test_datasets_reads_tars(
    hugging_face: Callable[[str, Path], Any],
    written: Callable[[str], Path],
    texts: RowFormat,
    sentences: list[Sentence],
) -> None:
    data = hugging_face("webdataset", written("webdataset"))
    assert data.features["txt"].dtype == "string" and len(data) == OWN + MINED
    for name, dtype in IN_TARS[texts.delta].items():
        type_ = data.features.arrow_schema.field(f"{name}.npy").type
        while pa.types.is_list(type_):
            type_ = type_.value_type
        assert type_ == pa.from_numpy_dtype(dtype)
    for sample, sentence in zip(data, sentences, strict=True):
        compare(from_tar(sample), sentence, texts)


@pytest.mark.parametrize("codec", ["topk", "sampled"])
@pytest.mark.parametrize("format", FORMATS.names)
def test_datasets_reads_outputs_on_a_few_classes(
    hugging_face: Callable[[str, Path], Any], tmp_path: Path, codec: str, format: str
) -> None:
    rows = RowFormat("array", codec, 10, (2,), "classification", codec_options={"temperature": 4.0})
    logits = rows.codec_.compress(torch.randn(3, 10), torch.Generator())
    blank = np.zeros((3, 2), np.float32)
    table = rows.encode(Rows(["a", "b", "c"], blank, np.arange(3), logits, np.ones(3, np.bool_)))
    writer = FORMATS.build(format)
    (tmp_path / f"train-00000-of-00001.{writer.suffix}").write_bytes(writer.write(table, rows))
    data = hugging_face(format, tmp_path)
    wanted = table["teacher_logits"].to_pylist()
    for sample, outputs in zip(data, wanted, strict=True):
        for name, numbers in outputs.items():
            found = sample["teacher_logits"][name] if format == "parquet" else sample[f"teacher_{name}.npy"]
            assert np.allclose(found, np.asarray(numbers, np.float32))
