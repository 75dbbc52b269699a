"""WebDataset tars: grouped by name, read by place, and nothing in them is trusted."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kinds.array import ArrayKind
from pipeline.npy import to_npy
from pipeline.sources.webdataset import WebDatasetSource
from schemas.errors import SampleError, UserError
from schemas.sections import Columns


def tar(*members: tuple[str, bytes | str], format: int = tarfile.USTAR_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=format) as archive:
        for name, data in members:
            content = data.encode() if isinstance(data, str) else data
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def source(place: Any, data: bytes, content: str = "image", **columns: Any) -> tuple[WebDatasetSource, str]:
    url = place.write("train-00000.tar", data)
    return WebDatasetSource([url], Columns(**columns), content, place.url), url


def test_samples_are_grouped_by_name(place: Any, png: Callable[..., bytes]) -> None:
    found, url = source(
        place,
        tar(
            ("a.png", png(1)),
            ("a.cls", "3"),
            ("dir/b.c.d", "ignored"),
            ("dir/b.PNG", png(2)),
            ("c.json", json.dumps({"label": 7})),
            ("c.jpg", b"jpeg"),
            (".hidden", "x"),
            ("README", "x"),
        ),
    )
    assert found.sizes() == [(url, 3)]
    assert found.keys(url) == ["a", "dir--b", "c"]
    assert found.class_names() is None
    records = list(found.read(url, 0, 3))
    assert [(record.key, record.payload, record.label) for record in records] == [
        ("a", png(1), 3),
        ("dir--b", png(2), None),
        ("c", b"jpeg", 7),
    ]


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("stop", range(5))
def test_any_run_of_rows(local: Any, start: int, stop: int) -> None:
    found, url = source(local, tar(*((f"{row}.png", bytes([row]) * (600 * row)) for row in range(4))))
    assert [record.payload for record in found.read(url, start, stop)] == [
        bytes([row]) * (600 * row) for row in range(start, min(stop, 4))
    ]


def test_vectors(place: Any) -> None:
    vector = np.array([1, 2.5], np.float32)
    found, url = source(
        place,
        tar(("a.teacher.npy", to_npy(vector * 9)), ("a.input.npy", to_npy(vector))),
        "tensor",
    )
    assert ArrayKind().decode(next(found.read(url, 0, 1)).payload).tolist() == [1, 2.5]


@pytest.mark.parametrize(
    ("members", "columns", "expected"),
    [
        ({"txt": "ein\nTëxt\n"}, {}, ("ein\nTëxt\n",)),
        ({"txt": "a", "pair.txt": "b", "cls": "1"}, {}, ("a", "b")),
        ({"text": "a"}, {}, ("a",)),
        ({"txt": ""}, {}, ("",)),
        ({"txt": "a", "pair.txt": "b"}, {"text": "txt"}, ("a",)),
        ({"q.txt": "a", "a.txt": "b"}, {"text": "q.txt", "text_pair": "a.txt"}, ("a", "b")),
        ({"txt": b"caf\xe9"}, {}, "not UTF-8: byte 3 is 0xe9"),
        ({"txt": "a", "pair.txt": b"\xff"}, {}, "not UTF-8: byte 0 is 0xff"),
        ({"cls": "1"}, {}, "no txt or text member but cls; data.columns.text can name one"),
        ({"txt": "a"}, {"text": "txt", "text_pair": "b.txt"}, "no b.txt member but txt; data.columns.text_pair can"),
    ],
)
def test_texts(place: Any, members: dict[str, str | bytes], columns: dict[str, str], expected: Any) -> None:
    data = tar(*((f"a.{extension}", content) for extension, content in members.items()))
    found, url = source(place, data, "text", **columns)
    payload = next(found.read(url, 0, 1)).payload
    if isinstance(expected, str):
        assert isinstance(payload, SampleError) and expected in str(payload)
    else:
        assert payload == expected


@pytest.mark.parametrize(
    ("member", "content", "label"),
    [
        ("cls", "5\n", 5),
        ("cls", "-1", -1),
        ("cls", "2.5", 2.5),
        ("cls", "cat", "cat"),
        ("cls", '"a cat"', "a cat"),
        ("cls", "[0.5, 1]", [0.5, 1]),
        ("cls", "", None),
        ("cls", "null", None),
        ("cls", b"\xff\xfe", "\ufffd\ufffd"),
        ("label", "5", 5),
        ("target.npy", to_npy(np.float32([3, 4])), [3, 4]),
        ("target.npy", to_npy(np.float32([3, np.nan])), None),
        ("target.npy", b"broken", None),
        ("json", '{"cls": 4, "label": 6}', 6),
        ("json", '{"other": 4}', None),
        ("json", "[1]", None),
        ("json", "{broken", None),
    ],
)
def test_labels(local: Any, member: str, content: bytes | str, label: Any) -> None:
    found, url = source(local, tar(("a.png", b"x"), (f"a.{member}", content)))
    assert next(found.read(url, 0, 1)).label == label


@pytest.mark.parametrize(
    ("columns", "label", "key"),
    [
        ({"label": "fine.txt"}, "tabby", "a"),
        ({"label": "coarse"}, 2, "a"),
        ({"label": "target.npy"}, [3.0, 4.0], "a"),
        ({"key": "uid"}, 9, "u_1"),
        ({"image": "cls"}, 9, "a"),
    ],
)
def test_columns_name_members_or_json_fields(local: Any, columns: dict[str, str], label: Any, key: str) -> None:
    members = {"png": b"x", "cls": "9", "fine.txt": "tabby", "json": '{"coarse": 2, "uid": "u.1"}'}
    members["target.npy"] = to_npy(np.float32([3, 4]))
    found, url = source(local, tar(*((f"a.{extension}", data) for extension, data in members.items())), **columns)
    record = next(found.read(url, 0, 1))
    assert (record.label, record.key, found.keys(url)) == (label, key, [key])
    assert record.payload == (b"9" if "image" in columns else b"x")


@pytest.mark.parametrize("columns", [{"label": "fine"}, {"key": "fine"}])
def test_a_named_column_that_no_sample_has(local: Any, columns: dict[str, str]) -> None:
    found, _ = source(local, tar(("a.png", b"x"), ("a.cls", "1")), **columns)
    with pytest.raises(UserError, match=r"no member or JSON field 'fine' .* found members cls, png"):
        found.sizes()


def test_label_texts_are_the_class_names(local: Any) -> None:
    found, _ = source(local, tar(("a.png", b"x"), ("b.png", b"x"), ("b.cls", "dog"), ("c.png", b"x"), ("c.cls", "cat")))
    assert found.class_names() == ["cat", "dog"]


def test_a_sample_without_payload_is_one_failure(local: Any) -> None:
    found, url = source(local, tar(("a.cls", "1"), ("b.png", b"x")))
    first, second = found.read(url, 0, 2)
    assert isinstance(first.payload, SampleError)
    assert "no png or" in str(first.payload)
    assert "but cls; data.columns.image" in str(first.payload)
    assert second.payload == b"x"


def test_only_plain_files_are_read(local: Any) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, type_ in [("a.png", tarfile.SYMTYPE), ("b.png", tarfile.LNKTYPE), ("c.png", tarfile.FIFOTYPE)]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = type_, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("../../d.png")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    found, url = source(local, sink.getvalue())
    assert [(record.key, record.payload) for record in found.read(url, 0, 9)] == [("__--__--d", b"x")]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_formats(local: Any, format: int) -> None:
    name = "d" * 90 + "/" + "n" * 80
    found, url = source(local, tar((f"{name}.png", b"x"), (f"{name}.cls", "1"), format=format))
    (record,) = found.read(url, 0, 2)
    assert (record.payload, record.label) == (b"x", 1)


@pytest.mark.parametrize("keep", [0, 100, 512, 900, 1024, 1500, 2048])
def test_a_tar_cut_short_is_named(place: Any, keep: int) -> None:
    data = tar(("a.png", b"x" * 400), ("b.png", b"y" * 400))
    found, _ = source(place, data[:keep])
    with pytest.raises(UserError, match=r"train-00000.tar: .*(cut short|damaged)"):
        found.sizes()


def test_a_damaged_header_in_the_middle_is_named(local: Any) -> None:
    data = bytearray(tar(("a.png", b"x"), ("b.png", b"y")))
    data[1024 + 150] ^= 0xFF
    found, _ = source(local, bytes(data))
    with pytest.raises(UserError, match="damaged at byte 1024"):
        found.sizes()


@given(st.integers(0, 1535), st.binary(min_size=1, max_size=8))
def test_damage_never_escapes_as_another_error(position: int, noise: bytes) -> None:
    data = bytearray(tar(("a.png", b"x"), ("b.png", b"y")))
    data[position : position + len(noise)] = noise
    fs, path = fsspec.core.url_to_fs("memory:///damaged/a.tar")
    fs.pipe_file(path, bytes(data))
    found = WebDatasetSource(["memory:///damaged/a.tar"], Columns(), "image", "memory:///damaged")
    with contextlib.suppress(UserError):
        for file, rows in found.sizes():
            list(found.read(file, 0, rows))


def test_more_tars_than_indexes_are_kept(local: Any) -> None:
    urls = [local.write(f"{n:02d}.tar", tar((f"{n}.png", bytes([n])))) for n in range(20)]
    found = WebDatasetSource(urls, Columns(), "image", local.url)
    assert found.sizes() == [(url, 1) for url in urls]
    assert [next(found.read(url, 0, 1)).payload for url in urls] == [bytes([n]) for n in range(20)]
