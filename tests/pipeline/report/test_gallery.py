"""Pairs in the gallery: the samples that are stored, and what the models really say of them."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import layout
from pipeline.datasets import open_dataset
from pipeline.datasets.sample import find_sample
from pipeline.directory import open_run
from pipeline.report.gallery import pairs
from pipeline.report.pictures import difference
from pipeline.sources import open_samples
from pipeline.stages import cache, evaluate, export, mine, train
from pipeline.work.setup import open_student, predict
from pipeline.work.training import load_trained
from schemas.config import Config
from schemas.errors import BpkdError


def pixels(url: str | None) -> np.ndarray:
    assert url is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_what_is_shown_is_what_is_stored(run: Path) -> None:
    data = open_dataset(f"{run}/dataset")
    found = pairs(open_run(str(run)))
    assert len(found) == 24 and {pair.round for pair in found} == {1, 2}
    for pair in found[::5]:
        stored = find_sample(data, pair.auxiliary.key)
        assert pair.parent is not None and stored.parent_key == pair.parent.key
        assert (stored.round, stored.gap_before, stored.gap_after) == (pair.round, pair.gap_before, pair.gap_after)
        for shown, sample in ((pair.auxiliary, stored), (pair.parent, find_sample(data, pair.parent.key))):
            assert (pixels(shown.image) == np.asarray(Image.open(io.BytesIO(sample.files["png"])))).all()
            assert dict(shown.answers)["teacher"].text.startswith(sample.outputs[0].name[:20])
    for number in (1, 2):
        gaps = [pair.gap_after for pair in found if pair.round == number]
        assert gaps == sorted(gaps, reverse=True)
        table = (
            data.parts[0].table().filter([(found == number) for found in data.parts[0].table()["round"].to_pylist()])
        )
        assert (gaps[0], gaps[-1]) == (max(table["gap_after"].to_pylist()), min(table["gap_after"].to_pylist()))


def test_the_students_answers_are_the_students(run: Path, image_config: Callable[..., Config]) -> None:
    config, cpu = image_config(), torch.device("cpu")
    samples = open_samples(config)
    student = open_student(config, samples.kind, samples.shape, 3, cpu).eval()
    load_trained(f"{run}/student", student)
    rows = {}
    for part in open_dataset(f"{run}/dataset").parts:
        decoded = part.rows()
        rows |= dict(zip(decoded.keys, zip(decoded.stored, decoded.logits, strict=True), strict=True))
    for pair in pairs(open_run(str(run))):
        stored, teacher = rows[pair.auxiliary.key]
        logits = predict(student, samples.kind, stored[None], 1, cpu)[0]
        sure, first = logits.softmax(0).max(0)
        answer = dict(pair.auxiliary.answers)["student"]
        assert answer.text.endswith(f"({100 * sure:.0f} %)") and answer.differs == (first != teacher.argmax())
        assert pair.gap_now == pytest.approx(float((logits - teacher).square().sum()), rel=1e-3)


def test_without_an_evaluation_the_student_is_not_asked(run: Path) -> None:
    with_student = pairs(open_run(str(run)))
    shutil.rmtree(run / "evaluation")
    found = pairs(open_run(str(run)))
    assert [pair.auxiliary.key for pair in found] == [pair.auxiliary.key for pair in with_student]
    assert all(set(dict(pair.auxiliary.answers)) == {"teacher"} and pair.gap_now is None for pair in found)


def test_the_evaluation_is_enough_where_the_data_set_has_gone(run: Path) -> None:
    before = pairs(open_run(str(run)))
    shutil.rmtree(run / "dataset")
    assert pairs(open_run(str(run))) == before


def test_a_run_without_rounds_has_none(plain: Path) -> None:
    assert pairs(open_run(str(plain))) == []


def test_damage_is_found(run: Path) -> None:
    path = run / "evaluation/gallery.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BpkdError, match=r"gallery.parquet is damaged"):
        pairs(open_run(str(run)))


def test_arrays_show_the_numbers_that_changed(number_run: str) -> None:
    found = pairs(open_run(number_run))
    first = found[0]
    assert first.parent is not None and first.change.startswith("distance ")
    numbers = zip(first.auxiliary.numbers, first.parent.numbers, strict=True)
    changes = [abs(float(new) - float(old)) for (_, new), (_, old) in numbers]
    assert changes == sorted(changes, reverse=True) and changes[0] > 0
    assert {name for name, _ in first.auxiliary.numbers} == {"0", "1", "2"}


@pytest.mark.parametrize("output", ["token", "embedding"])
def test_texts_mark_the_words_that_changed(text_config: Callable[..., Any], output: str) -> None:
    config = text_config(mine={"output": output})
    for stage in (cache, mine, export, train, evaluate):
        stage(config)
    found = pairs(open_run(config.output))
    assert found and all(
        pair.parent and pair.parent.words and "student" in dict(pair.auxiliary.answers) for pair in found
    )
    data = open_dataset(layout.dataset(config.output))
    for pair in found:
        if output == "embedding":
            assert pair.moved and not pair.auxiliary.words and not any(changed for _, changed in pair.parent.words[0])
            continue
        texts = [find_sample(data, shown.key).texts for shown in (pair.parent, pair.auxiliary)]
        for shown, own, other in zip((pair.parent, pair.auxiliary), texts, texts[::-1], strict=True):
            assert " ".join(word for word, _ in shown.words[0]).split() == own[0].split()
            marked = [word for word, changed in shown.words[0] if changed]
            assert bool(marked) == (own != other)


def test_a_difference_tells_darker_from_brighter() -> None:
    before = np.full((1, 1, 3), 100, np.uint8)
    after = np.array([[[100, 151, 49]]], np.uint8)
    url, largest = difference(before, after)
    same, brighter, darker = pixels(url)[0].tolist()
    assert largest == 51 / 255 and same == [255, 255, 255]
    assert brighter[2] > brighter[0] and darker[0] > darker[2]
    coloured, _ = difference(np.full((3, 1, 1), 100, np.uint8), np.array([[[100]], [[151]], [[49]]], np.uint8))
    assert pixels(coloured)[0, 0].tolist() == [128, 255, 0]


def test_large_pictures_are_scaled_down() -> None:
    url, _ = difference(np.zeros((3, 300, 200), np.uint8), np.full((3, 300, 200), 9, np.uint8))
    assert pixels(url).shape == (96, 64, 3)
