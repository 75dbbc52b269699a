"""Data sets of perturbed text that lie about their sizes, unpack to more than they say, or name code to run."""

from __future__ import annotations

import base64
import functools
import io
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.shards.rows import Climbs, RowFormat, Rows
from pipeline.shards.tar import read_tar, write_tar
from pipeline.text.sentences import Perturbed, Sentence, Tokens
from pipeline.work.embeddings import embeddings_sha256
from schemas.registry import FORMATS
from schemas.sections import ModelConfig

LONGEST, WIDTH = 6, 16
BILLION = 10**9
FORM = RowFormat("text", "fp16", 3, (1, LONGEST, WIDTH), "classification", delta="fp16")
SPEC = {"kind": "text", "shape": [1, LONGEST, WIDTH], "delta": "fp16"}


@pytest.fixture(scope="session")
def student(text_models: Callable[..., Path]) -> Path:
    """The folder of a text model with 3 classes and embeddings of 16 numbers."""
    pytest.importorskip("transformers")
    return text_models(num_labels=3)


@pytest.fixture
def config(student: Path) -> str:
    return f"""
    run = {{ output = "run", device = "cpu", rounds = 0 }}
    data = {{ kind = "text", train = "none.parquet", max_length = 32 }}
    teacher = {{ factory = "hf:{student}" }}
    student = {{ factory = "hf:{student}" }}
    train = {{ steps = 2, batch_size = 4, init = "fresh" }}
    """


@pytest.fixture(scope="session")
def embeddings(student: Path) -> dict[str, Any]:
    """What the manifest tells of the student that the perturbations belong to."""
    from pipeline.models import TextModel, load_model

    section = ModelConfig(factory=f"hf:{student}")
    model = load_model(
        section, str, role="student", shape=(), classes=3, seed=0, device="cpu", kind="text", max_length=32
    )
    assert isinstance(model, TextModel)
    sha256 = embeddings_sha256(model)
    return {"student": sha256, "teacher": sha256, "residual": 0.0, "carry": "offset"}


@pytest.fixture
def texts(dataset: Callable[..., Path], embeddings: dict[str, Any]) -> Callable[..., Path]:
    """`texts(format, shard, rows={}, entry={})`: writes a data set of text of one shard around any bytes."""

    def write(format: str, shard: bytes, *, rows: dict[str, Any] | None = None, **changes: Any) -> Path:
        spec = {**SPEC, **(rows or {})}
        details = {} if spec["delta"] is None else {"embeddings": embeddings}
        return dataset(format, shard, rows=spec, details=details, **changes)

    return write


@pytest.fixture
def table() -> pa.Table:
    """Two source samples s0 and s1, and s0+r01 and s1+r01 mined from them, which are perturbed."""

    def rows(keys: list[str], sentences: list[Sentence], labels: list[int], source: bool) -> Rows:
        stored = FORM.kind_.stack(sentences)
        return Rows(keys, stored, np.array(labels), torch.zeros(2, FORM.width), np.full(2, source))

    tokens = Tokens(np.array([2, 5, 6, 3], np.int32), np.array([-1, 0, 0, -1], np.int8))
    shifted = [Sentence(("",), Perturbed(tokens, np.full((2, WIDTH), value, np.float32))) for value in (0.5, -1)]
    gaps = np.ones(2, np.float32)
    own = FORM.encode(rows(["s0", "s1"], [Sentence(("the film",)), Sentence(("no joy",))], [0, -1], True))
    climbs = Climbs(["s0", "s1"], 1, gaps, gaps, np.ones(2, np.int64))
    return pa.concat_tables([own, FORM.encode(rows(["s0+r01", "s1+r01"], shifted, [-1, -1], False), climbs)])


@pytest.fixture
def members(table: pa.Table) -> dict[str, bytes]:
    """The files of the tar that holds `table`."""
    return dict(read_tar(FORMATS.build("webdataset").write(table, FORM)))


@pytest.mark.parametrize("format", FORMATS.names)
def test_the_data_set_that_the_others_are_made_from_is_good(
    tmp_path: Path, harmless: Callable, texts: Callable, table: pa.Table, config: str, format: str
) -> None:
    folder = texts(format, FORMATS.build(format).write(table, FORM))
    (tmp_path / "config.toml").write_text(config)
    train = f"train {tmp_path / 'config.toml'} --dataset {folder} --output {tmp_path / 'output'}"
    for command in (f"verify {folder} --decode", f"inspect {folder}", train):
        assert harmless([*command.split(), "--quiet"])[0] == 0


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "many texts": ({"shape": [BILLION, LONGEST, WIDTH]}, r"of shape \[1000000000, 6, 16\] .* takes 3.05e\+04 GiB"),
    "three texts": ({"shape": [3, LONGEST, WIDTH]}, r"\[3, 6, 16\] is none that text data has"),
    "many tokens": ({"shape": [1, BILLION, WIDTH]}, "takes 67.1 GiB, the limit is 1 GiB"),
    "wide embeddings": ({"shape": [1, LONGEST, BILLION]}, "takes 22.4 GiB, the limit is 1 GiB"),
    "all of them": ({"shape": [BILLION] * 3}, "takes 3.73e\\+09 GiB, the limit is 1 GiB"),
    "a fourth": ({"shape": [1, 2, 3, 4]}, r"\[1, 2, 3, 4\] is none that text data has"),
    "beyond any number": ({"shape": [1, 10**30, 10**30]}, "takes more than 2\\^80 bytes, the limit is 1 GiB"),
    "no room for tokens": ({"shape": [1]}, r"shape = \[1\] is none that text data has"),
    "no width": ({"shape": [1, LONGEST]}, "is none that text data has"),
    "no codec": ({"delta": None}, r"shape = \[1, 6, 16\] is none that text data has"),
    "plain pairs": ({"delta": None, "shape": [2]}, "where the manifest promises column 'text_pair'"),
    "narrower embeddings": ({"shape": [1, LONGEST, 15]}, r"column 'delta' is list<.*, the manifest promises list<"),
    "fewer tokens": ({"shape": [1, 3, WIDTH]}, r"s0\+r01: 4 tokens, must be 1 to 3"),
    "another codec": ({"delta": "int8"}, r"column 'delta' is .*, the manifest promises"),
    "unknown codec": ({"delta": "fp8"}, r"unknown codec of perturbations 'fp8' \(takes fp16, int8"),
    "code as codec": ({"delta": "os:system"}, "unknown codec of perturbations 'os:system'"),
    "own module as codec": ({"delta": "hostile_module:Codec"}, "unknown codec of perturbations 'hostile_module:Codec'"),
    "path as codec": ({"delta": "/tmp/evil.py:run"}, "unknown codec of perturbations '/tmp/evil.py:run'"),
    "codec with escapes": ({"delta": "\x1b[2J"}, r"unknown codec of perturbations '\\x1b\[2J'"),
    "a long codec": ({"delta": "x" * 10**6}, "details.rows.delta: String should have at most"),
    "codec of no text": ({"delta": 3}, "details.rows.delta: Input should be a valid string"),
}


@pytest.mark.parametrize(("rows", "error"), LIES.values(), ids=LIES)
def test_lies(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    attack: Callable,
    texts: Callable,
    table: pa.Table,
    rows: dict[str, Any],
    error: str,
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "hostile_module.py").write_text("import pytest\npytest.hostile_code_ran = True\nCodec = object\n")
    monkeypatch.syspath_prepend(str(code))
    attack(texts("parquet", FORMATS.build("parquet").write(table, FORM), rows=rows), error)


@pytest.mark.parametrize(("delta", "there"), [("fp16", False), (None, True)], ids=["shifts of nothing", "no shifts"])
def test_shifts_and_embeddings_go_together(
    attack: Callable, dataset: Callable, table: pa.Table, embeddings: dict[str, Any], delta: str | None, there: bool
) -> None:
    spec = {**SPEC, "delta": delta, "shape": [1, LONGEST, WIDTH] if delta else [1]}
    shard = FORMATS.build("parquet").write(table, FORM)
    details = {"embeddings": embeddings} if there else {}
    attack(dataset("parquet", shard, rows=spec, details=details), "rows.delta and embeddings go together")


def packed(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"compression": "zstd", **options})
    return sink.getvalue()


def changed(table: pa.Table, row: int, **values: Any) -> pa.Table:
    """Some columns of a row have other values."""
    for name, value in values.items():
        field = table.schema.field(name)
        column = pa.concat_arrays(table[name].chunks)
        cell = value if isinstance(value, pa.Array) else pa.array([value], field.type)
        column = pa.concat_arrays([column.slice(0, row), cell, column.slice(row + 1)])
        table = table.set_column(table.schema.get_field_index(name), field, column)
    return table


def lists(values: np.ndarray, type_: pa.DataType) -> pa.Array:
    """One row that holds all of `values`."""
    flat = pa.array(values.reshape(-1), type_.value_type if values.ndim == 1 else type_.value_type.value_type)
    inner = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), inner)


def shifts(*values: float) -> list[np.ndarray]:
    return [np.full(WIDTH, value, np.float16) for value in values]


MINED = 3
NAN, INF = float("nan"), float("inf")
ROWS: dict[str, tuple[int, dict[str, Any], str]] = {
    "NaN shift": (MINED, {"delta": shifts(0, NAN)}, r"sample s1\+r01: its perturbation is not finite"),
    "infinite shift": (MINED, {"delta": shifts(-INF, 0)}, r"sample s1\+r01: its perturbation is not finite"),
    "null shift": (MINED, {"delta": [*shifts(0), None]}, r"sample s1\+r01: has a null in its delta"),
    "null id": (MINED, {"ids": [2, None, 6, 3]}, r"sample s1\+r01: has a null in its ids"),
    "fewer shifts": (MINED, {"delta": shifts(0)}, r"sample s1\+r01: 1 rows of delta for 2 tokens"),
    "shifts alone": (MINED, {"ids": None, "segments": None}, r"s1\+r01: has some of ids, segments, delta, must have"),
    "id below 0": (MINED, {"ids": [2, 5, -(2**31), 3]}, r"sample s1\+r01: its ids or segments are none of tokens"),
    "segments of none": (MINED, {"segments": [-1, 127, 0, -1]}, r"s1\+r01: its ids or segments are none of tokens"),
    "a text besides": (MINED, {"text": "the film"}, r"sample s1\+r01: is perturbed and has a text"),
    "no text": (0, {"text": None}, "sample s0: has no text"),
    "an empty text": (0, {"text": ""}, "sample s0: its text is empty"),
    "a text that is too long": (0, {"text": "x" * (2**15 + 1)}, "sample s0: 32,769 bytes of text, the limit is 32,768"),
    "perturbed source": (
        0,
        {"text": "", "ids": [2, 3], "segments": [-1, 0], "delta": shifts(0)},
        "sample s0: is a source sample with ids, which only auxiliary ones have",
    ),
}


@pytest.mark.parametrize(("row", "values", "error"), ROWS.values(), ids=ROWS)
def test_rows(attack: Callable, texts: Callable, table: pa.Table, row: int, values: dict[str, Any], error: str) -> None:
    attack(texts("parquet", packed(changed(table, row, **values))), error)


MANY_IDS = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
table = pa.ipc.open_stream(sys.stdin.buffer).read_all()
ends = pa.array([0, 1, 2, 3, 10**8 + 3], pa.int32())
ids = pa.ListArray.from_arrays(ends, pa.array(np.full(10**8 + 3, 5, np.int32)), mask=pa.array([False] * 4))
table = table.set_column(table.schema.get_field_index("ids"), table.schema.field("ids"), ids)
pq.write_table(table, sys.stdout.buffer, compression="zstd")
"""
"""Made by a process of its own: what this one takes would hide what the reader takes."""


@functools.cache
def many_ids(table: bytes) -> bytes:
    """10^8 times the same token, by run-length."""
    return subprocess.run([sys.executable, "-c", MANY_IDS], input=table, stdout=subprocess.PIPE, check=True).stdout


def stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def written_as(table: pa.Table, name: str, column: pa.Array) -> bytes:
    """A file with another column, whose own schema is the promised one: the reader goes by that."""
    sink, promised = io.BytesIO(), base64.b64encode(table.schema.serialize().to_pybytes())
    place = table.schema.get_field_index(name)
    schema = table.schema.set(place, pa.field(name, column.type))
    options = {"compression": "zstd", "store_schema": False, "dictionary_pagesize_limit": 2**30}
    with pq.ParquetWriter(sink, pa.schema(list(schema)), **options) as writer:
        writer.write_table(table.set_column(place, schema.field(place), column).replace_schema_metadata(None))
        writer.add_key_value_metadata({"ARROW:schema": promised.decode()})
    return sink.getvalue()


def many_texts(table: pa.Table) -> bytes:
    """256 samples with one text of 4 MiB: 1 GiB as a table, some KiB as a file."""
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(256, np.int32)), pa.array(["x" * 2**22]))
    return written_as(pa.concat_tables([table.slice(0, 1)] * 256).combine_chunks(), "text", long)


BOMBS: dict[str, tuple[Callable[[pa.Table], bytes], dict[str, int], str]] = {
    "10^8 ids by run-length": (
        lambda t: many_ids(stream(t)),
        {},
        "a column of 100000003 values, too many for 4 samples|bytes of values, 4 samples have",
    ),
    "10^6 shifts": (
        lambda t: packed(changed(t, 3, delta=lists(np.zeros((10**6, WIDTH), np.float16), t["delta"].type))),
        {},
        "bytes of values, 4 samples have|a column of .* values, too many for 4 samples",
    ),
    "10^6 ids": (
        lambda t: packed(changed(t, 3, ids=lists(np.zeros(10**6, np.int32), t["ids"].type))),
        {},
        "bytes of values, 4 samples have|a column of .* values, too many for 4 samples",
    ),
    "a text of 16 MiB": (lambda t: packed(changed(t, 0, text="x" * 2**24)), {}, "bytes of values, 4 samples have"),
    "1 GiB of texts": (
        many_texts,
        {"samples": 256, "source": 256, "labelled": 256},
        "bytes of values, 256 samples have",
    ),
}


@pytest.mark.parametrize(("build", "entry", "error"), BOMBS.values(), ids=BOMBS)
def test_bombs(
    attack: Callable, texts: Callable, table: pa.Table, build: Callable, entry: dict[str, int], error: str
) -> None:
    shard = build(table)
    assert len(shard) < 2**18
    attack(texts("parquet", shard, entry=entry), error)


class Evil:
    def __reduce__(self) -> Any:
        return exec, ("import pytest; pytest.hostile_code_ran = True",)


def npy(values: Any, dtype: Any = None, **options: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.array(values, dtype), **options)
    return sink.getvalue()


def header(dtype: str, shape: str, values: bytes = b"") -> bytes:
    """A `.npy` file that says anything of itself."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + values


MEMBERS: dict[str, tuple[str, bytes, str]] = {
    "many shifts": (
        "delta.npy",
        header("<f2", f"({BILLION}, {WIDTH})", b"x"),
        "1 bytes of values, the header promises",
    ),
    "wide shifts": ("delta.npy", header("<f2", f"(2, {BILLION})", b"x"), "1 bytes of values, the header promises"),
    "many and no shifts": ("delta.npy", header("<f2", f"({10**30}, 0)"), "broken .npy|must be float16"),
    "many wide shifts of none": ("delta.npy", header("<f2", f"(0, {10**30})"), "broken .npy|must be float16"),
    "shifts below none": ("delta.npy", header("<f2", f"(-1, {WIDTH})"), "broken .npy"),
    "many ids": ("ids.npy", header("<i4", f"(2, {BILLION})", bytes(8)), "8 bytes of values, the header promises"),
    "pickled shifts": ("delta.npy", npy([[Evil()]], object, allow_pickle=True), "Python objects"),
    "pickled ids": ("ids.npy", npy([[Evil()], [Evil()]], object, allow_pickle=True), "Python objects"),
    "a pickle": ("delta.npy", pickle.dumps(Evil()), "broken .npy"),
    "code as header": (
        "ids.npy",
        header("<i4", "__import__('pytest').__setattr__('hostile_code_ran', True)"),
        "broken .npy",
    ),
    "structured shifts": ("delta.npy", npy(np.zeros((2, WIDTH), "f2,f2")), r"must be float16 \(n, 16\)"),
    "NaN": ("delta.npy", npy(np.full((2, WIDTH), NAN), "f2"), "its perturbation is not finite"),
    "infinity": ("delta.npy", npy(np.full((2, WIDTH), INF), "f2"), "its perturbation is not finite"),
    "more shifts than tokens": ("delta.npy", npy(np.zeros((3, WIDTH)), "f2"), "3 rows of delta for 2 tokens"),
    "no ids": ("ids.npy", npy(np.zeros((2, 0)), "i4"), "must have all or none"),
    "more ids than promised": ("ids.npy", npy(np.zeros((2, 7)), "i4"), "7 tokens, must be 1 to 6"),
    "segments that wrap": ("ids.npy", npy([[1, 1], [256, 0]], "i4"), "its segments are none of tokens"),
    "a text besides": ("txt", b"the film", "is perturbed and has a text"),
    "a text that is none": ("txt", b"\xff\xfe\x00", "its text is not UTF-8"),
    "a long text": ("txt", b"x" * 2**24, "16,777,216 bytes of text, the limit is 32,768"),
    "a second text": ("pair.txt", b"x", "a member 'pair.txt'"),
    "a pickled member": ("pyd", pickle.dumps(Evil()), "a member 'pyd'"),
}


@pytest.mark.parametrize(("name", "content", "error"), MEMBERS.values(), ids=MEMBERS)
def test_members(
    attack: Callable, texts: Callable, members: dict[str, bytes], name: str, content: bytes, error: str
) -> None:
    files = {}
    for known, data in members.items():
        files[known] = content if known == f"s1+r01.{name}" else data
        if known == "s1+r01.json" and f"s1+r01.{name}" not in members:
            files[f"s1+r01.{name}"] = content
    attack(texts("webdataset", write_tar(files.items())), rf"s1\+r01.*({error})")


@pytest.mark.parametrize(
    ("ids", "longest", "error"),
    [
        ([2, 2**31 - 1, 6, 3], LONGEST, "token id 2147483647 .* made for a student with other embeddings"),
        ([2, *[5] * 40, 3], 200, "samples of up to 200 tokens, data.max_length = 32; set data.max_length = 200"),
    ],
    ids=["token of no vocabulary", "more tokens than the model takes"],
)
def test_what_only_the_model_can_tell(
    tmp_path: Path,
    harmless: Callable,
    texts: Callable,
    table: pa.Table,
    config: str,
    ids: list[int],
    longest: int,
    error: str,
) -> None:
    segments = [-1, *[0] * (len(ids) - 2), -1]
    delta = [np.zeros(WIDTH, np.float16)] * (len(ids) - 2)
    shard = packed(changed(table, MINED, ids=ids, segments=segments, delta=delta))
    (tmp_path / "config.toml").write_text(config)
    folder = texts("parquet", shard, rows={"shape": [1, longest, WIDTH]})
    train = f"train {tmp_path / 'config.toml'} --dataset {folder} --output {tmp_path / 'output'} --quiet"
    code, _, err = harmless(train.split())
    assert code == 2 and len(err.splitlines()) == 1 and re.search(error, err)
