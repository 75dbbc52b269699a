"""What runs in a worker: it opens what a job needs once, and then makes one unit after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock

import torch

from pipeline.artifacts.units import Made, Target
from pipeline.models import pick_device
from pipeline.runners.base import Opener, Successor
from pipeline.version import VERSION
from pipeline.work.numerics import computing
from schemas.errors import BpkdError, UserError
from schemas.manifest import ShardReport


@dataclass(frozen=True, slots=True)
class Environment:
    """What has to be the same in every worker so that it makes the same bytes.

    Attributes:
        device: as in the config.
        type: of the device that it means where the run was started: "cpu", "cuda" or "mps".
        threads: of PyTorch on a CPU, which decide the last bits.
        bpkd, torch: versions.
    """

    device: str
    type: str
    threads: int
    bpkd: str
    torch: str

    @classmethod
    def here(cls, device: str) -> Environment:
        """That of this process.

        Raises:
            UserError: this machine does not have the device.
        """
        return cls(device, pick_device(device).type, torch.get_num_threads(), VERSION, torch.__version__)


@dataclass(frozen=True, slots=True)
class _Open:
    """The one job that this process is at: another one needs its memory."""

    opener: Opener
    environment: Environment
    make: Callable[[int], Made]


_lock = Lock()
_numerics = ExitStack()
_open: _Open | None = None


def make_unit(
    opener: Opener, target: Target, index: int, environment: Environment, slot: int | None = None
) -> ShardReport:
    """Make and write one unit in this process.

    Args:
        opener: of the job; what it opens is kept until one of another job comes, which may take it over.
        target: takes the files.
        index: of the unit.
        environment: what must hold here.
        slot: number of this worker among those of its machine; with several GPUs it takes the one of that number.

    Raises:
        UserError: the input is wrong, or the environment is another.
        BpkdError: a store does not answer, or nobody waits for the unit any more.
        RuntimeError: what else was raised, where that might not reach another process.
    """
    try:
        return target.write(_make(opener, environment, slot)(index))
    except Exception as error:
        if isinstance(error, BpkdError) or type(error).__module__ == "builtins":
            raise
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def forget() -> None:
    """Free what this process keeps open: its run has no more units for it."""
    global _open
    with _lock:
        _open = None
        _numerics.close()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _make(opener: Opener, environment: Environment, slot: int | None) -> Callable[[int], Made]:
    global _open
    with _lock:
        if torch.get_num_threads() != environment.threads:
            torch.set_num_threads(environment.threads)
        before = _open
        if before is not None and (before.opener, before.environment) == (opener, environment):
            return before.make
        _open = None  # also where what follows fails half-way
        _require(environment)
        make = None
        if before is not None and before.environment == environment and isinstance(opener, Successor):
            make = opener.take_over(before.make)
        if make is None:
            before = None  # frees its models before others are loaded
            _numerics.close()
            _numerics.enter_context(computing())
            make = opener.open(_device(environment, slot))
        _open = _Open(opener, environment, make)
        return make


def _device(environment: Environment, slot: int | None) -> torch.device:
    device = pick_device(environment.device if environment.device != "auto" else environment.type)
    if device.type == "cuda" and ":" not in environment.device and slot is not None:
        return torch.device("cuda", slot % torch.cuda.device_count())
    return device


def _require(environment: Environment) -> None:
    found = (("bpkd", environment.bpkd, VERSION), ("torch", environment.torch, torch.__version__))
    for what, wanted, here in found:
        if wanted != here:
            raise UserError(f"a worker has {what} {here}, the run {wanted}; install the same version on both")
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not has.get(environment.type, True):
        raise UserError(
            f"a worker has no {environment.type} device, on which the run computes (run.device = "
            f'"{environment.device}"); use workers that have one, or set run.device = "cpu"'
        )
