"""What goes in comes out as it was known on a day, whatever sequence of exports brought it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse.lake import Lake

DAY = dt.timedelta(days=1)
START = dt.date(2024, 6, 1)
days = st.integers(-20, 12).map(lambda n: START + n * DAY)


@st.composite
def exports(draw: st.DrawFn) -> list[tuple[dt.date, dict[str, dict[str, Any]]]]:
    """Ingestion days in order, each with a full export of invoices by id."""
    gaps = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    state: dict[str, dict[str, Any]] = {"keep": _invoice(START - 9 * DAY, 1.0, None, False)}
    found, day = [], START
    for gap in gaps:
        day += gap * DAY
        for key in draw(st.lists(st.sampled_from("abcdef"), max_size=6)):
            action = draw(st.sampled_from(["set", "set", "pay", "dispute", "remove", "reverse"]))
            if action == "remove":
                state.pop(key, None)
            elif action == "set" or key not in state:
                amount = draw(st.sampled_from([1.0, 2.5, -3.0]))
                state[key] = _invoice(draw(days), amount, None, False)
            elif action == "pay":
                state[key] = state[key] | {"paid_on": draw(days)}
            elif action == "reverse":
                state[key] = state[key] | {"paid_on": None}
            else:
                state[key] = state[key] | {"disputed": not state[key]["disputed"]}
        found.append((day, dict(state)))
    return found


def _invoice(
    issued: dt.date, amount: float, paid: dt.date | None, disputed: bool
) -> dict[str, Any]:
    return {"issued_on": issued, "amount": amount, "paid_on": paid, "disputed": disputed}


def known(history: list[tuple[dt.date, dict[str, dict[str, Any]]]], day: dt.date) -> dict[str, Any]:
    """The invoices as known at the end of ``day``, in plain Python.

    What we know of a key on a day is the last export seen by then; its first export holds back to
    the beginning. A payment counts on its own day, wherever a later export of the same life of the
    key (until it was removed) brought it in.
    """
    result = {}
    for key in {key for _, state in history for key in state}:
        states = [(seen, state.get(key)) for seen, state in history]
        while states[0][1] is None:  # before its first export the key was not there
            states.pop(0)
        place = max([0, *(n for n, (seen, _) in enumerate(states) if seen <= day)])
        row = states[place][1]
        if row is None or row["issued_on"] > day:
            continue
        paid = row["paid_on"]
        for _, later in states[place:]:
            if later is None or paid is not None:
                break
            paid = later["paid_on"]
        result[key] = row | {"paid_on": paid if paid is not None and paid <= day else None}
    return result


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=exports())
def test_any_sequence_of_exports_reads_as_it_was_known_on_every_day(
    homes: Callable[..., Any], history: list[tuple[dt.date, dict[str, dict[str, Any]]]]
) -> None:
    home = homes()
    columns = ["invoice_id", "client_id", "issued_on", "amount", "paid_on", "disputed"]
    for seen, state in history:
        rows = [{"invoice_id": key, "client_id": "c", **row} for key, row in state.items()]
        home.export("invoices", rows, columns)
        home.accept_all()
        home.ingest(seen)
    snapshot = home.snapshot()
    last = history[-1][0]
    days = [START - 15 * DAY, START - DAY, *(seen for seen, _ in history), last + 15 * DAY]
    with snapshot.for_days(days) as held:
        for day in days:
            rows = snapshot.as_of("invoices", day)
            found = {
                row.pop("invoice_id"): {k: v for k, v in row.items() if k != "client_id"}
                for row in rows.to_pylist()
            }
            assert found == known(history, day), day
            assert held.as_of("invoices", day).equals(rows), day
            some = ["paid_on", "invoice_id"]
            assert held.as_of("invoices", day, some).equals(rows.select(some)), day


def test_for_several_days_the_lake_is_read_once_a_table_and_columns(
    homes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = homes()
    row = {"invoice_id": "i1", "client_id": "c", "issued_on": START, "amount": 5.0}
    home.export("invoices", [row], list(row))
    home.ingest(START)
    snapshot, relation = home.snapshot(), Lake.relation
    read: list[str] = []

    def counted(lake: Lake, table: str, *others: Any) -> str:
        read.append(table)
        return relation(lake, table, *others)

    monkeypatch.setattr(Lake, "relation", counted)
    five = [START + n * DAY for n in range(5)]
    with snapshot.for_days(five) as held:
        found = [held.as_of("invoices", day).num_rows for day in five]
        assert (found, read) == ([1] * 5, ["raw/invoices"])
        held.as_of("invoices", START, ["amount"])
        assert len(read) == 2
    for day in five:
        snapshot.as_of("invoices", day)
    assert len(read) == 7


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=exports())
def test_an_older_snapshot_reads_the_same_after_later_ingestions(
    homes: Callable[..., Any], history: list[tuple[dt.date, dict[str, dict[str, Any]]]]
) -> None:
    home = homes()
    columns = ["invoice_id", "client_id", "issued_on", "amount", "paid_on", "disputed"]
    seen_then: dict[str, Any] = {}
    for seen, state in history:
        rows = [{"invoice_id": key, "client_id": "c", **row} for key, row in state.items()]
        home.export("invoices", rows, columns)
        home.accept_all()
        report = home.ingest(seen)
        seen_then.setdefault(report.snapshot, home.snapshot().read("invoices"))
    for snapshot, table in seen_then.items():
        assert home.snapshot(snapshot).read("invoices").equals(table)
