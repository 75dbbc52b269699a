"""Processes that train one student together, each on its part of every batch; and the form that is one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import torch

T = TypeVar("T")


class Ranks(Protocol):
    """One process's view of all of them. All of them call the same methods in the same order.

    Attributes:
        index: of this process, from 0.
        count: of processes.
        device: of this process; None where any will do.
    """

    index: int
    count: int
    device: torch.device | None

    def wrap(self, student: torch.nn.Module) -> torch.nn.Module:
        """The student with the weights of rank 0, whose gradients are the mean over the ranks."""

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The mean of each figure over the ranks."""

    def gather(self, value: T) -> list[T]:
        """What each rank has given, in their order."""

    def first(self, call: Callable[[], T]) -> T:
        """What `call` returns on rank 0, where alone it is called; an error of it ends all ranks."""

    def every(self, call: Callable[[], T]) -> T:
        """What `call` returns on this rank; an error of it on any rank ends all of them."""

    def held(self, context: AbstractContextManager[Any]) -> AbstractContextManager[None]:
        """`context`, entered and left on rank 0 alone; an error on entering it ends all ranks."""


class Alone:
    """One process."""

    index, count = 0, 1
    device: torch.device | None = None

    def wrap(self, student: torch.nn.Module) -> torch.nn.Module:
        return student

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        return dict(figures)

    def gather(self, value: T) -> list[T]:
        return [value]

    def first(self, call: Callable[[], T]) -> T:
        return call()

    def every(self, call: Callable[[], T]) -> T:
        return call()

    @contextmanager
    def held(self, context: AbstractContextManager[Any]) -> Iterator[None]:
        with context:
            yield


ALONE = Alone()
