"""Parquet: every way of holding images and vectors, read by row groups."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.kinds.array import ArrayKind
from pipeline.npy import to_npy
from pipeline.sources.parquet import ParquetSource
from schemas.errors import SampleError, UserError
from schemas.sections import Columns

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(columns: dict[str, Any], group: int = 2, metadata: dict[str, str] | None = None) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), sink, row_group_size=group)
    return sink.getvalue()


def hub(**features: Any) -> dict[str, str]:
    return {"huggingface": json.dumps({"info": {"features": features}})}


def source(place: Any, data: bytes, content: str = "image", **columns: Any) -> ParquetSource:
    url = place.write("d/train.parquet", data)
    return ParquetSource([url], Columns(**columns), content, f"{place.url}/d")


def test_any_stretch_of_rows_from_any_row_groups(local: Any) -> None:
    """Also where a row group is empty."""
    url = f"{local.url}/d.parquet"
    sink = io.BytesIO()
    whole = pa.table({"vector": [[float(row)] for row in range(9)]})
    with pq.ParquetWriter(sink, whole.schema) as writer:
        for start, stop in ((0, 0), (0, 2), (2, 5), (5, 5), (5, 9), (9, 9)):
            writer.write_table(whole.slice(start, stop - start), row_group_size=10)
    local.write("d.parquet", sink.getvalue())
    found = ParquetSource([url], Columns(), "tensor", local.url)
    for start in range(10):
        for stop in range(start, 10):
            rows = [int(record.payload[0]) for record in found.read(url, start, stop)]
            assert rows == list(range(start, stop))


def test_hugging_face_schema(place: Any, png: Callable[..., bytes]) -> None:
    images = pa.array([{"bytes": png(level), "path": "ignored.png"} for level in range(5)], IMAGE)
    names = hub(image={"_type": "Image"}, label={"_type": "ClassLabel", "names": ["a", "b"]})
    found = source(place, table({"image": images, "label": [0, 1, 0, None, 1]}, metadata=names))
    file = f"{place.url}/d/train.parquet"
    assert found.sizes() == [(file, 5)]
    assert found.class_names() == ["a", "b"]
    assert found.parts(file) == [file]
    records = list(found.read(file, 1, 4))
    assert [record.key for record in records] == [f"train-{row:08d}" for row in (1, 2, 3)]
    assert [record.key for record in records] == list(found.keys(file))[1:4]
    assert [record.payload for record in records] == [png(1), png(2), png(3)]
    assert [record.label for record in records] == [1, 0, None]


@pytest.mark.parametrize("start", range(7))
@pytest.mark.parametrize("stop", range(8))
def test_any_run_of_rows(local: Any, start: int, stop: int) -> None:
    data = table({"x": [[float(row)] for row in range(7)]}, group=3)
    records = source(local, data, "tensor").read(f"{local.url}/d/train.parquet", start, stop)
    assert [record.payload.tolist() for record in records] == [[float(row)] for row in range(start, stop)]


def test_files_in_turn(local: Any) -> None:
    """Reading back and forth between files and row groups gives what each holds."""
    urls = [local.write(f"{name}.parquet", table({"x": [[name], [name + 10]]}, group=1)) for name in range(3)]
    found = ParquetSource(urls, Columns(), "tensor", local.url)
    for file, row in [(0, 0), (2, 1), (0, 1), (1, 0), (2, 0)]:
        assert next(found.read(urls[file], row, row + 1)).payload.tolist() == [file + 10 * row]


@pytest.mark.parametrize("type_", [pa.string(), IMAGE])
def test_images_by_path(place: Any, png: Callable[..., bytes], type_: pa.DataType) -> None:
    first = place.write("d/images/1.png", png(1))
    place.write("d/images/2.png", png(2))
    paths = ["images/1.png", "images/2.png", "images/gone.png", None]
    values = paths if type_ == pa.string() else [{"bytes": None, "path": path} for path in paths]
    found = source(place, table({"image": pa.array(values, type_)}))
    file = f"{place.url}/d/train.parquet"
    payloads = [record.payload for record in found.read(file, 0, 4)]
    assert payloads[:2] == [png(1), png(2)]
    assert "no such file" in str(payloads[2])
    assert "no image" in str(payloads[3])
    assert found.parts(file)[:2] == [file, first]


def test_plain_bytes(place: Any, png: Callable[..., bytes]) -> None:
    found = source(place, table({"img": pa.array([png(1), None], pa.binary())}))
    payloads = [record.payload for record in found.read(f"{place.url}/d/train.parquet", 0, 2)]
    assert payloads[0] == png(1)
    assert isinstance(payloads[1], SampleError)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, 2], None, [3, 4], [5]], pa.list_(pa.float32())),
        pa.array([[1, 2], None, [3, 4], [5]], pa.large_list(pa.int64())),
        pa.array([to_npy(np.float32(v)) for v in ([1, 2], [9], [3, 4], [5])], pa.binary()),
    ],
    ids=["list", "large_list", "npy"],
)
def test_vectors(local: Any, column: pa.Array) -> None:
    found = source(local, table({"features": column}), "tensor").read(f"{local.url}/d/train.parquet", 0, 4)
    payloads = [record.payload for record in found]
    assert [ArrayKind().decode(payloads[row]).tolist() for row in (0, 2, 3)] == [[1, 2], [3, 4], [5]]


def test_missing_vectors_do_not_shift_others(local: Any) -> None:
    for type_ in (pa.list_(pa.float32()), pa.list_(pa.float32(), 2)):
        data = table({"features": pa.array([[1, 2], None, [3, 4]], type_)}, group=3)
        payloads = [
            record.payload for record in source(local, data, "tensor").read(f"{local.url}/d/train.parquet", 0, 3)
        ]
        assert isinstance(payloads[1], SampleError)
        assert payloads[2].tolist() == [3, 4]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", "", None, "ü"]),
        pa.array(["a", "", None, "ü"], pa.large_string()),
        pa.array(["a", "", None, "ü"]).dictionary_encode(),
        pa.array(["a", "", None, "ü"], pa.large_string()).dictionary_encode(),
    ],
    ids=["string", "large_string", "dictionary", "dictionary of large_string"],
)
def test_texts(place: Any, column: pa.Array) -> None:
    file = f"{place.url}/d/train.parquet"
    one = source(place, table({"text": column, "label": [1, 0, 1, 0]}), "text")
    records = list(one.read(file, 0, 4))
    assert [record.payload for record in records] == [("a",), ("",), (None,), ("ü",)]
    assert [record.label for record in records] == [1, 0, 1, 0]
    assert one.parts(file) == [file]
    two = source(place, table({"hypothesis": ["w", "x", None, "z"], "premise": column}), "text")
    assert [record.payload for record in two.read(file, 1, 4)] == [("", "x"), (None, None), ("ü", "z")]


def test_a_text_that_is_not_utf8_costs_its_sample(local: Any) -> None:
    """Parquet promises UTF-8, and nobody checks."""
    column = pa.array([b"good", b"caf\xe9", b"fine"], pa.binary()).view(pa.string())
    found = source(local, table({"text": column}), "text").read(f"{local.url}/d/train.parquet", 0, 3)
    first, second, third = (record.payload for record in found)
    assert (first, third) == (("good",), ("fine",))
    assert isinstance(second, SampleError)
    assert "not UTF-8" in str(second)


def test_columns_of_numbers(local: Any) -> None:
    data = table({"a": [1, 2, None], "text": ["p", "q", "r"], "b": [0.5, 1.5, 2.5], "label": [0, 1, 0]})
    payloads = [record.payload for record in source(local, data, "tensor").read(f"{local.url}/d/train.parquet", 0, 3)]
    assert [payload.tolist() for payload in payloads[:2]] == [[1, 0.5], [2, 1.5]]
    with pytest.raises(SampleError):
        ArrayKind().decode(payloads[2])


@pytest.mark.parametrize("label", [["b", "a", None, "b"], pa.array(["b", "a", None, "b"]).dictionary_encode()])
def test_label_texts_are_the_class_names(local: Any, label: Any) -> None:
    found = source(local, table({"x": [[1.0]] * 4, "label": label}), "tensor")
    assert found.class_names() == ["a", "b"]
    assert [record.label for record in found.read(f"{local.url}/d/train.parquet", 0, 4)] == ["b", "a", None, "b"]


@pytest.mark.parametrize(("column", "keys"), [(["u", "v/w", "x"], ["u", "v--w", "x"]), ([7, 8, 9], ["7", "8", "9"])])
def test_own_keys(local: Any, column: list[Any], keys: list[str]) -> None:
    found = source(local, table({"x": [[1.0]] * 3, "id": column}), "tensor")
    file = f"{local.url}/d/train.parquet"
    assert list(found.keys(file)) == keys
    assert [record.key for record in found.read(file, 0, 3)] == keys


def test_lists_of_targets(local: Any) -> None:
    found = source(local, table({"x": [[1.0]], "y": [[0.5, 0.25]]}), "tensor")
    assert next(found.read(f"{local.url}/d/train.parquet", 0, 1)).label == [0.5, 0.25]


@pytest.mark.parametrize("metadata", ["nonsense", "[]", '{"info": {"features": {"label": {"names": 3}}}}'])
def test_odd_metadata_is_ignored(local: Any, metadata: str) -> None:
    data = table({"x": [[1.0]], "label": [0]}, metadata={"huggingface": metadata})
    assert source(local, data, "tensor").class_names() is None


@pytest.mark.parametrize("cut", [0, 10, 60])
def test_damaged_file(place: Any, cut: int) -> None:
    with pytest.raises(UserError, match=r"train.parquet: not a readable Parquet file"):
        source(place, table({"x": [[1.0]]})[:-1][:cut], "tensor").sizes()


def test_damaged_row_group(local: Any) -> None:
    data = bytearray(table({"x": [[float(row)] for row in range(500)]}, group=500))
    data[4:60] = bytes(56)
    with pytest.raises(UserError, match=r"train.parquet"):
        list(source(local, bytes(data), "tensor").read(f"{local.url}/d/train.parquet", 0, 500))


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("image", {"image": "n"}, "column 'n' is int64; data.kind takes bytes"),
        ("tensor", {"features": ["n", "t"]}, "column 't' is string; data.kind takes lists of numbers, or numbers"),
        ("text", {"text": "n"}, "column 'n' is int64; data.kind takes strings"),
        ("text", {"text": "t", "text_pair": "n"}, "column 'n' is int64; data.kind takes strings"),
    ],
)
def test_wrong_column_type(local: Any, content: str, columns: Any, message: str) -> None:
    data = table({"n": [1], "t": ["a"]})
    with pytest.raises(UserError, match=message):
        list(source(local, data, content, **columns).read(f"{local.url}/d/train.parquet", 0, 1))


def test_files_with_other_columns(local: Any) -> None:
    urls = [local.write("a.parquet", table({"x": [[1.0]]})), local.write("b.parquet", table({"z": [[1.0]]}))]
    found = ParquetSource(urls, Columns(), "tensor", local.url)
    with pytest.raises(UserError, match=r"b.parquet: no column 'x', which .*a.parquet has"):
        list(found.read(urls[1], 0, 1))
