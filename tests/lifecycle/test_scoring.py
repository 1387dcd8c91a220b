"""Scored days: whole, replaced whole, by the champion of their day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from ml.lifecycle.monitoring import measure
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from ml.refusals import NoChampionError, NotAvailableError
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST
from warehouse.database import reading, writing
from warehouse.repositories import models, online, performance, scores

DAYS = [LAST - timedelta(days=29 - n) for n in range(30)]


@pytest.fixture
def scored(life: Life) -> Iterator[Workspace]:
    """A champion, and nothing scored yet."""
    workspace = life.ingested()
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    return workspace


def rows(workspace: Workspace, stamps: bool = False) -> list[tuple[Any, ...]]:
    """All decisions; with ``stamps`` also where they come from, but for the run and its time."""
    more = ", model_version, data_version, origin" if stamps else ""
    query = (
        "SELECT as_of, buyer_id, expected_revenue, active, reasons"
        f"{more} FROM repeat_orders_scores ORDER BY as_of, buyer_id"
    )
    with reading(workspace.engine) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_nothing_is_scored_without_a_champion_and_the_sentence_says_why(life: Life) -> None:
    workspace = life.ingested()
    with pytest.raises(NoChampionError, match="no candidate was trained yet"):
        score(workspace, EIGHTH, [LAST], "run-1")
    with reading(workspace.engine) as connection:
        assert scores.newest_day(connection, EIGHTH.name) is None


def test_a_day_scored_again_is_replaced_and_not_doubled(scored: Workspace) -> None:
    [first] = score(scored, EIGHTH, [LAST], "run-1")
    before = rows(scored)
    [again] = score(scored, EIGHTH, [LAST], "run-2")
    assert (first.rows, again.rows) == (40, 40)
    assert rows(scored) == before
    with reading(scored.engine) as connection:
        day = scores.day(connection, EIGHTH.name, LAST)
    assert day is not None
    assert day.run_id == "run-2"


def test_a_failure_in_the_middle_leaves_the_old_day_whole(
    scored: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(scored, EIGHTH, [LAST], "run-1")
    before = rows(scored)

    def fails(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(online, "replace_if_newest", fails)
    with pytest.raises(OSError, match="disk"):
        score(scored, EIGHTH, [LAST], "run-2")
    assert rows(scored) == before
    with reading(scored.engine) as connection:
        day = scores.day(connection, EIGHTH.name, LAST)
    assert day is not None
    assert day.run_id == "run-1"


def test_thirty_days_in_one_run_equal_thirty_runs_row_for_row(scored: Workspace) -> None:
    done = score(scored, EIGHTH, DAYS, "backfill")
    assert [day.as_of for day in done] == DAYS
    together = rows(scored, stamps=True)
    assert len(together) == 30 * 40
    with writing(scored.engine) as connection:
        scores.purge_before(connection, EIGHTH, LAST + timedelta(days=1))
    assert rows(scored) == []
    for day in DAYS:
        score(scored, EIGHTH, [day], f"single-{day}")
    assert rows(scored, stamps=True) == together


def test_online_features_are_those_of_the_newest_day_whatever_is_scored_later(
    scored: Workspace,
) -> None:
    score(scored, EIGHTH, [LAST], "run-1")
    score(scored, EIGHTH, DAYS[:3], "run-2")
    with reading(scored.engine) as connection:
        found = online.get(connection, EIGHTH.name, ["c07"])["c07"]
    assert found.as_of == LAST


def test_each_day_is_scored_by_the_champion_that_the_log_names_for_it(life_on_both: Life) -> None:
    """Two champions: from 1 April on and from 1 June on; before the first there was none."""
    life = life_on_both
    early = life.ingested(date(2025, 3, 31))
    train(early, EIGHTH, "run-1")
    first = promote_if_passed(early, EIGHTH, "me").champion
    late = life.ingested(LAST)
    second = train(late, EIGHTH, "run-2").version
    with writing(late.engine) as connection:
        models.promote(
            connection, EIGHTH.name, second, "by hand", "me", datetime(2025, 6, 1, 8, tzinfo=UTC)
        )
    days = [date(2025, 3, 1), date(2025, 3, 30), date(2025, 3, 31), date(2025, 5, 30)]
    days += [date(2025, 5, 31), LAST]
    done = score(late, EIGHTH, days, "backfill")
    assert [(day.as_of, day.model_version, day.origin) for day in done] == [
        # Nobody was champion on the next morning: the present one stands in.
        (days[0], second, "backfill"),
        (days[1], second, "backfill"),
        (days[2], first, "live"),
        (days[3], first, "live"),
        (days[4], second, "live"),
        (days[5], second, "live"),
    ]


def test_backfilled_days_count_in_no_performance(scored: Workspace, life: Life) -> None:
    """The champion knew all of them: its figures stay those of the backtest."""
    score(scored, EIGHTH, DAYS, "backfill")
    later = life.ingested(LAST + timedelta(days=60))
    measured = measure(later, EIGHTH, LAST + timedelta(days=60), "run-3")
    assert measured.basis == "backtest"
    with reading(later.engine) as connection:
        stored = performance.over_time(connection, EIGHTH.name, "mae")
    assert [(one.basis, one.rows) for one in stored] == [("backtest", measured.rows)]


def test_live_decisions_later_than_the_training_are_judged_by_what_followed(
    scored: Workspace, life: Life
) -> None:
    through = LAST + timedelta(days=60)
    later = life.ingested(through)
    days = [LAST, LAST + timedelta(days=1), LAST + timedelta(days=30), LAST + timedelta(days=31)]
    done = score(later, EIGHTH, days, "daily")
    # The clock of the promotion stands on 1 July, so these days have their own champion.
    assert {day.origin for day in done} == {"live"}
    measured = measure(later, EIGHTH, through, "run-3")
    assert measured.basis == "live"
    # LAST was known to the training, and the horizon of the last day is not over.
    assert measured.rows == 2 * 40
    assert measured.verdict in ("better", "worse")
    assert measured.value.amount is not None


def test_a_table_that_went_away_stops_the_model_by_name(scored: Workspace) -> None:
    import dataclasses

    other = dataclasses.replace(EIGHTH, needs=(frozenset({"quotes"}),))
    with pytest.raises(NotAvailableError, match="lacks quotes"):
        score(scored, other, [LAST], "run-1")
