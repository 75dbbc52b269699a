"""Model files that would run code, or claim more than they hold."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.models.weights import read_weights
from schemas.errors import UserError


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("import pytest; pytest.hostile_code_ran = True",)


class EvilSystem:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("exit 1",)


class Memory:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[int]]:
        return bytearray, (2**45,)


def saved(content: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    torch.save(content, sink, **options)
    return sink.getvalue()


def scripted() -> bytes:
    sink = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), sink)
    return sink.getvalue()


def tarred() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(Evil(), protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def repacked(change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    sink = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(3)}))) as source,
        zipfile.ZipFile(sink, "w", compression) as target,
    ):
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))
    return sink.getvalue()


def safetensors_file(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: list[int], start: int = 0, end: int = 4, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


CONVERT = "convert it to safetensors: safetensors.torch.save_file"
TORCH = {
    "code": (saved(Evil()), f"needs code and is not run; {CONVERT}"),
    "code in a state dict": (saved({"state_dict": {"a": torch.zeros(1), "b": EvilSystem()}}), CONVERT),
    "code of an older form": (
        saved({"a": Evil()}, _use_new_zipfile_serialization=False),
        f"needs code and is not run; {CONVERT}",
    ),
    "plain pickle": (pickle.dumps(Evil()), CONVERT),
    "plain pickle of the first protocol": (pickle.dumps(EvilSystem(), protocol=0), CONVERT),
    "module": (saved(nn.Linear(1, 1)), f"needs code and is not run; {CONVERT}"),
    "TorchScript": (scripted(), f"TorchScript archive holds code, which is not run; {CONVERT}"),
    "tar": (tarred(), f"a tar of tensors.* is not read; {CONVERT}"),
    "memory": (saved({"a": Memory()}), CONVERT),
    "zip bomb": (
        repacked(lambda name, data: data + bytes(2**26), zipfile.ZIP_DEFLATED),
        "unpacks to more than its own",
    ),
    "pickle of noise": (
        repacked(lambda name, data: np.random.default_rng(0).bytes(99) if name.endswith("data.pkl") else data),
        CONVERT,
    ),
    "storage cut": (repacked(lambda name, data: data[:-4] if "/data/" in name else data), CONVERT),
    "cut": (saved({"a": torch.zeros(999)})[:-99], CONVERT),
    "end of a zip": (b"PK\x05\x06" + b"\xff" * 18, CONVERT),
    "noise": (np.random.default_rng(0).bytes(1000), CONVERT),
    "sparse": (saved({"a": torch.zeros(2, 2).to_sparse()}), "'a' is sparse, or has no values"),
    "no values": (saved({"a": torch.empty(2**40, device="meta")}), "'a' is sparse, or has no values"),
    "name with escapes": (saved({"\x1b[2J" * 100: 1}), r"'\\x1b\[2J.*\.\.\. is int; a state dict holds tensors only"),
}
SAFETENSORS = {
    "header beyond the file": safetensors_file({}, length=2**62),
    "header of noise": safetensors_file(b"\xff" * 100),
    "header in pieces": safetensors_file(b'{"a": '),
    "nested header": safetensors_file(b'{"a":' * 10_000),
    "no file": b"",
    "no header": b"\0" * 8,
    "overlapping": safetensors_file({"a": tensor([1]), "b": tensor([1], 2, 6)}, bytes(6)),
    "offsets backwards": safetensors_file({"a": tensor([1], 4, 0)}, bytes(4)),
    "offsets beyond": safetensors_file({"a": tensor([2**20], 0, 2**22)}, bytes(4)),
    "hole": safetensors_file({"a": tensor([1], 8, 12)}, bytes(12)),
    "huge shape": safetensors_file({"a": tensor([2**62, 2**62])}, bytes(4)),
    "shape below 0": safetensors_file({"a": tensor([-1])}, bytes(4)),
    "unlike its bytes": safetensors_file({"a": tensor([3])}, bytes(4)),
    "unknown type": safetensors_file({"a": tensor([1], dtype="os.system")}, bytes(4)),
    "type that torch may lack": safetensors_file({"a": tensor([8], dtype="F4")}, bytes(4)),
    "hidden bytes": safetensors_file({"a": tensor([1])}, bytes(99)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("data", "error"), TORCH.values(), ids=TORCH)
def test_torch_files(tmp_path: Path, data: bytes, error: str) -> None:
    refused(tmp_path / "weights.pt", data, error)


@pytest.mark.parametrize("data", SAFETENSORS.values(), ids=SAFETENSORS)
def test_safetensors_files(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path / "weights.safetensors", data, "not a whole safetensors file")


def refused(path: Path, data: bytes, error: str) -> None:
    path.write_bytes(data)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=error) as caught:
        read_weights(str(path))
    assert str(caught.value).isprintable() and path.name in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 600 * 2**10
    assert not hasattr(pytest, "hostile_code_ran")
    assert list(path.parent.iterdir()) == [path]
