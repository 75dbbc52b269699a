"""Weights from and to files: safetensors, and `.pt` as far as it holds nothing but tensors."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from pipeline.models.base import unwrap
from pipeline.models.messages import one_line
from pipeline.storage import read_file
from schemas.errors import UserError, clipped

_TORCH_SUFFIXES = (".pt", ".pth", ".bin")
_CONTAINERS = ("state_dict", "model_state_dict", "model")
_REMEDY = "convert it to safetensors: safetensors.torch.save_file(model.state_dict(), PATH)"
_PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel and of torch.compile


def read_weights(url: str) -> dict[str, Tensor]:
    """Read a checkpoint; no code in it ever runs.

    Args:
        url: path or fsspec URL of a `.safetensors`, or of a `.pt`, `.pth` or `.bin` that loads under
            `weights_only=True`: a state dict, or a mapping with one under `state_dict`, `model_state_dict` or `model`.

    Raises:
        UserError: no such file, another format, a broken file, or one that holds more than tensors.
    """
    suffix = PurePosixPath(url).suffix.lower()
    if suffix == ".safetensors":
        data = _read(url)
        try:
            return safetensors.torch.load(data)
        except Exception as error:  # its own, and what becomes of names, shapes and types that torch does not have
            raise UserError(f"{url}: not a whole safetensors file: {one_line(error)}") from error
    if suffix not in _TORCH_SUFFIXES:
        raise UserError(f"{url}: weights are read from .safetensors, {', '.join(_TORCH_SUFFIXES)}, not {suffix!r}")
    return _state_dict(_load_tensors(url), url)


def fit_weights(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load `state` into `module`, all of it or nothing.

    A prefix that every key has (`module.`, `_orig_mod.`) is dropped unless the module has it too. A tied parameter may
    be there under any one of its names.

    Args:
        module: a model, wrapped or not.
        state: tensors under the keys of the user's own model.
        origin: where the weights come from, for the message.

    Raises:
        UserError: keys are missing or unexpected, or shapes differ; counts and the first of each.
    """
    inner = unwrap(module)
    own = _tensors(inner)
    state = _without_prefix(state, own)
    present = {id(own[key]) for key in state if key in own}
    missing = [key for key, tensor in own.items() if key not in state and id(tensor) not in present]
    unexpected = [key for key in state if key not in own]
    reshaped = [key for key in state if key in own and state[key].shape != own[key].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} missing (first {missing[0]!r})")
    if unexpected:
        problems.append(f"{len(unexpected)} unexpected (first {unexpected[0]!r})")
    if reshaped:
        key = reshaped[0]
        shapes = f"{tuple(state[key].shape)}, the model has {tuple(own[key].shape)}"
        problems.append(f"{len(reshaped)} of another shape (first {key!r}: {shapes})")
    if problems:
        raise UserError(f"{origin}: does not fit the model: {', '.join(problems)}; factory and kwargs must be as saved")
    inner.load_state_dict(state, strict=False)


def weights_bytes(module: nn.Module) -> bytes:
    """The user's own model as a safetensors file: the same bytes for the same weights.

    Keys are those of its state dict; a tied parameter is written under each of its names, so that a plain
    `load_state_dict` takes the file.
    """
    tensors = _tensors(unwrap(module))
    # Copies, because safetensors refuses tensors that share memory.
    return safetensors.torch.save(
        {key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()}
    )


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 over (name, dtype, shape, bytes) of the parameters and persistent buffers of the user's own model."""
    digest = hashlib.sha256()
    for key, tensor in sorted(_tensors(unwrap(module)).items()):
        digest.update(f"{key}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def count_parameters(module: nn.Module) -> int:
    """Number of weights: elements of all parameters, tied ones counted once, buffers not counted."""
    return sum(parameter.numel() for parameter in unwrap(module).parameters())


def _read(url: str) -> bytes:
    try:
        return read_file(url)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{url}: no such weights file") from None


def _load_tensors(url: str) -> object:
    data = _read(url)
    if zipfile.is_zipfile(io.BytesIO(data)):
        _check_zip(data, url)
    elif tarfile.is_tarfile(io.BytesIO(data)):
        raise UserError(f"{url}: a tar of tensors, as PyTorch wrote before 0.4, is not read; {_REMEDY}")
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{url}: broken, or a pickle that needs code and is not run; {_REMEDY}") from error
    except Exception as error:  # what broken bytes lead its reader to is not limited to some exceptions
        raise UserError(f"{url}: not a checkpoint of torch.save: {one_line(error)}; {_REMEDY}") from error


def _check_zip(data: bytes, url: str) -> None:
    """Refuse what torch would hand to another loader, or unpack to more than the file itself has."""
    try:
        members = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, LookupError, struct.error) as error:
        raise UserError(f"{url}: not a checkpoint of torch.save: {one_line(error)}; {_REMEDY}") from error
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise UserError(f"{url}: a TorchScript archive holds code, which is not run; {_REMEDY}")
    if sum(member.file_size for member in members) > len(data):
        raise UserError(f"{url}: unpacks to more than its own size, which no torch.save does; {_REMEDY}")


def _state_dict(content: object, url: str) -> dict[str, Tensor]:
    name = next((n for n in _CONTAINERS if isinstance(content, Mapping) and isinstance(content.get(n), Mapping)), None)
    tensors: Any = content[name] if name and isinstance(content, Mapping) else content
    if not isinstance(tensors, Mapping):
        raise UserError(f"{url}: holds {type(tensors).__name__}; must hold a state dict (name -> tensor)")
    for key, value in tensors.items():
        if not isinstance(value, Tensor):
            name = clipped(repr(key))
            raise UserError(f"{url}: {name} is {type(value).__name__}; a state dict holds tensors only")
        if value.layout is not torch.strided or value.is_meta:
            raise UserError(f"{url}: {clipped(repr(key))} is sparse, or has no values; weights are plain tensors")
    return {str(key): value.detach() for key, value in tensors.items()}


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """The state dict without copies, so that tied parameters are one object under several names."""
    return {key: value for key, value in module.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}


def _without_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES * 2:  # one may be inside the other
        if state and _all_start(state, prefix) and not _all_start(own, prefix):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return dict(state)


def _all_start(names: Mapping[str, Any], prefix: str) -> bool:
    return all(name.startswith(prefix) for name in names)
