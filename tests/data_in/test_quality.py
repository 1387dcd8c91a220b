"""Verdicts: what passes, warns and fails, what a failure keeps out, and what acceptance does."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from warehouse.database import reading, writing
from warehouse.repositories import verdicts

DAY = dt.timedelta(days=1)
MONDAY = dt.date(2024, 6, 3)
LINES = "invoice_lines"


def _failed(home: Any, day: dt.date = MONDAY, table: str = LINES) -> dict[str, str]:
    report = home.one(home.ingest(day), table)
    return {rule.rule: rule.severity for rule in report.failed_rules}


@pytest.mark.parametrize(("bad", "verdict"), [(1, "pass"), (3, "warn"), (120, "fail")])
def test_the_share_of_quarantined_rows_decides(home: Any, bad: int, verdict: str) -> None:
    rows = home.lines(2000)
    for row in rows[:bad]:
        row["quantity"] = "x"
    home.export(LINES, rows)
    report = home.one(home.ingest(), LINES)
    assert report.verdict == verdict
    with reading(home.engine) as connection:
        recorded = verdicts.at_snapshot(connection, "000001")[LINES]
        blocked = verdicts.blocking(connection, [LINES])
    assert (recorded.verdict, recorded.rows, recorded.quarantined) == (verdict, 2000 - bad, bad)
    assert bool(blocked) == (verdict == "fail")
    if bad > 1:
        (rule,) = recorded.failed_rules
        assert rule.rule == "quarantined"
        assert "quantity: 'x' is not a number" in rule.message
        assert rule.examples[0]["row"] == 1


def test_a_failed_export_leaves_the_lake_as_it_was(home: Any) -> None:
    home.export(LINES, home.lines(100))
    home.ingest()
    for rows, rule in [
        ([], "empty"),
        ([*home.lines(100), *home.lines(100)], "repeated"),
        (home.lines(40), "removed"),
        ([{k: v for k, v in row.items() if k != "unit_price"} for row in home.lines(100)],
         "missing_column:unit_price"),
    ]:  # fmt: skip
        home.export(LINES, rows, list(home.line(1)) if not rows else ())
        failed = _failed(home, MONDAY + DAY)
        assert failed[rule] == "fail", rule
        assert home.snapshot().read(LINES).num_rows == 100
    with reading(home.engine) as connection:
        assert verdicts.blocking(connection, [LINES])
    home.export(LINES, home.lines(100))
    assert _failed(home, MONDAY + 2 * DAY) == {}
    with reading(home.engine) as connection:
        assert not verdicts.blocking(connection, [LINES])


def test_an_optional_column_that_goes_or_empties_fails(home: Any) -> None:
    home.export(LINES, home.lines(20, cost=3))
    home.ingest()
    home.export(LINES, home.lines(20))
    assert _failed(home)["missing_column:cost"] == "fail"
    home.export(LINES, home.lines(20, cost=None))
    assert _failed(home)["empty_column:cost"] == "fail"
    assert home.snapshot().as_of(LINES, MONDAY, ["cost"])["cost"].null_count == 0


def test_a_column_that_may_well_be_empty_is_no_failure(home: Any) -> None:
    invoice = {"invoice_id": "i", "client_id": "c", "issued_on": "2024-01-01", "paid_on": None}
    home.export("invoices", [invoice])
    assert _failed(home, table="invoices") == {}
    home.export("clients", [{"client_id": "c", "region": None}])
    assert _failed(home, table="clients") == {"empty_column:region": "fail"}


def test_a_table_that_disappears_fails_and_stays(home: Any) -> None:
    home.export(LINES, home.lines(20))
    home.export("clients", [{"client_id": "c1"}])
    home.ingest()
    (home.source / "clients.csv").unlink()
    assert _failed(home, MONDAY + DAY, "clients") == {"missing_table": "fail"}
    assert home.snapshot().read("clients").num_rows == 1


def test_lines_without_ids_that_came_twice_are_not_taken_in_twice(home: Any) -> None:
    rows = [{k: v for k, v in row.items() if k != "line_id"} for row in home.lines(300)]
    home.export(LINES, rows)
    home.ingest()
    home.export(LINES, [*rows, *rows])
    assert _failed(home, MONDAY + DAY)["repeated"] == "fail"
    assert home.snapshot().read(LINES).num_rows == 300


def test_an_accepted_failure_is_applied_until_it_gets_worse(home: Any) -> None:
    home.export(LINES, home.lines(100))
    home.ingest()
    home.export(LINES, home.lines(40))
    home.ingest(MONDAY + DAY)
    with writing(home.engine) as connection:
        verdicts.accept(connection, LINES, "removed", "owner", "we sold a branch")
    report = home.one(home.ingest(MONDAY + 2 * DAY), LINES)
    assert (report.applied, report.removed) == (True, 60)
    with reading(home.engine) as connection:
        assert not verdicts.blocking(connection, [LINES])
    home.export(LINES, home.lines(10))
    assert not home.one(home.ingest(MONDAY + 3 * DAY), LINES).applied
    with reading(home.engine) as connection:
        assert verdicts.blocking(connection, [LINES])
