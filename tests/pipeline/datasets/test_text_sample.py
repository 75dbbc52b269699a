"""One sample of text: what it was mined from, what was changed, how far its tokens moved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.artifacts.artifact import read_manifest
from pipeline.datasets import Dataset, open_dataset
from pipeline.datasets.sample import find_family, save_sample
from pipeline.datasets.summary import summarize
from pipeline.mining.embedding import mean_norm
from pipeline.stages.cache import cache
from pipeline.stages.export import export
from pipeline.stages.mine import mine
from pipeline.storage import Folder, sha256
from pipeline.text.sentences import Sentence
from pipeline.work.embeddings import TOKENIZER
from schemas.config import Config
from schemas.errors import BpkdError
from schemas.manifest import MANIFEST, Manifest, pack

FORMATS = pytest.mark.parametrize("format", ["parquet", "webdataset"])
KEY = "train-00000003"


def made(config: Config) -> Dataset:
    for stage in (cache, mine, export):
        stage(config)
    return open_dataset(f"{config.output}/dataset")


def stored(dataset: Dataset, key: str) -> Sentence:
    rows = [part.rows() for part in dataset.parts]
    (found,) = [one.stored[one.keys.index(key)] for one in rows if key in one.keys]
    return found


def with_manifest(dataset: Dataset, files: dict[str, bytes], embeddings: dict[str, Any]) -> Dataset:
    """The data set with other bytes in some files, and other values in details.embeddings."""
    manifest = read_manifest(dataset.url, None).model_dump(exclude={"manifest_sha256"})
    for entry in manifest["files"]:
        if entry["path"] in files:
            data = files[entry["path"]]
            Folder(dataset.url).write(entry["path"], data)
            entry |= {"bytes": len(data), "sha256": sha256(data)}
    manifest["details"]["embeddings"] |= embeddings
    Folder(dataset.url).write(MANIFEST, pack(Manifest(**manifest)))
    return open_dataset(dataset.url)


@FORMATS
@pytest.mark.parametrize("pair", [False, True])
def test_a_sentence_and_what_it_was_mined_from(text_config: Any, format: str, pair: bool) -> None:
    dataset = made(text_config(pair=pair, mine={"output": "token"}, export={"format": format}))
    (sample,) = find_family(dataset, f"{KEY}+r01", parent=False)
    assert sample.texts == stored(dataset, f"{KEY}+r01").texts and len(sample.texts) == 1 + pair
    assert sample.parent_texts == stored(dataset, KEY).texts
    assert sample.compared is not None and sample.tokens is None
    changed = [piece for pieces in sample.compared for piece in pieces if piece.changed]
    assert len(changed) == sample.steps
    (own,) = find_family(dataset, KEY, parent=False)
    assert own.texts == sample.parent_texts and own.parent_texts is None and own.compared is None


@FORMATS
@pytest.mark.parametrize("family", ["bert", "roberta", "deberta"])
def test_tokens_that_moved(text_config: Any, text_models: Any, format: str, family: str) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = text_models(family)
    dataset = made(text_config(teacher={"factory": f"hf:{folder}"}, export={"format": format}))
    (sample,) = find_family(dataset, f"{KEY}+r01", parent=False)
    assert sample.texts is None and sample.tokens and sample.in_norms
    assert sample.parent_texts == stored(dataset, KEY).texts and sample.compared is None
    shifts = [moved.shift for moved in sample.tokens]
    assert shifts == sorted(shifts, reverse=True)
    perturbed, tokenizer = stored(dataset, f"{KEY}+r01").perturbed, AutoTokenizer.from_pretrained(folder)
    assert perturbed is not None
    assert sorted(moved.place for moved in sample.tokens) == np.flatnonzero(perturbed.tokens.real).tolist()
    weight = AutoModelForSequenceClassification.from_pretrained(folder).get_input_embeddings().weight
    lengths = dict(zip(np.flatnonzero(perturbed.tokens.real).tolist(), perturbed.delta, strict=True))
    for moved in sample.tokens:
        assert moved.id == perturbed.tokens.ids[moved.place] and moved.text == 0
        assert moved.token == tokenizer.convert_ids_to_tokens(moved.id)
        assert moved.shift == pytest.approx(np.linalg.norm(lengths[moved.place]) / mean_norm(weight), rel=1e-5)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b"\xff",
        b'{"model": {"vocab": 7}}',
        b'{"model": {"vocab": {"a": "b"}}}',
        b'{"model": {"vocab": [1, 2]}}',
        b'{"model": {"vocab": {}}, "added_tokens": 3}',
        b"[" * 10**5,
    ],
    ids=lambda data: repr(data[:30]),
)
def test_a_tokenizer_that_cannot_be_read_leaves_the_ids(text_config: Any, data: bytes) -> None:
    dataset = with_manifest(made(text_config()), {TOKENIZER: data}, {})
    (sample,) = find_family(dataset, f"{KEY}+r01", parent=False)
    assert sample.tokens and {moved.token for moved in sample.tokens} == {None}


def test_special_words_added_to_a_vocabulary_are_known(text_config: Any) -> None:
    dataset = made(text_config())
    (sample,) = find_family(dataset, f"{KEY}+r01", parent=False)
    assert sample.tokens
    number = sample.tokens[0].id
    file = json.loads(Folder(dataset.url).read(TOKENIZER))
    file["added_tokens"].append({"id": number, "content": "<mine>"})
    dataset = with_manifest(dataset, {TOKENIZER: json.dumps(file).encode()}, {})
    assert find_family(dataset, f"{KEY}+r01", parent=False)[0].tokens[0].token == "<mine>"


def test_a_damaged_tokenizer_is_an_error(text_config: Any) -> None:
    dataset = made(text_config())
    Path(dataset.url, TOKENIZER).write_bytes(b"{}")
    with pytest.raises(BpkdError, match=TOKENIZER):
        find_family(dataset, f"{KEY}+r01", parent=False)


@pytest.mark.parametrize("unit", [None, 0.0])
def test_without_a_unit_shifts_are_plain(text_config: Any, unit: float | None) -> None:
    dataset = with_manifest(made(text_config()), {}, {"unit": unit})
    (sample,) = find_family(dataset, f"{KEY}+r01", parent=False)
    perturbed = stored(dataset, f"{KEY}+r01").perturbed
    assert perturbed and sample.tokens and not sample.in_norms
    assert sample.tokens[0].shift == pytest.approx(np.linalg.norm(perturbed.delta, axis=1).max(), rel=1e-6)


@FORMATS
def test_files_of_both_are_saved(text_config: Any, tmp_path: Path, format: str) -> None:
    dataset = made(text_config(export={"format": format}))
    family = find_family(dataset, f"{KEY}+r01")
    paths = [path for sample in family for path in save_sample(sample, f"{tmp_path}/saved")]
    names = [f"{key}.{extension}" for key in (f"{KEY}+r01", KEY) for extension in ("txt", "ids.npy", "delta.npy")]
    assert paths == [f"{tmp_path}/saved/{name}" for name in names]
    assert Path(tmp_path, "saved", f"{KEY}.txt").read_text() == family[1].texts[0] == family[0].parent_texts[0]
    assert len(np.load(tmp_path / "saved" / f"{KEY}+r01.delta.npy")) == len(family[0].tokens)


def test_no_source_samples_no_parent(text_config: Any) -> None:
    dataset = made(text_config(mine={"output": "token"}, export={"include_source": False}))
    (sample,) = find_family(dataset, f"{KEY}+r01")
    assert sample.texts and sample.parent_texts is None and sample.compared is None


@pytest.mark.parametrize(
    ("pair", "mined", "form"),
    [
        (False, {"output": "token"}, "text"),
        (True, {"output": "token"}, "pairs of texts"),
        (False, {}, "text, perturbed embeddings: 16 numbers a token as fp16, at most 16 tokens"),
        (
            True,
            {"delta": "int8"},
            "pairs of texts, perturbed embeddings: 16 numbers a token as int8, at most 16 tokens",
        ),
    ],
)
def test_the_form_of_a_sample_in_words(text_config: Any, pair: bool, mined: Any, form: str) -> None:
    summary = summarize(made(text_config(pair=pair, mine=mined)))
    assert summary.form == form
    assert (summary.embeddings is None) == ("output" in mined)


def test_bytes_of_a_sample_are_those_of_the_shards(text_config: Any) -> None:
    dataset = made(text_config())
    summary = summarize(dataset)
    (shard,) = Path(dataset.url).glob("*.parquet")
    assert summary.sample_bytes == shard.stat().st_size / 24 < summary.bytes / 24


def test_the_map_of_another_student(text_config: Any, text_models: Any) -> None:
    other = {"factory": f"hf:{text_models(seed=1, hidden_size=8)}", "layers": None}
    summary = summarize(made(text_config(student=other)))
    assert summary.mapped and summary.embeddings is not None and 0 < summary.embeddings.residual < 1
    assert not summarize(made(text_config(run={"output": "same"}))).mapped
