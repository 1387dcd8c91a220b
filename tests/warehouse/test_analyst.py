"""Analysts' SQL: it reads what is there, and cannot write in any way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from warehouse.analyst import QueryRefusedError, query
from warehouse.database import writing
from warehouse.repositories import scores
from warehouse.repositories.scores import Stamp


@pytest.fixture
def scored_url(
    engine: Engine,
    warehouse_url: str,
    spec: Any,
    visits: Callable[..., pd.DataFrame],
    stamp: Callable[..., Stamp],
) -> str:
    """A warehouse with three decisions."""
    with writing(engine) as connection:
        scores.write_day(connection, spec, date(2025, 3, 31), visits(["a", "b", "c"]), stamp())
    return warehouse_url


def test_the_same_sql_reads_scores_on_both_databases(scored_url: str) -> None:
    result = query(
        scored_url,
        "WITH chosen AS (SELECT visit_id, chance FROM visit_latest WHERE tries >= 1)"
        " SELECT * FROM chosen ORDER BY visit_id DESC",
    )

    assert result.columns == ["visit_id", "chance"]
    assert result.rows == [("c", 0.5), ("b", 0.5)]
    assert not result.truncated


def test_a_limit_says_that_it_left_rows_out(scored_url: str) -> None:
    for limit, truncated in ((2, True), (3, False)):
        result = query(scored_url, "SELECT visit_id FROM visit_scores", limit=limit)
        assert (len(result.rows), result.truncated) == (limit, truncated)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM visit_scores",
        "UPDATE visit_scores SET chance = 1",
        "INSERT INTO score_days (model) VALUES ('x')",
        "DROP TABLE visit_scores",
        "CREATE TABLE mine (a INTEGER)",
        "SELECT 1; DELETE FROM visit_scores",
        "ROLLBACK; DELETE FROM visit_scores",
        "SELECT * FROM no_such_table",
        "SELEC 1",
        "",
    ],
)
def test_anything_but_one_reading_statement_is_refused(scored_url: str, sql: str) -> None:
    with pytest.raises(QueryRefusedError):
        query(scored_url, sql)

    assert query(scored_url, "SELECT count(*) FROM visit_scores").rows == [(3,)]


def test_a_refused_write_says_what_is_allowed(scored_url: str) -> None:
    with pytest.raises(QueryRefusedError, match="only reading is allowed here"):
        query(scored_url, "DELETE FROM visit_scores")


def test_sqlite_attaches_no_other_file(sqlite_url: str, tmp_path: Path) -> None:
    from warehouse.database import connect
    from warehouse.scored import migrate

    engine = connect(sqlite_url)
    migrate(engine, [])
    engine.dispose()
    for sql in (f"ATTACH '{tmp_path / 'new.db'}' AS other", "PRAGMA query_only = OFF", "BEGIN"):
        with pytest.raises(QueryRefusedError, match="only reading"):
            query(sqlite_url, sql)

    assert not (tmp_path / "new.db").exists()


def test_a_warehouse_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no warehouse yet at .*none\.db"):
        query(f"sqlite:///{tmp_path / 'none.db'}", "SELECT 1")
