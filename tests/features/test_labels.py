"""Labels look forward over a horizon, and are absent where it is not over."""

from __future__ import annotations

import random
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ml.features import (
    EventTable,
    Term,
    future_sum,
    line_events,
    margin_basis,
    no_event,
    observed_outcome,
)
from tests.features.generate import AS_OFS, CLIENTS, make_rows, to_tables

OBSERVED = date(2024, 5, 31)


def index(*as_ofs: date, clients: tuple[str, ...] = CLIENTS) -> pd.DataFrame:
    """Every client at every date, in an order of its own."""
    rows = [(client, pd.Timestamp(as_of)) for client in clients for as_of in as_ofs]
    return pd.DataFrame(rows, columns=["client_id", "as_of"], index=range(7, 7 + len(rows)))


def counts(row: dict[str, object], observed: date) -> bool:
    """Whether a row version holds at a date, told again in plain words."""
    start, end = row["valid_from"], row["valid_to"]
    return (
        row["known_at"] <= observed  # type: ignore[operator]
        and (start is None or start <= observed)  # type: ignore[operator]
        and (end is None or observed < end)  # type: ignore[operator]
    )


@pytest.mark.parametrize("seed", range(12))
def test_labels_equal_a_walk_over_the_rows(seed: int) -> None:
    rows = make_rows(random.Random(seed), most=30)
    tables = to_tables(rows)
    asked = index(*AS_OFS)
    lines = line_events(tables)
    revenue = future_sum(
        asked, tables, [Term(lines, "amount")], horizon_days=90, observed_through=OBSERVED
    )
    gone = no_event(asked, tables, lines, horizon_days=90, observed_through=OBSERVED)
    assert revenue.index.equals(asked.index)
    for at, client, stamp in asked.itertuples():
        as_of = stamp.date()
        if as_of + timedelta(days=90) > OBSERVED:
            assert np.isnan(revenue[at])
            assert np.isnan(gone[at])
            continue
        ahead = [
            row
            for row in rows["invoice_lines"]
            if row["client_id"] == client
            and counts(row, OBSERVED)
            and as_of < row["issued_on"] <= as_of + timedelta(days=90)
        ]
        amounts = [
            row["quantity"] * row["unit_price"] if row["amount"] is None else row["amount"]
            for row in ahead
        ]
        assert revenue[at] == sum(int(np.rint(a * 10_000)) for a in amounts) / 10_000
        assert gone[at] == (0.0 if ahead else 1.0)


def test_a_row_known_only_after_the_data_ends_changes_no_label() -> None:
    rows = make_rows(random.Random(4), most=30)
    asked, tables = index(*AS_OFS[:2]), to_tables(rows)
    rows["invoice_lines"] += [
        row | {"known_at": OBSERVED + timedelta(days=1)} for row in rows["invoice_lines"]
    ]
    terms = margin_basis(tables).terms
    before, after = (
        future_sum(asked, data, terms, horizon_days=90, observed_through=OBSERVED)
        for data in (tables, to_tables(rows))
    )
    pd.testing.assert_series_equal(before, after, check_exact=True)


def test_margin_takes_the_cost_of_work_where_lines_carry_none() -> None:
    day, later = date(2024, 1, 10), date(2024, 2, 10)
    tables = {
        "invoice_lines": pa.table(
            {
                "client_id": ["a", "b"],
                "service_id": ["s", "s"],
                "issued_on": [later, later],
                "quantity": [1.0, 1.0],
                "unit_price": [100.3, 7.0],
            }
        ),
        "work_entries": pa.table(
            {"client_id": ["a"], "worked_on": [later], "quantity": [2.0], "cost": [60.1]}
        ),
    }
    basis = margin_basis(tables)
    assert basis.basis == "margin"
    label = future_sum(
        index(day, clients=("a", "b", "nobody")),
        tables,
        basis.terms,
        horizon_days=90,
        observed_through=date(2024, 12, 31),
    )
    assert label.tolist() == pytest.approx([40.2, 7.0, 0.0], abs=1e-9)
    del tables["work_entries"]
    assert margin_basis(tables).basis == "revenue"


def test_the_firms_own_outcome_is_known_only_where_it_was_recorded() -> None:
    outcomes = pa.table(
        {
            "client_id": ["a", "b", "c"],
            "observed_on": [date(2024, 2, 1)] * 3,
            "outcome": ["churned", "churned", "upgraded"],
            "value": [1.0, 0.0, 1.0],
        }
    )
    import pyarrow.compute as pc

    events = EventTable(
        "outcomes",
        "client_outcomes",
        "observed_on",
        {"churned": pc.field("outcome") == pc.scalar("churned")},
    )
    label = observed_outcome(
        index(date(2024, 1, 31), clients=("a", "b", "c")),
        {"client_outcomes": outcomes},
        events,
        "value",
        horizon_days=90,
        observed_through=date(2024, 2, 1),
        where="churned",
    )
    assert label.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(label.tolist()[2])


def test_a_horizon_that_ends_on_the_last_observed_day_is_complete() -> None:
    tables = {"t": pa.table({"client_id": ["a"], "day": [date(2024, 1, 1)]})}
    asked = index(OBSERVED - timedelta(days=90), OBSERVED - timedelta(days=89), clients=("a",))
    label = no_event(
        asked, tables, EventTable("e", "t", "day"), horizon_days=90, observed_through=OBSERVED
    )
    assert label.isna().tolist() == [False, True]
