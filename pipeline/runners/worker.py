"""What runs in a worker: it opens what a job needs once, and then makes one unit after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock

import torch

from pipeline.artifacts.units import Made, Target
from pipeline.models import pick_device
from pipeline.runners.base import Opener
from pipeline.version import VERSION
from pipeline.work.numerics import reproducible
from schemas.errors import BpkdError, UserError
from schemas.manifest import ShardReport


@dataclass(frozen=True, slots=True)
class Terms:
    """What has to be the same in every worker so that it makes the same bytes.

    Attributes:
        device: as in the config.
        threads: of PyTorch on a CPU, which decide the last bits.
        bpkd, torch: versions.
    """

    device: str
    threads: int
    bpkd: str
    torch: str

    @classmethod
    def here(cls, device: str) -> Terms:
        """Those of this process."""
        return cls(device, torch.get_num_threads(), VERSION, torch.__version__)


_lock = Lock()
_numerics = ExitStack()
_opened: list[tuple[Opener, Callable[[int], Made]]] = []
"""The one job that this process is at: another one needs its memory."""


def make_unit(opener: Opener, target: Target, index: int, terms: Terms, slot: int | None = None) -> ShardReport:
    """Make and write one unit in this process.

    Args:
        opener: of the job; what it opens is kept until one of another job comes.
        target: takes the files.
        index: of the unit.
        terms: what must hold here.
        slot: number of this worker among those of its machine; with several GPUs it takes the one of that number.

    Raises:
        UserError: the input is wrong, or the terms do not hold.
        BpkdError: a store does not answer, or nobody waits for the unit any more.
        RuntimeError: what else was raised, where that might not reach another process.
    """
    try:
        return target.write(_make(opener, terms, slot)(index))
    except Exception as error:
        if isinstance(error, BpkdError) or type(error).__module__ == "builtins":
            raise
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _make(opener: Opener, terms: Terms, slot: int | None) -> Callable[[int], Made]:
    with _lock:
        if torch.get_num_threads() != terms.threads:
            torch.set_num_threads(terms.threads)
        if not _opened or _opened[0][0] != opener:
            _require(terms)
            _opened.clear()
            _numerics.close()
            _numerics.enter_context(reproducible())
            _opened.append((opener, opener.open(_device(terms.device, slot))))
        return _opened[0][1]


def _device(name: str, slot: int | None) -> torch.device:
    device = pick_device(name)
    if device.type == "cuda" and ":" not in name and slot is not None:
        return torch.device("cuda", slot % torch.cuda.device_count())
    return device


def _require(terms: Terms) -> None:
    for what, wanted, found in (("bpkd", terms.bpkd, VERSION), ("torch", terms.torch, torch.__version__)):
        if wanted != found:
            raise UserError(f"a worker has {what} {found}, the run {wanted}; install the same version on both")
