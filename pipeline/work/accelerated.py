"""Ranks that torchrun or `accelerate launch` has started, over accelerate."""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import timedelta
from importlib import import_module
from typing import Any, TypeVar

import torch

from pipeline.distill.ranks import ALONE, Ranks
from pipeline.work.launch import ElsewhereError, RankError, local_world_size, world_size
from schemas.errors import BpkdError, TransientError, UserError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others, for example while rank 0 writes a checkpoint to a slow store."""

CPU_BACKEND, CUDA_BACKEND = "gloo", "cuda:nccl,cpu:gloo"
"""Of torch.distributed. Messages between processes take the CPU's, which notices at once that a process has gone."""

_OTHER_ENGINES = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


@contextmanager
def join(device: str) -> Iterator[Ranks]:
    """The ranks that this process is one of; a single one where nothing has started several.

    Errors inside end this rank as they should be told: on rank 0 as they are, and on others as a `RankError`, or an
    `ElsewhereError` where the error is another rank's.

    Args:
        device: `run.device`.

    Raises:
        UserError: accelerate is missing, or the ranks do not have a device each.
        TransientError: on rank 0, another rank has ended.
    """
    if world_size() == 1:
        yield ALONE
        return
    ranks = _start(_backend(device))
    # Freed when the process ends, as several trainings of one process share it; what failed frees nothing, since that
    # may wait for ranks that no longer answer, and a process that has ended is what the others notice at once.
    atexit.register(_leave)
    try:
        yield ranks
    except BaseException as error:
        atexit.unregister(_leave)
        if not isinstance(error, Exception):
            raise
        told = _told(error, ranks.index)
        if isinstance(told, ElsewhereError):
            ranks.wait_for_first()
        raise told from (None if told is error else error)


class Accelerated:
    """The ranks; see `pipeline.distill.ranks.Ranks`.

    Control messages are pickled, between processes of one launch.

    Args:
        accelerator: accelerate's.
        messages: `accelerate.utils`, of which `gather_object` and `broadcast_object_list` are used.
    """

    def __init__(self, accelerator: Any, messages: Any) -> None:
        self._accelerator, self._messages = accelerator, messages
        self.index: int = accelerator.process_index
        self.count: int = accelerator.num_processes
        # Its CPU has a number, which compares unequal to what torch calls the CPU.
        device = accelerator.device
        self.device: torch.device | None = torch.device("cpu") if device.type == "cpu" else device

    def wrap(self, student: torch.nn.Module) -> torch.nn.Module:
        wrapped: torch.nn.Module = self._accelerator.prepare_model(student, device_placement=False)
        return wrapped

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        values = torch.tensor(list(figures.values()), dtype=torch.float64, device=self.device)
        means = self._accelerator.reduce(values, reduction="mean")
        return dict(zip(figures, means.tolist(), strict=True))

    def gather(self, value: T) -> list[T]:
        gathered: list[T] = self._messages.gather_object([value])
        return gathered

    def first(self, call: Callable[[], T]) -> T:
        error: Exception | None = None
        answer: list[Any] = [None, None]
        if self.index == 0:
            try:
                answer[0] = call()
            except Exception as raised:
                error, answer[1] = raised, _exit_code(raised)
        self._messages.broadcast_object_list(answer)
        if error is not None:
            raise error
        if answer[1] is not None:
            raise ElsewhereError("rank 0 has failed", answer[1])
        value: T = answer[0]
        return value

    def every(self, call: Callable[[], T]) -> T:
        error: Exception | None = None
        try:
            value = call()
        except Exception as raised:
            error = raised
        codes = self.gather(None if error is None else _exit_code(error))
        failed = {index: code for index, code in enumerate(codes) if code is not None}
        # An error that rank 0 has too is most likely the same one, and rank 0 tells it.
        if error is not None and (self.index == 0 or 0 not in failed):
            raise error
        if failed:
            names = ", ".join(map(str, failed))
            raise ElsewhereError(f"failed on rank {names}, which says why", next(iter(failed.values())))
        return value

    def wait_for_first(self) -> None:
        """Wait until rank 0 has ended: whoever has started the ranks ends all of them when one has failed, and what
        rank 0 has to say should come first.
        """
        with suppress(Exception):
            self._messages.broadcast_object_list([None])

    @contextmanager
    def held(self, context: AbstractContextManager[Any]) -> Iterator[None]:
        with ExitStack() as stack:

            def enter() -> None:
                stack.enter_context(context)

            self.first(enter)
            yield


def _start(backend: str) -> Accelerated:
    """Meet the others."""
    try:
        accelerate = import_module("accelerate")
    except ImportError:
        raise UserError("training on several devices needs accelerate; pip install 'bpkd[distributed]'") from None
    messages = accelerate.utils
    group = messages.InitProcessGroupKwargs(backend=backend, timeout=TIMEOUT)
    # Weights without a gradient, such as those of a head that is not used, are waited for otherwise. It also keeps the
    # order of summation from one start to the next.
    parallel = messages.DistributedDataParallelKwargs(find_unused_parameters=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the number of threads
        accelerator = accelerate.Accelerator(
            cpu=backend == CPU_BACKEND, mixed_precision="no", dynamo_backend="no", kwargs_handlers=[group, parallel]
        )
    return Accelerated(accelerator, messages)


def _told(error: Exception, index: int) -> Exception:
    """What becomes of an error on rank `index`."""
    if _is_loss(error):
        lost = "another rank has ended or does not answer; run the same command again to resume"
        return ElsewhereError(lost) if index else TransientError(lost)
    if isinstance(error, ElsewhereError):
        wrong = UserError if error.exit_code == UserError.exit_code else BpkdError
        return error if index else wrong(str(error))
    return RankError(f"rank {index}: {error}") if index else error


def _backend(device: str) -> str:
    """The backend for `run.device`.

    Raises:
        UserError: the ranks of this machine do not have a device each.
    """
    for variable, name in _OTHER_ENGINES.items():
        if os.environ.get(variable, "").lower() in ("1", "true"):
            raise UserError(f"accelerate is set to use {name}; `bpkd train` takes plain data parallelism (multi-GPU)")
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f'run.device = "{device}" is one device, and {world_size()} ranks take one each; set auto')
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return CPU_BACKEND
    if torch.cuda.device_count() < local_world_size():
        raise UserError(
            f'run.device = "{device}": torch sees {torch.cuda.device_count()} cuda devices for {local_world_size()} '
            "ranks on this machine; start as many as there are devices, or set it to cpu"
        )
    return CUDA_BACKEND


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _exit_code(error: Exception) -> int:
    code = getattr(error, "exit_code", 1)
    return code if isinstance(code, int) else 1


def _is_loss(error: Exception) -> bool:
    """Whether an error means that a rank is gone or silent: gloo's own are plain RuntimeErrors that name its files."""
    if isinstance(error, torch.distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and "/gloo/" in str(error)
