"""Sliding windows in memory decide as the library's own do, whatever comes when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.windows import SWEEP_SECONDS, UNITS, Rate, Windows


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def standing() -> Iterator[Clock]:
    clock, real = Clock(), time.time
    time.time = clock
    try:
        yield clock
    finally:
        time.time = real


CALLS = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 9)), max_size=60)


@settings(max_examples=60, deadline=None)
@given(calls=CALLS, most=st.integers(1, 8), seconds=st.integers(1, 7))
def test_calls_are_let_through_as_the_library_lets_them(
    calls: list[tuple[str, float]], most: int, seconds: int
) -> None:
    item = RateLimitItemPerSecond(most, seconds)

    async def run() -> None:
        ours, theirs = Windows(), SlidingWindowCounterRateLimiter(MemoryStorage())
        with standing() as clock:
            for who, wait in calls:
                clock.now += round(wait, 1)
                hit = ours.hit(who, Rate(most, seconds))
                assert hit.allowed == await theirs.hit(item, who)
                stats = await theirs.get_window_stats(item, who)
                assert hit.remaining == stats.remaining
                reset = stats.reset_time - clock.now
                # The library says nothing where a step is just over, and where one just begins.
                if 1e-3 < reset % (seconds / max(1, most)) < seconds / max(1, most) - 1e-3:
                    assert hit.reset == pytest.approx(reset, abs=1e-3)
                assert 0 <= hit.reset <= seconds

    asyncio.run(run())


def test_what_is_over_is_forgotten_so_that_strangers_take_no_memory() -> None:
    windows = Windows()
    with standing() as clock:
        for number in range(1000):
            assert windows.hit(f"address:{number}", Rate(3, 10)).allowed
        clock.now += SWEEP_SECONDS + 20
        assert windows.hit("another", Rate(3, 10)).allowed
    assert len(windows) == 1


@given(
    amount=st.integers(1, 10**6),
    every=st.sampled_from(["", "1", "2", "30"]),
    unit=st.sampled_from([*UNITS, "minutes", "Hours", "week", "", "s"]),
    by=st.sampled_from(["/", " per ", " / ", "per", " "]),
)
def test_limits_are_read_as_the_library_reads_them(
    amount: int, every: str, unit: str, by: str
) -> None:
    text = f"{amount}{by}{every} {unit}"
    try:
        item = parse(text)
    except ValueError:
        expected = None
    else:
        expected = (item.amount, item.get_expiry())
    try:
        rate = Rate.parse(text)
    except ValueError:
        assert expected is None
    else:
        assert (rate.amount, rate.seconds) == expected


@pytest.mark.parametrize("text", ["0/minute", "5/0 minutes"])
def test_a_limit_that_lets_nobody_through_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="600/minute"):
        Rate.parse(text)
