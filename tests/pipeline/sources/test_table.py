"""CSV and JSON lines: image paths or numbers, labels of any type, and rows found by their place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.kinds.array import ArrayKind
from pipeline.sources.table import CsvSource, JsonlSource
from pipeline.sources.text import TextTable
from schemas.errors import SampleError, UserError
from schemas.sections import Columns


def csv(place: Any, data: str, content: str = "tensor", /, **columns: Any) -> tuple[TextTable, str]:
    url = place.write("d/t.csv", data)
    return CsvSource([url], Columns(**columns), content, f"{place.url}/d"), url


def jsonl(place: Any, rows: list[Any], content: str = "tensor", **columns: Any) -> tuple[TextTable, str]:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    url = place.write("d/t.jsonl", "\n".join(lines))
    return JsonlSource([url], Columns(**columns), content, f"{place.url}/d"), url


def images(place: Any, form: str) -> tuple[TextTable, str]:
    for name in ("1", "2"):
        place.write(f"d/im/{name}.png", name)
    rows = [("im/1.png", "cat"), ("im/2.png", "dog"), ("im/gone.png", "cat"), ("", "cat")]
    if form == "csv":
        return csv(place, "file_name,label\n" + "".join(f"{path},{label}\n" for path, label in rows), "image")
    return jsonl(place, [{"file_name": path or None, "label": label} for path, label in rows], "image")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_image_paths_are_relative_to_the_file(place: Any, form: str) -> None:
    found, url = images(place, form)
    assert found.sizes() == [(url, 4)]
    assert found.class_names() == ["cat", "dog"]
    records = list(found.read(url, 0, 4))
    assert [record.payload for record in records[:2]] == [b"1", b"2"]
    assert [record.label for record in records] == ["cat", "dog", "cat", "cat"]
    assert [record.key for record in records] == list(found.keys(url)) == [f"t-{row:08d}" for row in range(4)]
    assert "no such file" in str(records[2].payload)
    assert "no 'file_name' in this row" in str(records[3].payload)
    assert found.parts(url) == [url, *(f"{place.url}/d/im/{name}.png" for name in ("1", "2", "gone"))]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize(("start", "stop"), [(start, stop) for stop in range(1, 6) for start in range(stop)])
def test_any_run_of_rows(local: Any, form: str, start: int, stop: int) -> None:
    rows = [{"a": row, "b": -row, "label": row % 2} for row in range(5)]
    text = "a,b,label\n" + "".join(f"{row['a']},{row['b']},{row['label']}\n" for row in rows)
    found, url = csv(local, text) if form == "csv" else jsonl(local, rows)
    records = list(found.read(url, start, stop))
    assert [ArrayKind().decode(record.payload).tolist() for record in records] == [[n, -n] for n in range(start, stop)]
    assert [int(str(record.label)) for record in records] == [row % 2 for row in range(start, stop)]
    assert found.parts(url) == [url]
    assert found.class_names() is None


@pytest.mark.parametrize(
    "text",
    [
        'name,a,b\n"x, y",1,2\n"two\nlines",3,4\n"say ""hi""",5,6\n',
        'name,a,b\r\n"x, y",1,2\r\n\r\n"two\r\nlines",3,4\r\n"say ""hi""",5,6',
        '\ufeffname,a,b\n"x, y", 1 ,2\n\n"two\nlines",3,4\n\n"say ""hi""",5,6\n\n',
    ],
)
def test_csv_quotes_blank_lines_and_marks(place: Any, text: str) -> None:
    found, url = csv(place, text, key="name")
    assert found.sizes() == [(url, 3)]
    assert [record.payload.tolist() for record in found.read(url, 0, 3)] == [[1, 2], [3, 4], [5, 6]]
    assert next(iter(found.keys(url))) == "x__y"
    assert [record.key for record in found.read(url, 1, 3)] == list(found.keys(url))[1:]


def test_csv_values_that_are_no_numbers_cost_their_sample(local: Any) -> None:
    found, url = csv(local, "a,b\n1,2\n3,x\n5,\n", features=["a", "b"])
    good, *bad = (record.payload for record in found.read(url, 0, 3))
    assert good.tolist() == [1, 2]
    for payload in bad:
        with pytest.raises(SampleError):
            ArrayKind().decode(payload)


@pytest.mark.parametrize(
    ("data", "columns", "expected"),
    [
        ('text,label\n"a, b",1\n"two\nlines",0\n', {}, [("a, b",), ("two\nlines",)]),
        ("idx,sentence1,sentence2,label\n0,a,b,1\n1,c,,0\n", {}, [("a", "b"), ("c", None)]),
        ("comment,stars\n12,5\n,4\n", {"text": "comment"}, [("12",), (None,)]),
        ("text,label\n1984,1\nnineteen,0\n", {}, [("1984",), ("nineteen",)]),
        ('text,label\n"",1\n', {}, [("",)]),
    ],
)
def test_csv_texts_are_as_they_stand(place: Any, data: str, columns: Any, expected: list[tuple[str | None]]) -> None:
    found, url = csv(place, data, "text", **columns)
    assert [record.payload for record in found.read(url, 0, len(expected))] == expected
    assert found.parts(url) == [url]


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ([{"text": "a", "label": "x"}, {"text": 7}, {"label": "y"}], {}, [("a",), (7,), (None,)]),
        ([{"premise": "a", "hypothesis": "b"}, {"premise": "c"}], {}, [("a", "b"), ("c", None)]),
        ([{"q": ["a"], "a": "b"}], {"text": "q", "text_pair": "a"}, [(["a"], "b")]),
    ],
)
def test_jsonl_texts_are_as_they_stand(place: Any, rows: list[Any], columns: Any, expected: list[Any]) -> None:
    found, url = jsonl(place, [*rows, "{broken"], "text", **columns)
    *payloads, broken = (record.payload for record in found.read(url, 0, len(rows) + 1))
    assert payloads == expected
    assert isinstance(broken, SampleError)


@pytest.mark.parametrize(
    ("labels", "names", "read"),
    [
        (["0", "1"], None, ["0", "1"]),
        (["0.5", "-1e3"], None, ["0.5", "-1e3"]),
        (["b", "a"], ["a", "b"], ["b", "a"]),
        (["1", "b"], ["1", "b"], ["1", "b"]),
        (["1", ""], None, ["1", None]),
    ],
)
def test_csv_labels(local: Any, labels: list[str], names: list[str] | None, read: list[str | None]) -> None:
    found, url = csv(local, "a,label\n" + "".join(f"1,{label}\n" for label in labels))
    assert found.class_names() == names
    assert [record.label for record in found.read(url, 0, 2)] == read


@pytest.mark.parametrize("label", [3, 2.5, "cat", None, [0.5, 1.0]])
def test_jsonl_labels(local: Any, label: Any) -> None:
    found, url = jsonl(local, [{"x": [1], "label": label}])
    assert next(found.read(url, 0, 1)).label == label
    assert found.class_names() == (["cat"] if label == "cat" else None)


def test_jsonl_vectors_in_one_column_or_several(local: Any) -> None:
    one, url = jsonl(local, [{"embedding": [1, 2], "id": 7}])
    record = next(one.read(url, 0, 1))
    assert (record.payload, record.key) == ([1, 2], "7")
    several, url = jsonl(local, [{"a": 1, "b": 2.5, "c": 9}], features=["b", "a"])
    assert next(several.read(url, 0, 1)).payload == [2.5, 1]


@pytest.mark.parametrize(
    "line", ["{broken", "[1, 2]", "7", "[" * 100_000, '{"x": "\udc80"'.encode("utf-8", "ignore").decode()]
)
def test_a_broken_json_line_is_one_failure(local: Any, line: str) -> None:
    found, url = jsonl(local, [{"x": [1]}, line, {"x": [3]}])
    first, second, third = found.read(url, 0, 3)
    assert (first.payload, third.payload) == ([1], [3])
    assert str(second.payload) == "row 2 is not a JSON object"
    assert second.key == list(found.keys(url))[1] == "t-00000001"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2,3\n", "not readable as CSV in rows 1 to 1"),
        ('a,b\n1,"2\n3,4\n', "CSV"),
        ("a,b\nx,y\n", "no column looks like vectors or numbers; found a, b"),
    ],
)
def test_bad_csv(local: Any, text: str, message: str) -> None:
    found, url = csv(local, text)
    with pytest.raises(UserError, match=message):
        list(found.read(url, 0, 1))


def test_csv_that_is_not_text(local: Any) -> None:
    url = local.write("d/t.csv", b"a,b\n\xff\xfe,2\n")
    with pytest.raises(UserError, match="not readable as CSV"):
        list(CsvSource([url], Columns(), "tensor", local.url).read(url, 0, 1))


def test_files_with_other_columns(local: Any) -> None:
    urls = [local.write("a.csv", "a,b,label\n1,2,0\n"), local.write("b.csv", "a,c,other\n1,2,0\n")]
    found = CsvSource(urls, Columns(), "tensor", local.url)
    assert found.sizes() == [(url, 1) for url in urls]
    with pytest.raises(UserError, match=r"b.csv: no column 'b', which the first file has"):
        list(found.read(urls[1], 0, 1))
    with pytest.raises(UserError, match=r"b.csv: no column 'label'"):
        found.class_names()


def test_files_in_turn(local: Any) -> None:
    urls = [local.write(f"{n}.jsonl", f'{{"x": [{n}]}}\n{{"x": [{n + 10}]}}') for n in range(20)]
    found = JsonlSource(urls, Columns(), "tensor", local.url)
    assert found.sizes() == [(url, 2) for url in urls]
    assert [next(found.read(urls[n], 1, 2)).payload for n in (0, 19, 3, 0)] == [[10], [29], [13], [10]]
