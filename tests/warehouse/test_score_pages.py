"""Pages of decisions: every row once, in the order asked for, or a cursor that says it expired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from operator import itemgetter
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from warehouse.database import reading, writing
from warehouse.repositories import scores
from warehouse.repositories.score_pages import (
    ColumnError,
    CursorExpiredError,
    CursorInvalidError,
    Filter,
    Sort,
    history,
    read_page,
)
from warehouse.repositories.scores import Stamp

DAY = date(2025, 3, 31)
SORTABLE = ["kind", "visit_id", "seen_at", "chance", "tries", "urgent", "client_id"]


@pytest.fixture
def day_of_visits(
    engine: Engine, spec: Any, visits: Callable[..., pd.DataFrame], stamp: Callable[..., Stamp]
) -> pd.DataFrame:
    """Forty decisions with ties and missing values in every optional column."""
    frame = visits([f"v{number:02d}é" for number in range(40)])
    frame["chance"] = [number % 5 / 10 for number in range(40)]
    frame["tries"] = pd.array([None if n % 4 == 0 else n % 3 for n in range(40)], dtype="Int64")
    frame["kind"] = ["call" if number % 2 else "mail" for number in range(40)]
    frame["urgent"] = pd.array([None if n % 3 else bool(n % 2) for n in range(40)], dtype="boolean")
    frame.loc[frame.index % 6 == 0, "seen_at"] = pd.NaT
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY, frame, stamp())
    return frame


@given(
    order=st.lists(
        st.builds(Sort, st.sampled_from(SORTABLE), st.booleans()),
        max_size=3,
        unique_by=lambda one: one.column,
    ),
    limit=st.integers(1, 45),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pages_together_are_the_whole_day_in_order(
    engine: Engine, spec: Any, day_of_visits: pd.DataFrame, order: list[Sort], limit: int
) -> None:
    with reading(engine) as connection:
        whole = read_page(connection, spec, sort=order, limit=1000)
        assert whole is not None
        rows, cursor = [], None
        while page := read_page(connection, spec, sort=order, limit=limit, cursor=cursor):
            rows += page.rows
            cursor = page.next_cursor
            if cursor is None:
                break

    assert rows == whole.rows
    assert len(rows) == 40
    assert rows == sorted_by_hand(rows, order)


@pytest.mark.parametrize(
    ("one", "keeps"),
    [
        (Filter("chance", "ge", 0.4), lambda f: f["chance"] >= 0.4),
        (Filter("chance", "lt", 0.1), lambda f: f["chance"] < 0.1),
        (Filter("kind", "eq", "mail"), lambda f: f["kind"] == "mail"),
        (Filter("kind", "ne", "mail"), lambda f: f["kind"] != "mail"),
        (Filter("tries", "eq", None), lambda f: f["tries"].isna()),
        (Filter("tries", "ne", None), lambda f: f["tries"].notna()),
        (Filter("client_id", "in", ["c3", "c9"]), lambda f: f["client_id"].isin(["c3", "c9"])),
        (Filter("client_id", "in", []), lambda f: f["client_id"].isin([])),
        (Filter("seen_at", "le", pd.Timestamp("2025-01-01")), lambda f: f["chance"] > 1),
    ],
)
def test_filters_keep_what_they_say(
    engine: Engine, spec: Any, day_of_visits: pd.DataFrame, one: Filter, keeps: Any
) -> None:
    with reading(engine) as connection:
        page = read_page(connection, spec, filters=[one])

    assert page is not None
    expected = day_of_visits[keeps(day_of_visits).fillna(False)]
    assert [row["visit_id"] for row in page.rows] == list(expected["visit_id"])


def test_a_cursor_expires_when_its_day_is_replaced(
    engine: Engine, spec: Any, day_of_visits: pd.DataFrame, stamp: Callable[..., Stamp]
) -> None:
    with reading(engine) as connection:
        page = read_page(connection, spec, limit=5)
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY, day_of_visits, stamp("run-2"))

    assert page is not None
    with (
        pytest.raises(CursorExpiredError, match="2025-03-31 were replaced"),
        reading(engine) as connection,
    ):
        read_page(connection, spec, limit=5, cursor=page.next_cursor)


def test_a_cursor_stays_on_its_day_when_a_newer_one_is_scored(
    engine: Engine, spec: Any, day_of_visits: pd.DataFrame, stamp: Callable[..., Stamp]
) -> None:
    with reading(engine) as connection:
        page = read_page(connection, spec, limit=39)
    assert page is not None
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY + timedelta(days=1), day_of_visits, stamp("run-2"))
    with reading(engine) as connection:
        rest = read_page(connection, spec, limit=39, cursor=page.next_cursor)

    assert rest is not None
    assert [row["as_of"] for row in rest.rows] == [DAY]


@pytest.mark.parametrize("cursor", ["x", "é", "e30", "bnVsbA", "W10"])
def test_what_is_no_cursor_is_refused(engine: Engine, spec: Any, cursor: str) -> None:
    with (
        pytest.raises(CursorInvalidError, match="pass a next_cursor back"),
        reading(engine) as connection,
    ):
        read_page(connection, spec, cursor=cursor)


def test_a_cursor_of_another_order_is_refused(
    engine: Engine, spec: Any, day_of_visits: pd.DataFrame
) -> None:
    with reading(engine) as connection:
        page = read_page(connection, spec, limit=5)
        assert page is not None
        with pytest.raises(CursorInvalidError):
            read_page(connection, spec, sort=[Sort("chance")], cursor=page.next_cursor)
        with pytest.raises(CursorInvalidError):
            read_page(connection, spec, filters=[Filter("tries", "gt", 0)], cursor=page.next_cursor)


@pytest.mark.parametrize("column", ["reasons", "password", "chance; DROP TABLE visit_scores"])
def test_columns_that_cannot_be_used_are_refused_with_those_that_can(
    engine: Engine, spec: Any, day_of_visits: pd.DataFrame, column: str
) -> None:
    for asked in ({"sort": [Sort(column)]}, {"filters": [Filter(column, "eq", "x")]}):
        with pytest.raises(ColumnError, match="it can by as_of, visit_id"), reading(engine) as c:
            read_page(c, spec, **asked)  # type: ignore[arg-type]


def test_a_day_that_was_not_scored_has_no_page(engine: Engine, spec: Any) -> None:
    with reading(engine) as connection:
        assert read_page(connection, spec) is None
        assert read_page(connection, spec, as_of=DAY) is None


def test_history_is_one_entity_over_the_days_newest_first(
    engine: Engine, spec: Any, visits: Callable[..., pd.DataFrame], stamp: Callable[..., Stamp]
) -> None:
    with writing(engine) as connection:
        for number in range(5):
            frame = visits(["a", "b"], chance=number / 10)
            scores.write_day(connection, spec, DAY + timedelta(days=number), frame, stamp())
    with reading(engine) as connection:
        rows = history(
            connection,
            spec,
            [Filter("visit_id", "eq", "a")],
            first=DAY + timedelta(days=1),
            last=DAY + timedelta(days=3),
        )

    assert [(row["visit_id"], row["chance"]) for row in rows] == [
        ("a", 0.3),
        ("a", 0.2),
        ("a", 0.1),
    ]


def test_history_is_found_by_the_key_and_not_by_reading_every_score(
    sqlite_url: str, spec: Any
) -> None:
    from warehouse.database import connect
    from warehouse.scored import migrate

    engine = connect(sqlite_url)
    migrate(engine, [spec])
    seen: list[str] = []
    with reading(engine) as connection:
        connection.connection.driver_connection.set_trace_callback(seen.append)  # type: ignore[union-attr]
        history(connection, spec, [Filter("visit_id", "eq", "a")])
        connection.connection.driver_connection.set_trace_callback(None)  # type: ignore[union-attr]
        plan = connection.execute(text("EXPLAIN QUERY PLAN " + seen[-1])).all()
    engine.dispose()

    steps = [row[3] for row in plan]
    assert any("visit_scores USING PRIMARY KEY (as_of=? AND visit_id=?)" in one for one in steps)
    assert not any(step.startswith("SCAN visit_scores") for step in steps)


def sorted_by_hand(rows: list[dict[str, Any]], order: list[Sort]) -> list[dict[str, Any]]:
    """Python's own stable sort, last column first, missing values last either way."""
    result = sorted(rows, key=lambda row: (row["visit_id"], row["kind"]))
    for one in reversed(order):
        there = [row for row in result if row[one.column] is not None]
        there.sort(key=itemgetter(one.column), reverse=one.descending)
        result = there + [row for row in result if row[one.column] is None]
    return result
