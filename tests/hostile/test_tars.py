"""WebDataset shards that would run code, leave their directory, or mean something else to another reader."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.shards.tar import write_tar


class Evil:
    def __reduce__(self):
        return exec, ("import pytest; pytest.hostile_code_ran = True",)


def npy(array: np.ndarray, **options) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, **options)
    return sink.getvalue()


def header(text: str, values: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + values


def with_json(**changes) -> bytes:
    import json

    fields = {"origin": "auxiliary", "parent_key": "s1", "round": 1, "gap_before": 1.0, "gap_after": 1.0, "steps": 1}
    return json.dumps({**fields, **changes}).encode()


MEMBERS = {
    "pickled member": ("s1.pyd", pickle.dumps(Evil()), "a member 'pyd'"),
    "another pickled member": ("s1.pickle", pickle.dumps(Evil()), "a member 'pickle'"),
    "torch member": ("s1.pth", pickle.dumps(Evil()), "a member 'pth'"),
    "objects": ("s1.teacher.npy", npy(np.array([Evil()]), allow_pickle=True), "s1: .*Python objects"),
    "structured": ("s1.teacher.npy", npy(np.zeros(3, "f2,f2")), "s1: .*must be float16"),
    "NaN logits": ("s1.teacher.npy", npy(np.array([0, np.nan, 0], "f2")), "sample s1: its teacher logits are not all"),
    "infinite logits": ("s1.teacher.npy", npy(np.array([0, np.inf, 0], "f2")), "sample s1: its teacher logits"),
    "huge shape": (
        "s1.teacher.npy",
        header("{'descr': '<f2', 'fortran_order': False, 'shape': (1099511627776,), }", b"x"),
        "s1: broken .npy: 1 bytes of values, the header promises",
    ),
    "huge and empty shape": (
        "s1.teacher.npy",
        header("{'descr': '<f2', 'fortran_order': False, 'shape': (0, 10000000000000000000000), }"),
        "s1: ",
    ),
    "code as header": ("s1.teacher.npy", header("__import__('pytest').hostile_code_ran"), "s1: broken .npy"),
    "nested header": ("s1.teacher.npy", header("(" * 9000), "s1: broken .npy"),
    "huge header": ("s1.teacher.npy", header("1" * 60000), "s1: broken .npy"),
    "class of no model": ("s0.cls", b"3", "s0: its label is none of 3 classes"),
    "negative class": ("s1.cls", b"-2", "s1: cls '-2' is no class index"),
    "class with escapes": ("s1.cls", b"\x1b[2J", r"s1: cls '\\\\?x1b"),
    "long class": ("s1.cls", b"1" * 10**6, "s1: cls '1+(\\.\\.\\.)?' is no class index"),
    "long JSON": ("s1.json", b'{"a": "' + b"x" * 10**6 + b'"}', "s1: 1,000,009 bytes of JSON, the limit is 4,096"),
    "nested JSON": ("s1.json", b"[" * 4000, "s1: not JSON"),
    "JSON twice": ("s1.json", b'{"origin": "source", "origin": "auxiliary"}', "s1: not JSON: a name comes twice"),
    "JSON of NaN": ("s1+r01.json", with_json(gap_after=float("nan")), "s1\\+r01: not JSON: NaN"),
    "JSON of infinity": ("s1+r01.json", with_json().replace(b"1.0", b"1e999"), "s1\\+r01: gap_before = inf"),
    "round of 64 bits": ("s1+r01.json", with_json(round=2**40), "s1\\+r01: round = 1099511627776"),
    "round of none": ("s1+r01.json", with_json(round=0), "s1\\+r01: its round is less than 1"),
    "steps below 0": ("s1+r01.json", with_json(steps=-1), "s1\\+r01: steps = -1"),
    "round as text": ("s1+r01.json", with_json(round="1"), "s1\\+r01: round = '1'"),
    "round as bool": ("s1+r01.json", with_json(round=True), "s1\\+r01: round = True"),
    "other origin": ("s1+r01.json", with_json(origin="stolen"), "s1\\+r01: its origin is neither"),
    "parent that leaves": (
        "s1+r01.json",
        with_json(parent_key="../../x"),
        "s1\\+r01: its parent_key is none of a source sample",
    ),
    "not UTF-8": ("s1.json", b"\xff\xfe{}", "s1: not JSON"),
    "no image": ("s1.png", b"", "s1: not a PNG"),
    "empty logits": ("s1.teacher.npy", b"", "s1: broken .npy"),
}


@pytest.mark.parametrize(("name", "content", "error"), MEMBERS.values(), ids=MEMBERS)
def test_members(attack: Callable, dataset: Callable, members: dict, name: str, content: bytes, error: str) -> None:
    attack(dataset("webdataset", write_tar(_with(members, name, content).items())), error)


def _with(members: dict[str, bytes], name: str, content: bytes) -> dict[str, bytes]:
    """`name` changed, or added beside the other members of its sample."""
    files = {}
    for known, data in members.items():
        files[known] = content if known == name else data
        if known == "s1.json" and name not in members:
            files[name] = content
    return files


KEYS = {
    "up": "../../escaped",
    "absolute": "/tmp/escaped",
    "slash": "a/b",
    "backslash": "a\\b",
    "new line": "a\nb",
    "escape": "a\x1b[2Jb",
    "direction": "a\u202eb",
    "null": "a\0b",
    "empty": "",
    "space": " ",
    "long": "k" * 300,
    "half a suffix": "a+r",
    "hidden": ".a",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_keys(attack: Callable, dataset: Callable, members: dict, key: str) -> None:
    files = [(f"{key}{name[2:]}" if name.startswith("s1.") else name, data) for name, data in members.items()]
    error = "the key of a source sample|its key has more than|has (a )?members?|no tar header|not a shard|comes twice"
    attack(dataset("webdataset", write_tar(files)), error)


def member(name: str = "s1.png", type_: bytes = tarfile.REGTYPE, data: bytes = b"", **fields) -> Callable:
    def build(files: dict[str, bytes]) -> bytes:
        sink = io.BytesIO()
        with tarfile.open(fileobj=sink, mode="w", format=fields.pop("format", tarfile.GNU_FORMAT)) as tar:
            for known, content in files.items():
                info = tarfile.TarInfo(known)
                info.size = len(content)
                if known == name:
                    info.type, info.size = type_, len(data)
                    for field, value in fields.items():
                        setattr(info, field, value)
                tar.addfile(info, io.BytesIO(data if known == name else content))
        return sink.getvalue()

    return build


def patched(position: slice, value: bytes) -> Callable:
    """The first header changed, with a checksum that is right."""

    def build(files: dict[str, bytes]) -> bytes:
        data = bytearray(write_tar(files.items()))
        data[position] = value
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
        return bytes(data)

    return build


def long_names(files: dict[str, bytes]) -> bytes:
    data = write_tar(files.items())
    longer = write_tar([("n" * 200, b"")])[:1024]
    return longer + longer + data


TARS = {
    "symbolic link": (member(type_=tarfile.SYMTYPE, linkname="/etc/passwd"), "'s1.png' is not a plain file"),
    "hard link": (member(type_=tarfile.LNKTYPE, linkname="../../x"), "'s1.png' is not a plain file"),
    "device": (member(type_=tarfile.CHRTYPE, devmajor=1, devminor=5), "'s1.png' is not a plain file"),
    "fifo": (member(type_=tarfile.FIFOTYPE), "'s1.png' is not a plain file"),
    "directory": (member(type_=tarfile.DIRTYPE), "'s1.png/' is not a plain file"),
    "sparse": (member(type_=tarfile.GNUTYPE_SPARSE), "'s1.png' is not a plain file|no tar header"),
    "pax header that renames": (
        member(format=tarfile.PAX_FORMAT, pax_headers={"path": "../../escaped"}),
        "not a plain file|GNU format",
    ),
    "prefix to the name": (patched(slice(345, 347), b".."), "no tar header of the GNU format"),
    "size below 0": (patched(slice(124, 136), b"-0000002000\0"), "no tar header"),
    "size in binary": (patched(slice(124, 136), b"\x80" + b"\0" * 7 + b"\x7f\xff\xff\xff"), "no tar header"),
    "negative size in binary": (patched(slice(124, 136), b"\xff" * 12), "no tar header"),
    "size beyond the file": (patched(slice(124, 136), b"77777777777\0"), "cut short"),
    "two long names": (long_names, "no long name"),
    "a name that is long without end": (
        lambda files: patched(slice(156, 157), b"L")({"././@LongLink": b"x" * 2000, **files}),
        "no long name",
    ),
    "duplicate member": (lambda f: write_tar([*f.items()][:4] + [*f.items()][3:]), "twice a member 'json'"),
    "duplicate sample": (lambda f: write_tar([*f.items(), *[*f.items()][:4]]), "sample s0 comes twice"),
    "more samples": (
        lambda f: write_tar([*f.items()] + [(name.replace("s0", "s9"), data) for name, data in [*f.items()][:4]]),
        "sample s9 is one more than the 4 that are promised",
    ),
    "fewer samples": (lambda f: write_tar([*f.items()][:4]), "1 samples, the manifest promises 4"),
    "more after the end": (lambda f: write_tar(f.items()) + write_tar(f.items()), "more after its end"),
    "truncated": (lambda f: write_tar(f.items())[:3000], "cut short|no tar header"),
    "noise": (lambda f: np.random.default_rng(0).bytes(4000), "no tar header"),
    "nothing": (lambda f: b"", "cut short|0 bytes"),
    "a zip": (lambda f: b"PK\x03\x04" + bytes(2000), "no tar header"),
}


@pytest.mark.parametrize(("build", "error"), TARS.values(), ids=TARS)
def test_tars(attack: Callable, dataset: Callable, members: dict, build: Callable, error: str) -> None:
    attack(dataset("webdataset", build(members)), error)
