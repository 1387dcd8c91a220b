"""Chunks are worked on ahead of the one that is put away, in order, and never many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.jobs.ahead import ahead


@given(items=st.lists(st.integers(), max_size=20), threads=st.integers(0, 4))
def test_what_comes_of_each_item_comes_in_order(items: list[int], threads: int) -> None:
    assert list(ahead(items, lambda item: item * 2, threads)) == [item * 2 for item in items]


def test_an_item_is_worked_on_while_the_one_before_is_put_away() -> None:
    second = threading.Event()
    found = ahead([1, 2], lambda item: second.set() if item == 2 else None, 1)
    next(found)
    assert second.wait(10)
    assert list(found) == [None]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_few_items_are_taken_ahead(threads: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield number

    for done, _ in enumerate(ahead(items(), lambda item: item, threads), start=1):
        assert taken - done <= threads


def test_an_error_comes_after_the_items_before_it_and_ends_the_work() -> None:
    worked: list[int] = []

    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        worked.append(item)
        return item

    found = ahead(range(100), work, 2)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(found)
    assert len(worked) <= 6


def test_closing_it_begins_no_further_item() -> None:
    worked: list[int] = []
    found = ahead(range(100), worked.append, 2)
    next(found)
    found.close()
    assert len(worked) <= 3
