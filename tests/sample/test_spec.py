"""What may be written after ``sample:``, and what an error says."""

from __future__ import annotations

import datetime as dt

import pytest

from warehouse.sources.sample import SampleFirm, SampleSpec, SampleSpecError, parse


def test_every_part_may_be_left_out() -> None:
    assert parse("sample") == SampleSpec(clients=1000, seed=7, end=None)
    assert parse("sample:seed=3") == SampleSpec(seed=3)
    assert parse("sample: clients=50 , end=2025-07-01") == SampleSpec(50, 7, dt.date(2025, 7, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder:x", "expected sample"),
        ("sample:", "nothing after the colon"),
        ("sample:clients=many", "clients is a whole number, got 'many'"),
        ("sample:clients=3", "20 to 1,000,000 clients, got clients=3"),
        ("sample:seed=-1", "0 or more, got seed=-1"),
        ("sample:seed=1,seed=2", "seed is given twice"),
        ("sample:size=10", "'size=10' in 'sample:size=10' is not clients=N"),
        ("sample:end=yesterday", "a date like 2026-01-31, got 'yesterday'"),
        ("sample:end=2024-06-01", "the earliest end is 2024-12-05, got end=2024-06-01"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(SampleSpecError, match=message):
        parse(text)


def test_books_end_yesterday_by_default() -> None:
    firm = SampleFirm.parse("sample:clients=20", today=dt.date(2026, 3, 1))
    assert firm.end == dt.date(2026, 2, 28)


def test_identity_leaves_the_end_out() -> None:
    one = SampleFirm(clients=20, seed=4, end=dt.date(2025, 1, 1))
    two = SampleFirm(clients=20, seed=4, end=dt.date(2026, 1, 1))
    assert one.identity == two.identity == "sample:clients=20,seed=4"
