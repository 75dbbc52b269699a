"""What comes next is read meanwhile, whatever order the numbers come in."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from pipeline.work.read_next import ReadNext


def test_the_next_one_is_read_while_one_is_worked_on() -> None:
    begun = [threading.Event() for _ in range(4)]

    def read(index: int) -> int:
        begun[index].set()
        return 10 * index

    values = ReadNext(read, 4)
    for index in range(4):
        assert values.begin(index)() == 10 * index
        assert index == 3 or begun[index + 1].wait(10)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [0, 2, 4], [3, 4], [4, 0, 1, 1], [2, 3, 0, 1, 2]])
def test_the_order_changes_nothing(order: list[int]) -> None:
    values = ReadNext(lambda index: -index, 5)
    assert [values.begin(index)() for index in order] == [-index for index in order]


def test_every_second_one_is_not_read_ahead() -> None:
    calls = Counter[int]()
    values = ReadNext(lambda index: calls.update([index]), 100)
    for index in range(1, 100, 2):
        values.begin(index)()
    assert set(calls) == set(range(1, 100, 2))


def test_an_error_comes_with_the_number_that_it_belongs_to() -> None:
    def read(index: int) -> int:
        if index == 1:
            raise ValueError("one")
        return index

    values = ReadNext(read, 3)
    assert values.begin(0)() == 0
    with pytest.raises(ValueError, match="one"):
        values.begin(1)()
    assert values.begin(2)() == 2


def test_who_asks_goes_on_while_it_is_read() -> None:
    release = threading.Event()
    values = ReadNext(lambda index: release.wait(10), 1)
    waiting = values.begin(0)
    release.set()
    assert waiting()
