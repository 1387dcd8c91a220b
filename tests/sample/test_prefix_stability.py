"""Books that end one day later hold the same rows, that day's rows, and that day's news."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from warehouse.contract import TABLES
from warehouse.sources.sample import SampleFirm

#: column -> the date column that says when its value became known
NEWS = {
    "clients": {"ended_on": "ended_on"},
    "invoices": {"paid_on": "paid_on"},
    "quotes": {"won": "decided_on", "decided_on": "decided_on"},
}
CASES = [
    (11, dt.date(2025, 1, 31)),
    (12, dt.date(2025, 12, 31)),
    (13, dt.date(2025, 6, 29)),  # a Sunday comes next to it: weeks close
    (14, dt.date(2025, 3, 16)),
    (15, dt.date(2026, 2, 28)),
]


def known_on(name: str, frame: pd.DataFrame) -> pd.Series:
    """The day each row became known."""
    if "known_at" in frame:
        return frame["known_at"]
    column = TABLES[name].date_column
    assert column is not None
    return frame[column]


@pytest.mark.parametrize(("seed", "end"), CASES)
def test_one_day_later_only_that_day_is_added(seed: int, end: dt.date) -> None:
    before = SampleFirm(clients=150, seed=seed, end=end)
    after = SampleFirm(clients=150, seed=seed, end=end + dt.timedelta(days=1))
    for name in before.tables():
        key = list(TABLES[name].key)
        old = before.table(name).to_pandas().fillna({"client_id": ""}).set_index(key)
        new = after.table(name).to_pandas().fillna({"client_id": ""}).set_index(key)
        assert old.index.is_unique, name
        assert new.index.is_unique, name
        assert old.index.difference(new.index).empty, name
        added = new.loc[new.index.difference(old.index)].reset_index()
        if len(added):
            assert set(known_on(name, added)) == {end + dt.timedelta(days=1)}, name
        kept = new.loc[old.index]
        for column in old.columns:
            same = (old[column] == kept[column]) | (old[column].isna() & kept[column].isna())
            if column in NEWS.get(name, {}):
                news = kept.loc[~same, NEWS[name][column]]
                assert set(news) <= {end + dt.timedelta(days=1)}, (name, column)
                assert old.loc[~same, column].isna().all(), (name, column)
            else:
                assert same.all(), (name, column)


def test_rows_are_known_by_the_last_day() -> None:
    end = dt.date(2025, 5, 14)
    firm = SampleFirm(clients=150, seed=16, end=end)
    for name in firm.tables():
        if TABLES[name].date_column is None:
            continue
        known = pd.to_datetime(known_on(name, firm.table(name).to_pandas()))
        assert known.max() <= pd.Timestamp(end), name


def test_the_same_words_make_the_same_firm() -> None:
    end = dt.date(2025, 5, 14)
    first, second = (SampleFirm(clients=120, seed=3, end=end) for _ in range(2))
    for name in first.tables():
        assert first.table(name).equals(second.table(name)), name


def test_another_seed_makes_another_firm() -> None:
    end = dt.date(2025, 5, 14)
    first, second = (SampleFirm(clients=120, seed=seed, end=end) for seed in (3, 4))
    assert not first.table("invoice_lines").equals(second.table("invoice_lines"))
    assert not first.table("series").equals(second.table("series"))


def test_more_clients_leave_the_series_of_the_firm_alone() -> None:
    end = dt.date(2025, 5, 14)
    small, large = (SampleFirm(clients=size, seed=3, end=end) for size in (100, 300))
    daily = [
        firm.table("series").to_pandas().query("series_id == 'website_visits'")
        for firm in (small, large)
    ]
    assert daily[0]["value"].tolist() == daily[1]["value"].tolist()
