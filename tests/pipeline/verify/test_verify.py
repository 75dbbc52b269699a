"""Verification of data sets: whatever is not as promised is named with file and key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.shards.rows import Climbs, RowFormat, Rows
from pipeline.storage import Folder
from pipeline.verify import Verdict, verify
from pipeline.verify.verdict import LIMIT
from schemas.errors import UserError
from schemas.manifest import MANIFEST, FileEntry, Manifest, pack, unpack
from schemas.registry import FORMATS

IMAGES = RowFormat("image", "fp16", 3, (1, 5, 4), "classification")
NUMBERS = RowFormat("array", "fp32", 2, (3,), "regression", targets=2)
SOURCE, ROUNDS = 6, 2
GAPS = np.linspace(0.5, 1, SOURCE, dtype=np.float32)
FAILURE = b'{"key": "bad", "stage": "cache", "reason": "broken", "unit": "u"}\n'

Row = dict[str, Any]
Edit = Callable[[list[Row]], object]


def table(form: RowFormat) -> pa.Table:
    """6 source samples s0 to s5, then 6 auxiliary ones of each of 2 rounds; every second source sample has a label."""
    generator = np.random.default_rng(0)
    keys = [f"s{i}" for i in range(SOURCE)]

    def rows(names: list[str], own: bool) -> Rows:
        stored = generator.integers(0, 256, (SOURCE, *form.shape)).astype(form.kind_.dtype)
        unknown = (np.arange(SOURCE) % 2 == 0) | (not own)
        labels: np.ndarray = np.where(unknown, -1, np.arange(SOURCE) % form.width)
        if form.task == "regression":
            labels = np.where(unknown[:, None], np.nan, generator.normal(size=(SOURCE, 2))).astype(np.float32)
        logits = torch.from_numpy(generator.normal(size=(SOURCE, form.width))).half().float()
        return Rows(names, stored, labels, logits, np.full(SOURCE, own))

    tables = [form.encode(rows(keys, True))]
    for number in range(1, ROUNDS + 1):
        climbs = Climbs(keys, number, GAPS, 2 * GAPS, np.arange(SOURCE))
        tables.append(form.encode(rows([f"{key}+r{number:02d}" for key in keys], False), climbs))
    return pa.concat_tables(tables).combine_chunks()


def details(form: RowFormat, format: str) -> dict[str, Any]:
    mean = float(GAPS.astype(np.float64).mean())
    gap = {
        name: {"mean": m, "q25": 0, "q50": 0, "q75": 0} for name, m in (("gap_before", mean), ("gap_after", 2 * mean))
    }
    rows = {"kind": form.kind, "codec": form.codec, "width": form.width, "shape": list(form.shape)}
    rounds = [{"round": number, "samples": SOURCE, "gap": gap} for number in range(1, ROUNDS + 1)]
    return {
        "rows": {**rows, "task": form.task, "targets": form.targets},
        "format": format,
        "split": "train",
        "counts": {"source": SOURCE, "auxiliary": SOURCE * ROUNDS, "rounds": rounds},
        "provenance": {"mine": {"keep": "grew", "objective": "l2"}},
    }


def entry(path: str, data: bytes, **counts: int) -> FileEntry:
    return FileEntry(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), **counts)


def write(url: str, form: RowFormat = IMAGES, format: str = "parquet", edit: Edit | None = None) -> None:
    """A data set of two shards and a list of one failed sample; `edit` changes the rows before they are written."""
    whole = table(form)
    if edit:
        rows = whole.to_pylist()
        edit(rows)
        columns = {field.name: pa.array([row[field.name] for row in rows], field.type) for field in whole.schema}
        whole = pa.table(columns, whole.schema)
    folder, kind, entries = Folder(url), FORMATS.build(format), []
    for number, piece in enumerate((whole.slice(0, 10), whole.slice(10))):
        path, data = f"train-{number:05d}-of-00002.{kind.suffix}", kind.write(piece.combine_chunks(), form)
        own = piece["origin"].to_pylist().count("source")
        labelled = piece.num_rows - piece["label"].null_count
        folder.write(path, data)
        entries.append(entry(path, data, samples=piece.num_rows, source=own, labelled=labelled))
    folder.write("failures.jsonl", FAILURE)
    entries.append(entry("failures.jsonl", FAILURE))
    manifest = Manifest(
        artifact="dataset", bpkd="1", files=entries, failures=1, fingerprint={}, details=details(form, format)
    )
    folder.write(MANIFEST, pack(manifest))


def rewrite(url: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest as if its maker had written it so."""
    values = unpack(Folder(url).read(MANIFEST)).model_dump()
    change(values)
    Folder(url).write(MANIFEST, pack(Manifest.model_validate(values)))


def said(verdict: Verdict) -> list[str]:
    return [str(problem) for problem in verdict.problems]


def rename(rows: list[Row], row: int, key: str) -> None:
    rows[row] |= {"key": key, "image": {**rows[row]["image"], "path": f"{key}.png"}}


@pytest.fixture(params=FORMATS.names)
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("form", [IMAGES, NUMBERS], ids=["image", "array"])
@pytest.mark.parametrize("decode", [False, True])
def test_a_sound_data_set_has_no_problems(tmp_path, form, format, decode):
    write(str(tmp_path), form, format)
    verdict = verify(str(tmp_path), decode=decode)
    assert said(verdict) == [] and verdict.ok
    sizes = sum(path.stat().st_size for path in tmp_path.iterdir() if path.name != MANIFEST)
    assert (verdict.artifacts, verdict.files, verdict.samples, verdict.bytes) == (["dataset"], 3, 18, sizes)


def test_in_memory_too():
    write("memory://verified/set")
    assert verify("memory://verified/set").ok


WRONG_ROWS: dict[str, tuple[Edit, str]] = {
    "across shards": (
        lambda r: (rename(r, 17, "s0+r01"), r[17].update(parent_key="s0", round=1)),
        "train-00001-of-00002.EXT: s0+r01: comes twice, first in train-00000-of-00002.EXT",
    ),
    "unsuffixed": (lambda r: rename(r, 6, "x"), "x: the key of an auxiliary sample is its parent's with +rNN"),
    "other parent": (lambda r: r[7].update(parent_key="s2"), "s1+r01: its key is not that of its parent and round"),
    "other round": (lambda r: r[7].update(round=2), "s1+r01: its key is not that of its parent and round"),
    "orphan": (
        lambda r: (rename(r, 17, "gone+r02"), r[17].update(parent_key="gone")),
        "train-00001-of-00002.EXT: gone+r02: its parent 'gone' is none of the source samples",
    ),
    "unknown round": (
        lambda r: (rename(r, 17, "s5+r07"), r[17].update(round=7)),
        "s5+r07: its round is none of the manifest's",
    ),
    "gap": (lambda r: r[6].update(gap_before=-1.0), "s0+r01: its gap_before is negative"),
    "gap fell": (lambda r: r[6].update(gap_after=0.5), "s0+r01: its gap_after is not above gap_before"),
    "label": (lambda r: r[1].update(label=3), "s1: its label is none of 3 classes"),
    "logits": (lambda r: r[2].update(teacher_logits=np.array([0, np.nan, 1], np.float16)), "s2: its teacher logits"),
    "cut image": (lambda r: r[2]["image"].update(bytes=r[2]["image"]["bytes"][:-1]), "s2: the PNG is cut short"),
    "mean": (lambda r: r[6].update(gap_before=0.25), "manifest.json: details.counts: round 1 has a mean gap_before"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_ROWS)
def test_a_wrong_row_is_named(tmp_path, format, name):
    edit, line = WRONG_ROWS[name]
    write(str(tmp_path), IMAGES, format, edit)
    found = said(verify(str(tmp_path)))
    wanted = line.replace("EXT", FORMATS.build(format).suffix)
    assert [problem for problem in found if wanted in problem], found


# What a tar cannot hold, or its reader refuses.
WRONG_COLUMNS: dict[str, tuple[RowFormat, Edit, str]] = {
    "twice": (
        IMAGES,
        lambda r: rename(r, 1, "s0"),
        "train-00000-of-00002.parquet: s0: comes twice, first in train-00000",
    ),
    "suffixed": (IMAGES, lambda r: rename(r, 1, "s1+r01"), "s1+r01: the key of a source sample has"),
    "infinite gap": (IMAGES, lambda r: r[6].update(gap_after=float("inf")), "s0+r01: its gap_after is not finite"),
    "steps": (IMAGES, lambda r: r[6].update(steps=-1), "s0+r01: its steps are less than 0"),
    "origin": (IMAGES, lambda r: r[1].update(origin="other"), "s1: its origin is neither source nor auxiliary"),
    "climbing source": (IMAGES, lambda r: r[1].update(round=1), "s1: is a source sample with a round"),
    "no gap": (IMAGES, lambda r: r[6].update(gap_after=None), "s0+r01: is an auxiliary sample without gap_after"),
    "no image": (IMAGES, lambda r: r[1].update(image=None), "s1: has no image"),
    "path": (IMAGES, lambda r: r[1]["image"].update(path="../x.png"), "s1: its image has the path '../x.png'"),
    "target": (NUMBERS, lambda r: r[1].update(label=[1.0]), "s1: its label is not 2 numbers"),
    "infinite target": (NUMBERS, lambda r: r[1].update(label=[1.0, float("inf")]), "s1: its label is not finite"),
    "vector": (NUMBERS, lambda r: r[3].update(tensor=[0.0, float("nan"), 0.0]), "s3: holds a value that is missing"),
    "no vector": (NUMBERS, lambda r: r[3].update(tensor=None), "s3: has no tensor"),
}


@pytest.mark.parametrize("name", WRONG_COLUMNS)
def test_a_wrong_value_in_parquet_is_named(tmp_path, name):
    form, edit, line = WRONG_COLUMNS[name]
    write(str(tmp_path), form, "parquet", edit)
    assert [problem for problem in said(verify(str(tmp_path))) if line in problem]


def test_pixels_that_cannot_be_unpacked_are_found_by_decoding(tmp_path, format):
    def spoil(rows: list[Row]) -> None:
        from zlib import crc32

        data = rows[4]["image"]["bytes"]
        length = int.from_bytes(data[33:37], "big")
        body = b"IDAT" + bytes(length)
        rows[4]["image"]["bytes"] = data[:37] + body + crc32(body).to_bytes(4, "big") + data[45 + length :]

    write(str(tmp_path), IMAGES, format, spoil)
    assert verify(str(tmp_path)).ok
    (problem,) = verify(str(tmp_path), decode=True).problems
    assert problem.key == "s4" and "broken" in problem.what


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            values = values[int(name) if name.isdigit() else name]
        values[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("details.counts.source", 7, "manifest.json: details.counts: 7 source samples, there are 6"),
        ("details.counts.rounds.0.samples", 5, "details.counts: round 1 has 5 samples, there are 6"),
        ("files.0.source", 4, "train-00000-of-00002.parquet: 6 source samples, the manifest promises 4"),
        ("files.0.labelled", 4, "train-00000-of-00002.parquet: 3 labels, the manifest promises 4"),
        ("files.0.samples", 9, "train-00000-of-00002.parquet: 10 samples, the manifest promises 9"),
        ("files.1.sha256", "0" * 64, "train-00001-of-00002.parquet: is damaged: its sha256"),
        ("files.1.bytes", 7, "bytes, the manifest promises 7"),
        ("failures", 2, "failures.jsonl: 1 failed samples, the manifest promises 2"),
        ("details.rows.width", 4, "the manifest promises"),
        ("details.rows.shape", [1, 4, 5], "s0: an image of 5x4, the manifest promises 4x5"),
        ("details.rows.shape", [2, 5, 4], "manifest.json: details.rows.shape"),
        ("details.rows.kind", "evil:Kind", "manifest.json: unknown kind of data 'evil:Kind'"),
        ("details.format", "webdataset", "not a shard of this data set"),
        ("details.counts", {}, "manifest.json: details.counts.source: Field required"),
    ],
)  # fmt: skip
def test_a_manifest_that_promises_something_else(tmp_path, path, value, line):
    write(str(tmp_path))
    rewrite(str(tmp_path), _set(path, value))
    found = said(verify(str(tmp_path)))
    assert [problem for problem in found if line in problem], found


def test_files_are_those_of_the_manifest(tmp_path):
    write(str(tmp_path))
    (tmp_path / "train-00000-of-00002.parquet").unlink()
    (tmp_path / "deep").mkdir()
    for name in ("deep/extra.bin", ".DS_Store", "deep/.hidden"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "_progress").mkdir()
    (tmp_path / "_progress" / "begun.json").write_bytes(b"{}")
    assert said(verify(str(tmp_path))) == [
        "train-00000-of-00002.parquet: is missing",
        "_progress: is left of unfinished work; run `bpkd export CONFIG` again to clear it",
        "deep/extra.bin: is not in the manifest",
    ]


def test_a_copy_that_is_not_complete_says_how_to_go_on(tmp_path):
    write(str(tmp_path))
    (tmp_path / "_progress").mkdir()
    (tmp_path / "_progress" / "transfer.json").write_bytes(b"{}")
    told = "is a copy that is not complete; run the same `bpkd pull` or `bpkd push` again"
    assert said(verify(str(tmp_path))) == [f"manifest.json: {told}", f"_progress: this {told}"]
    (tmp_path / "manifest.json").unlink()
    assert said(verify(str(tmp_path))) == [f"manifest.json: is missing: this {told}"]


def test_a_file_is_no_directory(tmp_path):
    write(str(tmp_path / "set"))
    (tmp_path / "c.toml").write_text("")
    with pytest.raises(UserError, match=r"c\.toml is a file; name the directory of a data set, of another artifact or"):
        verify(str(tmp_path / "c.toml"))
    with pytest.raises(UserError, match=r"manifest\.json is a file; name its directory, .*/set$"):
        verify(str(tmp_path / "set" / "manifest.json"))


def test_a_missing_shard_makes_no_orphans_of_the_samples_in_others(tmp_path):
    write(str(tmp_path))
    (tmp_path / "train-00000-of-00002.parquet").write_bytes(b"short")
    (problem,) = verify(str(tmp_path)).problems
    assert "5 bytes, the manifest promises" in problem.what


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_manifest_is_a_problem(tmp_path, data):
    write(str(tmp_path))
    (tmp_path / MANIFEST).write_bytes(data)
    (problem,) = verify(str(tmp_path)).problems
    assert problem.file == MANIFEST and "\n" not in str(problem)


@pytest.mark.parametrize(
    ("files", "found"), [({}, "no directory with files"), ({"a/b.txt": b"x"}, "there is no manifest.json")]
)
def test_what_is_no_artifact_is_refused(tmp_path, files, found):
    for name, data in files.items():
        Folder(str(tmp_path)).write(name, data)
    with pytest.raises(UserError, match=f"{found}; verify takes a data set"):
        verify(str(tmp_path))


def test_very_many_problems_are_counted(tmp_path):
    write(str(tmp_path))
    for number in range(LIMIT + 30):
        (tmp_path / f"extra-{number:03d}").write_bytes(b"")
    verdict = verify(str(tmp_path))
    assert (len(verdict.problems), verdict.more) == (LIMIT, 30)


def test_names_from_a_hostile_file_cannot_move_the_cursor(tmp_path):
    write(str(tmp_path))
    (tmp_path / "\x1b[2J").write_bytes(b"")
    (problem,) = verify(str(tmp_path)).problems
    assert str(problem).isprintable()


def test_one_flipped_byte_anywhere_is_found(tmp_path, format):
    write(str(tmp_path), IMAGES, format)
    files = {path: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    assert {path.name for path in files} >= {MANIFEST, "failures.jsonl"}
    ends = np.cumsum([len(data) for data in files.values()])
    generator = np.random.default_rng(0)
    # Every file in its turn, so that the small ones are hit too.
    places = [(number % len(files), generator.integers(0, 2**40)) for number in range(100)]
    places += [(int(np.searchsorted(ends, at, "right")), int(at)) for at in generator.integers(0, ends[-1], 100)]
    for which, at in places:
        path, data = list(files.items())[which]
        flipped = bytearray(data)
        flipped[at % len(data)] ^= 1 << int(generator.integers(8))
        path.write_bytes(flipped)
        found = {problem.file for problem in verify(str(tmp_path)).problems}
        assert path.name in found, (path.name, at % len(data))
        path.write_bytes(data)
    assert verify(str(tmp_path)).ok


def test_progress_counts_every_byte(tmp_path):
    write(str(tmp_path))
    counted: dict[str, Any] = {"done": 0}

    class Counted:
        def task(self, title: str, total: int, unit: str = "samples") -> Any:
            counted.update(total=total, unit=unit)
            return self

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def skip(self, amount: int, **figures: float) -> None: ...

        def advance(self, amount: int = 1, **figures: float) -> None:
            counted["done"] += amount

        def say(self, message: str) -> None:
            pass

    verdict = verify(str(tmp_path), progress=Counted())
    assert counted == {"done": verdict.bytes, "total": verdict.bytes, "unit": "bytes"}


@pytest.fixture
def logits(tmp_path: Path) -> Callable[..., str]:
    """A function that writes cached logits of 3 samples and gives their URL."""

    def write_logits(keys: list[str], values: list[list[float]], **changes: Any) -> str:
        from pipeline.shards.parquet import table_to_parquet

        column = pa.array([np.array(row, np.float32) for row in values], pa.list_(pa.float32(), 2))
        data = table_to_parquet(pa.table({"key": keys, "logits": column}))
        folder = Folder(str(tmp_path))
        folder.write("shard-00000.parquet", data)
        entries = [entry("shard-00000.parquet", data, samples=3, source=3)]
        values_ = {"fingerprint": {"codec": "fp32"}, "details": {"width": 2}, **changes}
        folder.write(MANIFEST, pack(Manifest(artifact="teacher-logits", bpkd="1", files=entries, **values_)))
        return str(tmp_path)

    return write_logits


FINE = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]


@pytest.mark.parametrize(
    ("keys", "values", "changes", "line"),
    [
        (["a", "b", "c"], FINE, {}, None),
        (["a", "b", "a"], FINE, {}, "shard-00000.parquet: a: comes twice, first in shard-00000.parquet"),
        (["a", "b/c", "d"], FINE, {}, "b/c: the key of a source sample has letters, digits, _ and - only"),
        (["a", "b", "c"], [[0, 1], [float("nan"), 0], [1, 2]], {}, "b: its teacher logits are not all finite"),
        (["a", "b"], FINE[:2], {}, "shard-00000.parquet: 2 samples, the manifest promises 3"),
        (["a", "b", "c"], FINE, {"details": {"width": 3}}, "the manifest promises fixed_size_list<item: float>[3]"),
        (["a", "b", "c"], FINE, {"fingerprint": {"codec": "evil:C"}}, "manifest.json: unknown logit codec 'evil:C'"),
        (["a", "b", "c"], FINE, {"details": {"width": 10**20}}, "manifest.json: details.width"),
        (["a", "b", "c"], FINE, {"fingerprint": {}}, "manifest.json: fingerprint.codec: None names no codec"),
    ],
)  # fmt: skip
def test_cached_logits(logits, keys, values, changes, line):
    found = said(verify(logits(keys, values, **changes)))
    assert (line is None and not found) or (len(found) == 1 and line in found[0])


def auxiliary(url: str, edit: Edit | None = None, *, source: int = 0, **changes: Any) -> None:
    """The auxiliary samples of round 2 as `mine` leaves them, from a data set's rows."""
    rows = [row for row in table(IMAGES).to_pylist() if row["round"] == 2]
    if edit:
        edit(rows)
    schema = IMAGES.schema
    columns = {field.name: pa.array([row[field.name] for row in rows], field.type) for field in schema}
    data = FORMATS.build("parquet").write(pa.table(columns, schema), IMAGES)
    described = details(IMAGES, "parquet")
    own = {"rows": described["rows"], "round": 2, "gap": described["counts"]["rounds"][1]["gap"], "dropped": 0}
    folder = Folder(url)
    folder.write("shard-00000.parquet", data)
    files = [entry("shard-00000.parquet", data, samples=len(rows), source=source)]
    fingerprint = {"mine": described["provenance"]["mine"]}
    manifest = Manifest(
        artifact="auxiliary", bpkd="1", files=files, fingerprint=fingerprint, details={**own, **changes}
    )
    folder.write(MANIFEST, pack(manifest))


@pytest.mark.parametrize(
    ("edit", "changes", "line"),
    [
        (None, {}, None),
        (lambda r: r[0].update(gap_after=0.1), {}, "s0+r02: its gap_after is not above gap_before"),
        (
            lambda r: r[0].update(origin="source"),
            {"source": 1},
            "s0+r02: is a source sample, the manifest promises auxiliary ones only",
        ),
        (None, {"round": 1}, "s0+r02: its round is none of the manifest's"),
        (None, {"round": 0}, "manifest.json: details.round: Input should be greater than or equal to 1"),
        (None, {"rows": {}}, "manifest.json: details.rows.kind: Field required"),
        (None, {"gap": {}}, None),
    ],
)
def test_auxiliary_samples(tmp_path, edit, changes, line):
    auxiliary(str(tmp_path), edit, **changes)
    found = said(verify(str(tmp_path)))
    assert (line is None and not found) or [problem for problem in found if line and line in problem], found


def test_a_run_is_all_of_its_artifacts(tmp_path):
    write(str(tmp_path / "dataset"))
    auxiliary(str(tmp_path / "round-02" / "auxiliary"), lambda r: r[0].update(steps=-1))
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "student" / "_progress").mkdir(parents=True)
    (tmp_path / "student" / "_progress" / "begun.json").write_text(json.dumps({}))
    (tmp_path / "dataset" / "extra").write_text("")
    verdict = verify(str(tmp_path))
    assert sorted(verdict.artifacts) == ["auxiliary", "dataset"] and verdict.samples == 24
    assert sorted(said(verdict)) == [
        "dataset/extra: is not in the manifest",
        "round-02/auxiliary/shard-00000.parquet: s0+r02: its steps are less than 0",
        "student/manifest.json: is missing: unfinished, or being made now",
    ]


def test_of_an_unfinished_run_it_says_what_is_not_there_yet(tmp_path):
    auxiliary(str(tmp_path / "round-01" / "auxiliary"))
    (tmp_path / "config.toml").write_text("run.rounds = 3\n[data]\neval = 'held-out'\n")
    assert verify(str(tmp_path)).missing == []  # perhaps a training of a data set from elsewhere
    (tmp_path / "teacher-logits" / "_progress").mkdir(parents=True)
    (tmp_path / "teacher-logits" / "_progress" / "begun.json").write_text(json.dumps({}))
    verdict = verify(str(tmp_path))
    assert verdict.artifacts == ["auxiliary"]
    assert verdict.missing == [
        *("round-01/opponent", "round-02/opponent", "round-02/auxiliary"),
        *("dataset", "student", "evaluation"),
    ]
    assert verdict.not_begun == 2  # opponent and samples of the third round
