"""`bpkd inspect` on text: sentences beside what they were mined from, tokens that moved, bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.stages.cache import cache
from pipeline.stages.export import export
from pipeline.stages.mine import mine

KEY = "train-00000003"
Made = Callable[..., str]


@pytest.fixture
def made(text_config: Any) -> Made:
    """`made(mine={...})`: the URL of a small data set of text."""

    def make(**sections: Any) -> str:
        config = text_config(**{"export": {"format": "parquet"}, **sections})
        for stage in (cache, mine, export):
            stage(config)
        return f"{config.output}/dataset"

    return make


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_form_the_map_and_the_bytes(bpkd: Any, made: Made, text_models: Any) -> None:
    other = {"factory": f"hf:{text_models(seed=1, hidden_size=8)}", "layers": None}
    url = made(student=other)
    said = bpkd("inspect", url, "--fast")
    (shard,) = Path(url).glob("*.parquet")
    each = shard.stat().st_size / 24
    found = json.loads(bpkd("inspect", url, "--fast", "--json").out)
    assert found["sample_bytes"] == each and found["embeddings"]["carry"] == "offset"
    for line in (
        "sample text, perturbed embeddings: 8 numbers a token as fp16, at most 16 tokens",
        f"embeddings mapped from the student's to the teacher's with a residual of "
        f"{found['embeddings']['residual']:.1%}",
        f"per sample {each:,.0f} bytes in the shards; a million would take {each:,.1f} MB",
    ):
        assert line in lines(said.out)


def test_the_same_embeddings_have_no_map(bpkd: Any, made: Made) -> None:
    assert "embeddings the student's are the teacher's" in lines(bpkd("inspect", made(), "--fast").out)


def test_sentences_side_by_side(bpkd: Any, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    url = made(mine={"output": "token"})
    assert "sample text" in lines(bpkd("inspect", url, "--fast").out)
    found = json.loads(bpkd("inspect", url, "--sample", f"{KEY}+r01", "--json").out)
    (changes,) = found["changes"]
    (before,), (after,) = found["parent_texts"], found["texts"]
    assert changes and len(changes) == found["steps"]
    piped = bpkd("inspect", url, "--sample", f"{KEY}+r01").out
    for name, text, side in (("parent", before, "before"), ("auxiliary", after, "after")):
        (line,) = [line for line in piped.splitlines() if line.startswith(f"{name}: ")]
        assert re.sub(r"\[(.*?)\]", r"\1", line) == f"{name}: {text}"
        assert re.findall(r"\[(.*?)\]", line) == [change[side] for change in changes]
    monkeypatch.setenv("FORCE_COLOR", "1")
    styled = bpkd("inspect", url, "--sample", f"{KEY}+r01").out
    marked = re.findall(r"\x1b\[1;4m(.*?)\x1b\[0m", styled)
    assert sorted(marked) == sorted(word for change in changes for word in change.values())


def test_tokens_that_moved(bpkd: Any, made: Made) -> None:
    url = made()
    said = bpkd("inspect", url, "--sample", f"{KEY}+r01")
    found = json.loads(bpkd("inspect", url, "--sample", f"{KEY}+r01", "--json").out)
    assert f"parent: {found['parent_texts'][0]}" in said.out.splitlines()
    assert "most moved place shift in embedding norms" in lines(said.out)
    for moved in found["tokens"]:
        assert f"{moved['token']} {moved['place']} {moved['shift']:.3g}" in lines(said.out)
    assert found["changes"] is None and found["texts"] is None


def test_only_the_most_moved_are_shown(bpkd: Any, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    url = made()
    found = json.loads(bpkd("inspect", url, "--sample", f"{KEY}+r01", "--json").out)
    monkeypatch.setattr("cli.show_sample.TOKENS", 1)
    said = bpkd("inspect", url, "--sample", f"{KEY}+r01")
    first, *others = [f"{one['place']} {one['shift']:.3g}" for one in found["tokens"]]
    assert others and f"and {len(others)} more; --json has all" in said.out
    assert first in " ".join(lines(said.out)) and not any(other in " ".join(lines(said.out)) for other in others)


def test_a_pair_has_two_parents(bpkd: Any, made: Made) -> None:
    said = bpkd("inspect", made(pair=True), "--sample", f"{KEY}+r01")
    assert [line.split(":")[0] for line in said.out.splitlines()].count("parent") == 2


def test_a_source_sentence_stands_alone(bpkd: Any, made: Made) -> None:
    said = bpkd("inspect", made(mine={"output": "token"}), "--sample", KEY)
    assert "text: " in said.out and "parent" not in said.out


def test_files_are_saved(bpkd: Any, made: Made, tmp_path: Path) -> None:
    url = made()
    found = json.loads(bpkd("inspect", url, "--sample", f"{KEY}+r01", "--save", tmp_path / "saved", "--json").out)
    names = [f"{key}.{extension}" for key in (f"{KEY}+r01", KEY) for extension in ("txt", "ids.npy", "delta.npy")]
    assert found["saved"] == [f"{tmp_path}/saved/{name}" for name in names]
    assert np.load(tmp_path / "saved" / f"{KEY}+r01.delta.npy").dtype == np.float16


def test_text_of_others_cannot_act_on_the_terminal(bpkd: Any, text_config: Any, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    config = text_config(mine={"output": "token"}, export={"format": "parquet"})
    evil = ["\x1b[2Jfilm\x07 [bold]joy[/x] \u202e good plot"] * 3
    pq.write_table(pa.table({"sentence": evil, "label": [0, 1, 0]}), tmp_path / "train.parquet")
    for stage in (cache, mine, export):
        stage(config)
    for key in ("train-00000001", "train-00000001+r01"):
        said = bpkd("inspect", f"{config.output}/dataset", "--sample", key)
        assert said.code == 0 and "[/x]" in said.out
        assert not re.search("[\x1b\x07\u202e]", said.out + said.err)
