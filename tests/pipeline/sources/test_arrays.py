"""NumPy files: pairs found by name, rows read by place, objects refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from pipeline.sources.arrays import NumpySource
from schemas.errors import SampleError, UserError
from schemas.sections import Columns

X = np.arange(12, dtype=np.uint8).reshape(6, 2)
Y = np.array([0, 1, 2, 0, 1, 2])


def npy(values: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, values, **options)
    return sink.getvalue()


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    sink = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(sink, **arrays)
    return sink.getvalue()


def source(place: Any, files: dict[str, bytes], content: str = "tensor", **columns: Any) -> NumpySource:
    urls = [place.write(name, data) for name, data in files.items()]
    return NumpySource(urls, Columns(**columns), content, place.url)


def labels(found: NumpySource) -> dict[str, list[Any]]:
    return {
        file.rpartition("/")[2]: [record.label for record in found.read(file, 0, rows)] for file, rows in found.sizes()
    }


@pytest.mark.parametrize(
    ("files", "inputs", "parts"),
    [
        ({"x.npy": npy(X), "y.npy": npy(Y)}, "x.npy", 2),
        ({"d/train_features.npy": npy(X), "d/train_labels.npy": npy(Y)}, "d/train_features.npy", 2),
        ({"a.npz": npz(x=X, y=Y)}, "a.npz", 1),
        ({"a.npz": npz(compressed=True, features=X, target=Y)}, "a.npz", 1),
    ],
)
def test_inputs_and_labels(place: Any, files: dict[str, bytes], inputs: str, parts: int) -> None:
    found = source(place, files)
    ((file, rows),) = found.sizes()
    assert (file, rows) == (f"{place.url}/{inputs}", 6)
    assert len(found.parts(file)) == parts
    assert found.class_names() is None
    # Out of order, as a compressed member can only be read forwards.
    for start, stop in [(0, 2), (4, 6), (1, 3), (5, 6)]:
        records = list(found.read(file, start, stop))
        assert [record.payload.tolist() for record in records] == X[start:stop].tolist()
        assert [record.label for record in records] == Y[start:stop].tolist()
        assert [record.key for record in records] == list(found.keys(file))[start:stop]
    assert list(found.keys(file))[5] == inputs[:-4].replace("/", "--") + "-00000005"


@pytest.mark.parametrize(
    ("files", "columns", "expected"),
    [
        (["digits"], {}, {"digits.npy": [None, None]}),
        (["a_x", "a_y", "b_x", "b_y"], {}, {"a_x.npy": [1, 2], "b_x.npy": [3, 4]}),
        (["class_input", "input_label"], {}, {"class_input.npy": [1, 2]}),
        (["p", "q", "r"], {"features": "q", "label": "r"}, {"q.npy": [2, 3]}),
        (["x", "gold"], {"label": "gold"}, {"x.npy": [1, 2]}),
    ],
)
def test_pairs_among_npy_files(local: Any, files: list[str], columns: dict[str, str], expected: Any) -> None:
    order = {"a_y": [1, 2], "b_y": [3, 4], "input_label": [1, 2], "r": [2, 3], "gold": [1, 2]}
    found = source(local, {f"{n}.npy": npy(np.array(order.get(n, [[8.0], [9.0]]))) for n in files}, **columns)
    assert labels(found) == expected


def test_named_arrays_of_an_npz(local: Any) -> None:
    data = npz(x_train=X, y_train=Y, x_test=X[:1], y_test=Y[:1])
    with pytest.raises(UserError, match=r"several columns look like .*: x_train, .*; set data.columns.features to"):
        source(local, {"a.npz": data}).sizes()
    found = source(local, {"a.npz": data}, features="x_test", label="y_test")
    assert labels(found) == {"a.npz": [0]}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.5, 1.5]), [0.5, 1.5]),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]]),
        (np.array(["b", "a"]), ["b", "a"]),
        (np.array([True, False]), [True, False]),
        (np.array([3, 4], ">i2"), [3, 4]),
    ],
)
def test_labels_of_any_type(local: Any, values: Any, expected: list[Any]) -> None:
    found = source(local, {"a.npz": npz(x=X[:2], y=values)})
    assert labels(found) == {"a.npz": expected}
    assert found.class_names() == (["a", "b"] if expected == ["b", "a"] else None)


def test_images_keep_their_shape(local: Any) -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    found = source(local, {"images.npy": npy(pixels)}, "image")
    ((file, _),) = found.sizes()
    assert np.array_equal(next(found.read(file, 1, 2)).payload, pixels[1])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"x.npy": npy(np.array([{}], object), allow_pickle=True)},
            "x.npy: not a readable array: holds Python objects",
        ),
        ({"a.npz": npz(x=np.array([{}], object))}, "array 'x': not a readable array: holds Python objects"),
        ({"x.npy": npy(np.asfortranarray(np.eye(3)))}, "Fortran order; save np.ascontiguousarray"),
        ({"x.npy": npy(3.0)}, "single value"),
        ({"x.npy": b"not numpy"}, "not a readable array"),
        ({"a.npz": b"not a zip"}, "a.npz: not a readable .npz"),
        ({"a.npz": npz(x=X)[:100]}, "a.npz: not a readable .npz"),
        ({"x.npy": npy(X), "y.npy": npy(Y[:5])}, "has 6 inputs, but .*y.npy has 5 labels"),
        ({"y.npy": npy(Y)}, "labels without inputs"),
        ({"x.npy": npy(X), "images.npy": npy(X), "features.npy": npy(X)}, "look alike"),
    ],
)
def test_what_is_wrong_is_named(place: Any, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(UserError, match=message):
        source(place, files).sizes()


TEXTS = np.array(["", "zwei\0", "drei ü"])
PAIRS = np.array([["a", "1"], ["b", "2"]])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"text.npy": npy(TEXTS), "label.npy": npy(Y[:3])}, [("",), ("zwei",), ("drei ü",)]),
        ({"a.npz": npz(text=TEXTS, label=Y[:3])}, [("",), ("zwei",), ("drei ü",)]),
        ({"a.npz": npz(texts=TEXTS.astype(">U6"))}, [("",), ("zwei",), ("drei ü",)]),
        ({"a.npz": npz(text=PAIRS, y=Y[:2])}, [("a", "1"), ("b", "2")]),
        ({"a.npz": npz(text=PAIRS[:, :1])}, [("a",), ("b",)]),
    ],
)
def test_texts(place: Any, files: dict[str, bytes], expected: list[tuple[str, ...]]) -> None:
    found = source(place, files, "text")
    ((file, rows),) = found.sizes()
    assert [record.payload for record in found.read(file, 0, rows)] == expected
    assert [record.label for record in found.read(file, 0, rows)] in (Y[:rows].tolist(), [None] * rows)


def test_a_text_that_is_not_unicode_costs_its_sample(local: Any) -> None:
    data = npy(np.array(["ab", "cd"])).replace(np.array("cd").tobytes(), b"\xff" * 8)
    found = source(local, {"text.npy": data}, "text")
    first, second = found.read(f"{local.url}/text.npy", 0, 2)
    assert first.payload == ("ab",)
    assert isinstance(second.payload, SampleError)
    assert "not Unicode" in str(second.payload)


@pytest.mark.parametrize(
    ("files", "columns", "message"),
    [
        ({"x.npy": npy(X)}, {}, r"x.npy: uint8 \(6, 2\); texts are arrays of str, \(N,\) or for pairs \(N, 2\)"),
        ({"text.npy": npy(PAIRS.astype("S"))}, {}, "texts are arrays of str"),
        ({"text.npy": npy(np.array([["a", "b", "c"]]))}, {}, r"<U1 \(1, 3\); texts"),
        ({"a.npz": npz(premise=TEXTS, hypothesis=TEXTS)}, {}, "premise and hypothesis are two arrays; join both with"),
        ({"a.npz": npz(a=TEXTS, b=TEXTS)}, {"text": "a", "text_pair": "b"}, "data.columns.text_pair: .* join both"),
        ({"premise.npy": npy(TEXTS), "hypothesis.npy": npy(TEXTS)}, {}, "are two arrays; join both with"),
    ],
)
def test_what_is_no_text_is_named(local: Any, files: Any, columns: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        source(local, files, "text", **columns).sizes()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"features": "z"}, "no file z.npy"),
        ({"label": "z"}, "no file z.npy"),
        ({"key": "k"}, "data.columns.key"),
        ({"features": ["a", "b"]}, "data.columns.features"),
    ],
)
def test_columns_that_are_not_there(local: Any, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        source(local, {"x.npy": npy(X)}, **columns).sizes()


def test_a_file_cut_short_is_named(local: Any) -> None:
    found = source(local, {"x.npy": npy(X)[:-1]})
    with pytest.raises(UserError, match=r"x.npy: cut short; its header promises 6 rows"):
        list(found.read(f"{local.url}/x.npy", 4, 6))


def test_a_damaged_member_is_named(local: Any) -> None:
    data = bytearray(npz(compressed=True, x=np.arange(4000.0)))
    data[2000:2100] = bytes(100)
    found = source(local, {"a.npz": bytes(data)})
    with pytest.raises(UserError, match=r"a.npz"):
        list(found.read(f"{local.url}/a.npz", 0, 4000))
