"""Wrong input for text: one clear line, before any work where it can be; a text of no use costs itself only."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.artifacts.failures import FAILURES
from pipeline.sources import open_samples
from pipeline.stages.cache import cache
from pipeline.stages.export import export
from pipeline.stages.mine import mine
from pipeline.stages.train import train
from pipeline.verify import verify
from pipeline.work.setup import preflight
from schemas.config import Config
from schemas.errors import UserError

WORDS = "the film is a good bad dull fine story and plot was not very great poor actor scene with no joy"
GOOD = ["a good film", "the story was dull"]
Configure = Callable[..., Config]


def jsonl(path: Path, texts: list[Any]) -> str:
    path.write_text("\n".join(json.dumps({"text": text, "label": number % 2}) for number, text in enumerate(texts)))
    return path.name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty text"),
        (" \n\t", "empty text"),
        (None, "no text in this row"),
        (7, "not a text but int"),
        (True, "not a text but bool"),
        (["a", "b"], "not a text but list"),
        ({"a": 1}, "not a text but dict"),
        ("\ud800", "not valid Unicode"),
        ("x" * 2**16, "65,536 bytes of text, the limit is 32,768; cut it"),
    ],
)
def test_a_text_that_cannot_be_used_is_recorded(text_config: Configure, tmp_path: Path, text: Any, reason: str) -> None:
    config = text_config(data={"train": jsonl(tmp_path / "t.jsonl", [GOOD[0], text, *GOOD])})
    manifest = cache(config)
    assert (manifest.samples, manifest.failures) == (3, 1)
    (failed,) = Path(config.output, "teacher-logits", FAILURES).read_text().splitlines()
    assert (json.loads(failed)["key"], json.loads(failed)["reason"]) == ("t-00000001", reason)
    for stage in (mine, export, train):
        stage(config)
    assert verify(config.output).problems == []


def test_texts_that_leave_no_token_are_used(text_config: Configure, tmp_path: Path) -> None:
    config = text_config(data={"train": jsonl(tmp_path / "t.jsonl", ["\u200b", "\x00", *GOOD])})
    for stage in (cache, mine, export, train):
        stage(config)
    assert verify(config.output, teacher=config).problems == []


def column(values: list[Any]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table({"text": values, "label": [0] * len(values)}), path)


@pytest.mark.parametrize(
    ("write", "columns", "message"),
    [
        (column([1, 2]), {"text": "text"}, "column 'text' is int64; data.kind takes strings"),
        (column([b"a", b"b"]), {"text": "text"}, "column 'text' is binary; data.kind takes strings"),
        (column([["a"], ["b"]]), {}, "no column looks like texts; found text, label; set data.columns.text"),
        (column(GOOD), {"text": "words"}, "words"),
        (column(["", " "]), {}, "none of 2 samples can be read; the first is sample t-00000000: empty text"),
    ],
)
def test_a_column_without_texts(
    text_config: Configure, tmp_path: Path, write: Any, columns: dict[str, str], message: str
) -> None:
    write(tmp_path / "t.parquet")
    assert message in line(open_samples, text_config(data={"train": "t.parquet", "columns": columns}))


def line(call: Callable[[Any], object], config: Any) -> str:
    """What a user is told."""
    with pytest.raises(UserError) as caught:
        call(config)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_a_tokenizer_without_padding(text_config: Configure, text_models: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = tmp_path / "unpadded"
    shutil.copytree(text_models(), folder, ignore=shutil.ignore_patterns("token*", "special*"))
    backend = AutoTokenizer.from_pretrained(text_models()).backend_tokenizer
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>").save_pretrained(folder)
    said = line(preflight, text_config(teacher={"factory": "hf:unpadded"}))
    assert "teacher.factory = 'hf:unpadded': its tokenizer has no padding token" in said
    assert "tokenizer.pad_token = tokenizer.eos_token" in said and 'teacher.tokenizer = "hf:unpadded-padded"' in said


@pytest.mark.parametrize(
    ("sections", "parts"),
    [
        ({"data": {"max_length": 64}}, ["takes 32 tokens at most; data.max_length = 64 is more"]),
        ({"teacher": {"factory": "hf:gone/model"}}, ["teacher.factory = 'hf:gone/model'", "no directory"]),
        ({"teacher": {"tokenizer": "hf:gone/words"}}, ["teacher.tokenizer = 'hf:gone/words'", "no directory"]),
        ({"teacher": {"weights": "gone.safetensors"}}, ["gone.safetensors: no such weights file"]),
        ({"student": {"layers": [0, 9]}}, ["student.layers = [0, 9]: the model has layers 0 to 2"]),
        ({"student": {"layers": [0, 0]}}, ["student.layers = [0, 0]", "once"]),
        ({"student": {"factory": "zoo:mlp"}}, ["student.factory = 'zoo:mlp'", "for text take hf:NAME"]),
        ({"teacher": {"factory": "zoo:mlp"}}, ["teacher.factory = 'zoo:mlp'", "for text take hf:NAME"]),
        ({"student": {"layers": None, "kwargs": {"num_labels": 3}}}, ["the teacher has 2 outputs and the student 3"]),
        ({"teacher": {"mean": [0.5], "std": [0.5]}}, ["teacher.mean and std are for images and arrays"]),
        ({"data": {"metrics": ["pearson"]}}, ["pearson", "regression"]),
    ],
    ids=lambda value: (
        "-".join(f"{name}.{key}" for name, s in value.items() for key in s) if value.__class__ is dict else ""
    ),
)
def test_models_that_do_not_fit(
    text_config: Configure, text_models: Any, monkeypatch: pytest.MonkeyPatch, sections: Any, parts: list[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if "student" in sections:
        sections = {"student": {"factory": f"hf:{text_models()}", **sections["student"]}}
    said = line(preflight, text_config(**sections))
    assert all(part in said for part in parts), said


def test_a_model_without_a_tokenizer(text_config: Configure, text_models: Any) -> None:
    bare = {"factory": f"hf:{text_models(tokenizer=False)}"}
    said = line(preflight, text_config(teacher=bare))
    assert "has no tokenizer; set teacher.tokenizer" in said
    preflight(text_config(teacher={**bare, "tokenizer": f"hf:{text_models()}"}))


@pytest.mark.parametrize(
    ("words", "counts", "first"),
    [
        ("film story joy", "the teacher has 76 tokens and the student 59", "'film'"),
        (WORDS.replace("the film", "film the"), "the teacher has 76 tokens and the student 76", "'film'"),
    ],
)
def test_another_vocabulary(text_config: Configure, text_models: Any, words: str, counts: str, first: str) -> None:
    other = {"factory": f"hf:{text_models(words=words)}", "layers": None}
    said = line(preflight, text_config(student=other))
    assert "must share the vocabulary" in said and counts in said
    assert f"the first to differ, {first}," in said
    preflight(text_config(student=other, run={"rounds": 0}))


@pytest.mark.parametrize(
    ("sections", "parts"),
    [
        ({"mine": {"output": "input"}}, ['mine.output = "input" is not for text data', "embedding or token"]),
        ({"mine": {"start": "mixup"}}, ['mine.start = "mixup"', "sample or noise"]),
        ({"mine": {"start": "crop"}}, ['mine.start = "crop" is for images', "sample or noise"]),
        ({"mine": {"bounds": [0, 1]}}, ["mine.bounds", "mine.ball"]),
        ({"train": {"freeze_embeddings": False}}, ["train.freeze_embeddings = false", 'mine.output = "token"']),
        ({"data": {"kind": "image"}, "mine": {"output": "token"}}, ['mine.output = "token" is not for image data']),
        ({"data": {"max_length": 3}}, ["data.max_length"]),
        ({"student": {"layers": []}}, ["student.layers"]),
        ({"student": {"layers": [-1]}}, ["student.layers"]),
    ],
)
def test_settings_that_are_not_for_text(text_config: Configure, sections: Any, parts: list[str]) -> None:
    said = line(lambda _: text_config(**sections), None)
    assert all(part in said for part in parts), said


@pytest.mark.parametrize(
    "model", [{"factory": "hf:a"}, {"factory": "zoo:cnn", "layers": [0]}, {"factory": "zoo:cnn", "tokenizer": "hf:a"}]
)
@pytest.mark.parametrize("role", ["teacher", "student"])
def test_images_have_no_text_models(tmp_path: Path, text_config: Configure, model: Any, role: str) -> None:
    from PIL import Image

    for number in range(4):
        (tmp_path / "images" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(tmp_path / "images" / str(number % 2) / f"{number}.png")
    zoo = {"factory": "zoo:cnn", "layers": None}
    config = text_config(
        data={"kind": "image", "train": "images", "format": "folder"},
        mine={"output": "input"},
        **{"teacher": zoo, "student": zoo, role: model},
    )
    assert f'{role}: hf: models, tokenizer and layers are for text; set data.kind = "text"' in line(preflight, config)


@pytest.mark.parametrize("output", ["token", "embedding"])
def test_a_student_of_another_vocabulary(text_config: Configure, text_models: Any, output: str) -> None:
    made = text_config(mine={"output": output})
    for stage in (cache, mine, export):
        stage(made)
    other = {"factory": f"hf:{text_models('roberta', words='film story joy')}", "layers": None}
    fresh = text_config(mine={"output": output}, student=other, train={"init": "fresh"}, run={"output": "fresh"})
    dataset = f"{made.output}/dataset"
    if output == "token":
        assert train(fresh, dataset=dataset).details["steps"] == 4
    else:
        said = line(lambda config: train(config, dataset=dataset), fresh)
        assert "belong to a student with other token embeddings" in said and 'mine.output = "token"' in said


def test_a_student_whose_embeddings_would_move(text_config: Configure) -> None:
    made = text_config()
    for stage in (cache, mine, export):
        stage(made)
    moving = text_config(mine={"output": "token"}, train={"freeze_embeddings": False, "init": "fresh"})
    said = line(lambda config: train(config, dataset=f"{made.output}/dataset", output=f"{made.output}/own"), moving)
    assert "need train.freeze_embeddings = true" in said


def test_another_length_is_another_cache(text_config: Configure) -> None:
    cache(text_config())
    assert "max_length" in line(cache, text_config(data={"max_length": 8}))


def test_without_transformers(text_config: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    config = text_config()
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "needs transformers; pip install 'bpkd[text]'" in line(preflight, config)
