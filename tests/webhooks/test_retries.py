"""When a delivery is tried again: Standard Webhooks' times, some jitter, and what receivers ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.webhooks.retries import DELAYS, LONGEST_WAIT, delivered, next_at, said
from ml.webhooks.sending import Answer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE_START = [
    *("0:00:05", "0:05:05", "0:35:05", "2:35:05", "7:35:05"),
    *("17:35:05", "31:35:05", "51:35:05", "75:35:05"),
]
"""As the specification's table has them, after the first attempt."""


def test_without_jitter_the_times_are_those_of_the_specification() -> None:
    at, found = NOW, []
    for tries in range(1, len(DELAYS) + 1):
        following = next_at(tries, at, None, 0.0)
        assert following is not None
        at = following
        seconds = int((at - NOW).total_seconds())
        found.append(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}")
    assert found == SINCE_START
    assert next_at(len(DELAYS) + 1, at, None, 0.0) is None


@given(st.integers(1, len(DELAYS)), st.floats(0, 1))
def test_jitter_makes_a_wait_longer_by_a_tenth_at_most(tries: int, jitter: float) -> None:
    found = next_at(tries, NOW, None, jitter)
    assert found is not None
    assert DELAYS[tries - 1] <= found - NOW <= DELAYS[tries - 1] * 1.1


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 5),
        ("-5", 5),
        ("3", 5),
        ("999999999999999999999", 86_400),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 5),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Fri, 31 Dec 999999999999 23:59:59 GMT", 5),
        ("Fri, 1 Dec 2026 99999999999999999999:59:59 GMT", 5),
        ("Fri, 1 Dec 2026 23:59:59 +9999999999", 5),
        ("soon", 5),
        ("", 5),
        ("1.5", 5),
        ("\u0661\u0662\u0660", 5),
        (None, 5),
    ],
)
def test_a_receiver_may_ask_for_a_longer_wait_within_bounds(
    asked: str | None, seconds: int
) -> None:
    assert next_at(1, NOW, asked, 0.0) == NOW + timedelta(seconds=seconds)


@given(st.text() | st.from_regex(r"\w{3}, \d{1,9} \w{3} \d{1,12} \d\d:\d\d:\d\d [-+]?\w+"))
def test_whatever_a_receiver_asks_the_wait_stays_within_bounds(asked: str) -> None:
    found = next_at(1, NOW, asked, 0.0)
    assert found is not None
    assert DELAYS[0] <= found - NOW <= LONGEST_WAIT


@pytest.mark.parametrize("status", [100, 199, 300, 301, 302, 304, 400, 404, 410, 429, 500, 700])
def test_anything_but_a_2xx_is_a_failure_in_words(status: int) -> None:
    answer = Answer(3, status)
    assert not delivered(answer)
    words = said(answer)
    assert words is not None
    assert words.startswith(f"answered {status}")
    assert ("redirect" in words) == (300 <= status < 400)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_is_taken(status: int) -> None:
    assert delivered(Answer(3, status))
    assert said(Answer(3, status)) is None
