"""Samples: what the stages see, whatever the format."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.sources import Samples, open_samples
from schemas.errors import UserError

Make = Callable[..., Any]


def everything(samples: Samples) -> tuple[list[str], np.ndarray, list[Any]]:
    """Keys, stored samples and labels of all chunks."""
    blocks = [samples.read(chunk) for chunk in samples.chunks]
    return (
        [key for block in blocks for key in block.keys],
        np.concatenate([block.stored for block in blocks]),
        np.concatenate([block.labels for block in blocks]).tolist(),
    )


@pytest.mark.parametrize("format", ["parquet", "webdataset", "folder", "csv", "jsonl", "numpy"])
def test_every_format_gives_the_same_samples(place: Any, write_images: Make, config: Make, format: str) -> None:
    samples = open_samples(config(train=write_images(place, format), shard_size=3))
    assert (samples.shape, samples.size, samples.targets) == ((1, 2, 3), 4, None)
    assert (samples.class_names, samples.classes) == (["cat", "dog"], 2)
    samples.check_keys()
    keys, stored, labels = everything(samples)
    assert len(set(keys)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,180}", key) for key in keys)
    assert stored.dtype == np.uint8
    assert stored[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert labels == [0, 1, 0, 1]
    fingerprint = samples.fingerprint()
    assert json.loads(json.dumps(fingerprint)) == fingerprint


def test_the_first_chunks_alone(place: Any, write_images: Make, config: Make) -> None:
    samples = open_samples(config(train=write_images(place, "parquet"), shard_size=1))
    for count, size in ((0, 1), (1, 1), (3, 3), (9, 4)):
        part = samples.first(count)
        assert (part.size, len(part.chunks)) == (size, size)
    part = samples.first(2)
    assert everything(part)[0] == everything(samples)[0][:2]
    assert part.fingerprint() == {**samples.fingerprint(), "first": 2}
    assert samples.size == 4


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_texts_that_are_none_cost_one_sample_each(local: Any, parquet: Make, config: Make, format: str) -> None:
    texts, labels = ["good", None, " ", "fine", "x" * 40_000], ["b", "a", "a", "a", "a"]
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    data = {
        "parquet": lambda: parquet(text=texts, label=labels),
        "csv": lambda: "text,label\n" + "".join(f"{row['text'] or ''},{row['label']}\n" for row in rows),
        "jsonl": lambda: "\n".join(map(json.dumps, rows)),
    }
    samples = open_samples(config(kind="text", train=local.write(f"a.{format}", data[format]())))
    assert (samples.shape, samples.size, samples.class_names) == ((1,), 5, ["a", "b"])
    block = samples.read(samples.chunks[0])
    assert [sentence.texts for sentence in block.stored] == [("good",), ("fine",)]
    assert (block.keys, block.labels.tolist()) == (["a-00000000", "a-00000003"], [1, 0])
    assert [failure.key[-1] for failure in block.failures] == ["1", "2", "4"]
    reasons = ["no text", "empty text", "the limit is"]
    assert all(part in failure.reason for part, failure in zip(reasons, block.failures, strict=True))


def test_pairs_and_single_texts_do_not_mix(local: Any, config: Make) -> None:
    rows = ['{"text": "a", "text_pair": "b"}', '{"text": "a"}']
    samples = open_samples(config(kind="text", train=local.write("a.jsonl", "\n".join(rows))))
    block = samples.read(samples.chunks[0])
    assert samples.shape == (2,)
    assert ([sentence.texts for sentence in block.stored], len(block.failures)) == ([("a", "b")], 1)


def test_a_chunk_without_any_good_text(local: Any, config: Make, parquet: Make) -> None:
    samples = open_samples(config(kind="text", train=local.write("a.parquet", parquet(text=["a", ""])), shard_size=1))
    block = samples.read(samples.chunks[1])
    assert (block.stored.shape, block.stored.dtype) == ((0,), object)


def test_mode_and_size(place: Any, write_images: Make, config: Make) -> None:
    url = write_images(place, "folder")
    assert open_samples(config(train=url, mode="RGB", size=[4, 5])).shape == (3, 4, 5)


def test_relative_paths_are_relative_to_the_config(local: Any, write_images: Make, config: Make) -> None:
    write_images(local, "parquet")
    settings = config(train="a.parquet")
    settings._root = local.url
    assert open_samples(settings).size == 4


def test_limit_is_for_train_only(place: Any, write_images: Make, config: Make) -> None:
    url = write_images(place, "parquet")
    settings = config(train=url, eval=url, limit=3)
    assert open_samples(settings).size == 3
    assert open_samples(settings, "eval").size == 4


def test_shuffled_samples_are_the_same_every_time_and_not_the_first(
    place: Any, config: Make, parquet: Make, png: Make
) -> None:
    images = pa.array([png(level) for level in range(40)], pa.binary())
    url = place.write("a.parquet", parquet(image=images, label=list(range(40))))
    drawn = open_samples(config(train=url, limit=10, shuffle=True, shard_size=4))
    keys, stored, labels = everything(drawn)
    assert len(set(keys)) == drawn.size == 10
    assert keys != [f"a-{row:08d}" for row in range(10)]
    assert [f"a-{label:08d}" for label in labels] == keys
    assert stored[:, 0, 0, 0].tolist() == labels
    again = everything(open_samples(config(train=url, limit=10, shuffle=True, shard_size=3)))
    assert again[0] == keys
    drawn.check_keys()
    assert drawn.fingerprint() != open_samples(config(train=url, limit=10, shard_size=4)).fingerprint()


@pytest.mark.parametrize("shuffle", [False, True])
def test_comparing_keys_takes_little_more_than_their_hashes(
    local: Any, config: Make, parquet: Make, shuffle: bool
) -> None:
    """Which are 8 bytes a key, and one more where two are compared; the keys of a file would take 70."""

    def peak(rows: int) -> int:
        url = local.write(f"{rows}/a.parquet", parquet(vector=[[0.5]] * (rows + 1)))
        samples = open_samples(config(kind="array", train=url, limit=rows, shuffle=shuffle))
        tracemalloc.start()
        try:
            samples.check_keys()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1000)
    assert peak(4000) - peak(2000) < 2000 * 16


def test_limit_takes_from_every_class_folder(place: Any, write_images: Make, config: Make) -> None:
    assert everything(open_samples(config(train=write_images(place, "folder"), limit=2)))[2] == [0, 1]


def test_a_broken_image_costs_that_one(place: Any, png: Make, config: Make, parquet: Make) -> None:
    images = [b"broken", png(1), b"", None, png(2)]
    url = place.write("a.parquet", parquet(image=pa.array(images, pa.binary()), label=[0, 1, 2, 3, 4]))
    samples = open_samples(config(train=url, shard_size=3))
    first, second = (samples.read(chunk) for chunk in samples.chunks)
    assert (first.keys, first.labels.tolist()) == (["a-00000001"], [1])
    assert (second.keys, second.labels.tolist()) == (["a-00000004"], [4])
    failures = [*first.failures, *second.failures]
    assert [failure.key for failure in failures] == ["a-00000000", "a-00000002", "a-00000003"]
    assert all(failure.stage == "read" and failure.reason for failure in failures)


def test_a_chunk_without_any_good_sample(place: Any, png: Make, config: Make, parquet: Make) -> None:
    url = place.write("a.parquet", parquet(image=[png(1), b"broken"], label=[1, 2]))
    samples = open_samples(config(train=url, shard_size=1))
    block = samples.read(samples.chunks[1])
    assert (block.keys, block.stored.shape, block.stored.dtype) == ([], (0, 1, 2, 3), np.uint8)
    assert (block.labels.shape, block.labels.dtype) == ((0,), np.int64)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (((2, 3), (4, 3)), r"sample a-00000001 is 4x3 L, others are 2x3 L; set data.size = \[2, 3\] to make all alike"),
        (((2, 3), (2, 3, 3)), r'is 2x3 RGB, others are 2x3 L; set data.mode = "RGB" to make'),
        (((2, 3), (4, 4, 4)), r'set data.size = \[2, 3\] and data.mode = "RGB"'),
    ],
)
def test_mixed_images_name_the_remedy(
    place: Any, png: Make, config: Make, parquet: Make, images: Any, message: str
) -> None:
    url = place.write("a.parquet", parquet(image=[png(0, shape) for shape in images]))
    samples = open_samples(config(train=url))
    with pytest.raises(UserError, match=message):
        samples.read(samples.chunks[0])
    remedied = open_samples(config(train=url, size=[2, 3], mode="RGB"))
    assert everything(remedied)[1].shape == (2, 3, 2, 3)


def test_vectors_of_other_lengths(place: Any, config: Make, parquet: Make) -> None:
    samples = open_samples(config(kind="array", train=place.write("a.parquet", parquet(x=[[1.0], [1.0, 2.0]]))))
    with pytest.raises(UserError, match="a-00000001 is a vector of 2, others are a vector of 1; all must be alike"):
        samples.read(samples.chunks[0])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pa.array([], pa.binary()), "holds no samples"),
        ([b"x", b"y"], "none of 2 samples can be read; the first is sample a-00000000: not an image"),
    ],
)
def test_a_source_without_samples(place: Any, config: Make, parquet: Make, images: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_samples(config(train=place.write("a.parquet", parquet(image=images))))


def test_eval_that_is_not_set(config: Make) -> None:
    with pytest.raises(UserError, match=r"data.eval is not set"):
        open_samples(config(train="a.parquet"), "eval")


@pytest.mark.parametrize(
    ("train", "eval", "classes", "expected", "names"),
    [
        ({"label": ["dog", "cat"]}, {"label": ["eel", "dog"]}, ["eel", "dog", "cat"], [0, 1], ["eel", "dog", "cat"]),
        ({"label": ["dog", "cat", "eel"]}, {"label": ["eel"] * 2}, None, [2, 2], ["cat", "dog", "eel"]),
        (
            {"label": [0, 1], "names": ["cat", "dog"]},
            {"label": [0, 1], "names": ["dog", "cat"]},
            None,
            [1, 0],
            ["cat", "dog"],
        ),
        ({"label": [0, 1], "names": ["a", "b"]}, {"label": [1, 0]}, None, [1, 0], None),
        ({"label": [5, 7]}, {"label": [5, 7]}, None, [5, 7], None),
        ({"label": [5, 7]}, {"label": [0, 1], "names": ["a", "b"]}, None, [0, 1], ["a", "b"]),
    ],
)
def test_eval_follows_the_classes_of_train(
    place: Any,
    config: Make,
    parquet: Make,
    train: Any,
    eval: Any,
    classes: Any,
    expected: list[int],
    names: list[str] | None,
) -> None:
    urls = [
        place.write(f"{name}.parquet", parquet(x=[[1.0]] * len(columns["label"]), **columns))
        for name, columns in (("train", train), ("eval", eval))
    ]
    samples = open_samples(config(kind="array", train=urls[0], eval=urls[1], classes=classes), "eval")
    assert everything(samples)[2] == expected
    assert samples.class_names == names


def test_a_label_that_no_class_has(place: Any, config: Make, parquet: Make) -> None:
    url = place.write("a.parquet", parquet(x=[[1.0], [2.0]], label=[0, 9], key=["u", "v"]))
    samples = open_samples(config(kind="array", train=url, classes=3))
    assert samples.classes == 3
    with pytest.raises(UserError, match=r"a.parquet: sample v has label 9; data.classes = 3 takes 0 to 2"):
        samples.read(samples.chunks[0])


@pytest.mark.parametrize("label", [["cat", "dog"], [0, 1], [0.5, 7.25]])
def test_labels_can_be_set_aside(place: Any, config: Make, parquet: Make, label: list[Any]) -> None:
    url = place.write("a.parquet", parquet(x=[[1.0], [2.0]], label=label))
    assert everything(open_samples(config(kind="array", train=url, labels=False)))[2] == [-1, -1]
    regression = open_samples(config(kind="array", train=url, labels=False, task="regression"))
    assert np.isnan(everything(regression)[2]).all()


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ([0.5, None, 2.0], [[0.5], [np.nan], [2.0]]),
        ([None, [1.0, 2.0], [3.0, 4.0]], [[np.nan] * 2, [1.0, 2.0], [3.0, 4.0]]),
    ],
)
def test_regression(place: Any, config: Make, parquet: Make, label: list[Any], expected: Any) -> None:
    url = place.write("a.parquet", parquet(x=[[1.0], [2.0], [3.0]], label=label))
    samples = open_samples(config(kind="array", task="regression", train=url, shard_size=2))
    assert (samples.class_names, samples.classes, samples.targets) == (None, None, len(expected[0]))
    block = samples.read(samples.chunks[0])
    assert block.labels.dtype == np.float32
    assert np.array_equal(np.array(everything(samples)[2]), np.array(expected), equal_nan=True)
