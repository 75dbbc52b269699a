"""How the stages compute: the same bits again on the same machine, and fast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.work.allocator import memory_kept


@contextmanager
def reproducible() -> Iterator[None]:
    """Within it, cuDNN picks deterministic algorithms, and fp32 is fp32 rather than TF32.

    Usable as a decorator. On a CPU nothing needs to be set; the bits depend on the number of threads there.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32)
    cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = True, False, False, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before


@contextmanager
def computing() -> Iterator[None]:
    """What holds where models run; usable as a decorator."""
    with reproducible(), memory_kept():
        yield
