"""Scored days: written as a whole or not at all, with the features of the newest day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from warehouse.database import reading, writing
from warehouse.repositories import online, scores
from warehouse.repositories.online import OnlineBatch
from warehouse.repositories.scores import Stamp

DAY = date(2025, 3, 31)
NEXT = DAY + timedelta(days=1)
Visits = Callable[..., pd.DataFrame]
MakeStamp = Callable[..., Stamp]


def test_a_day_comes_back_as_it_was_written(
    engine: Engine, spec: Any, visits: Visits, stamp: MakeStamp
) -> None:
    with writing(engine) as connection:
        assert scores.write_day(connection, spec, DAY, visits(["b", "a"]), stamp()) == 2

    first, second = stored(engine, spec)
    assert first["visit_id"] == "a"
    assert second == {
        "as_of": DAY,
        "visit_id": "b",
        "kind": "call",
        "day": DAY,
        "model_version": "visit-1",
        "data_version": "snapshot-1",
        "run_id": "run-1",
        "origin": "live",
        "scored_at": pd.Timestamp("2025-04-01 03:00", tz="UTC"),
        "seen_at": pd.Timestamp("2025-03-30 12:00:00.000001"),
        "chance": 0.5,
        "tries": 0,
        "urgent": True,
        "client_id": "c0",
        "reasons": '[{"feature":"recency","contribution":-0.25}]',
    }


def test_arrow_and_pandas_are_stored_alike(
    engine: Engine, spec: Any, visits: Visits, stamp: MakeStamp
) -> None:
    frame = visits(["a", "b", "c"])
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY, frame, stamp())
        scores.write_day(connection, spec, NEXT, pa.Table.from_pandas(frame), stamp())
        back = scores.between(connection, spec, DAY, DAY).drop_columns("as_of")
        again = scores.between(connection, spec, NEXT, NEXT).drop_columns("as_of")

    assert back == again


def test_rewriting_a_day_replaces_it_and_leaves_the_others(
    engine: Engine, spec: Any, visits: Visits, stamp: MakeStamp
) -> None:
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY, visits(["a", "b"]), stamp())
        scores.write_day(connection, spec, NEXT, visits(["a"]), stamp())
        scores.write_day(connection, spec, DAY, visits(["b", "c"]), stamp("run-2"))

    assert [(row["as_of"], row["visit_id"], row["run_id"]) for row in stored(engine, spec)] == [
        (DAY, "b", "run-2"),
        (DAY, "c", "run-2"),
        (NEXT, "a", "run-1"),
    ]


def test_a_crash_midway_leaves_the_old_day_and_its_features(
    engine: Engine,
    spec: Any,
    visits: Visits,
    stamp: MakeStamp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = OnlineBatch("hash", ["a"], [{"recency": 1}])
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY, visits(["a"]), stamp(), batch)

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    def write_again() -> None:
        with writing(engine) as connection:
            scores.write_day(connection, spec, DAY, visits(["a", "b"]), stamp("run-2"), batch)

    monkeypatch.setattr(online, "replace_if_newest", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_again()

    assert [row["run_id"] for row in stored(engine, spec)] == ["run-1"]
    with reading(engine) as connection:
        day = scores.day(connection, "visit", DAY)
        assert day is not None
        assert (day.run_id, day.rows) == ("run-1", 1)


def test_a_reader_sees_the_old_day_or_the_new_one_and_never_a_part(
    engine: Engine, spec: Any, visits: Visits, stamp: MakeStamp
) -> None:
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY, visits(["a"]), stamp())
    with reading(engine) as reader:
        before = scores.newest_day(reader, "visit")
        with writing(engine) as writer:
            scores.write_day(writer, spec, DAY, visits(["b", "c"]), stamp("run-2"))
            assert ids(reader, spec) == ["a"]
        assert ids(reader, spec) == ["a"]
        assert scores.newest_day(reader, "visit") == before
    with reading(engine) as reader:
        assert ids(reader, spec) == ["b", "c"]


def test_the_latest_view_shows_the_newest_day_even_where_it_found_nothing(
    engine: Engine, spec: Any, visits: Visits, stamp: MakeStamp
) -> None:
    def latest() -> list[str]:
        with reading(engine) as connection:
            query = text("SELECT visit_id FROM visit_latest ORDER BY visit_id")
            return list(connection.execute(query).scalars())

    with writing(engine) as connection:
        scores.write_day(connection, spec, NEXT, visits(["b", "c"]), stamp())
        scores.write_day(connection, spec, DAY, visits(["a"]), stamp())
    assert latest() == ["b", "c"]

    with writing(engine) as connection:
        scores.write_day(connection, spec, NEXT + timedelta(days=1), visits([]), stamp())
    assert latest() == []
    with reading(engine) as connection:
        assert [day.rows for day in scores.days(connection, "visit")] == [0, 2, 1]


def test_online_features_are_those_of_the_newest_day(
    engine: Engine, spec: Any, visits: Visits, stamp: MakeStamp
) -> None:
    def write(day: date, entities: list[str]) -> None:
        batch = OnlineBatch("hash", entities, [{"day": day.isoformat()} for _ in entities])
        with writing(engine) as connection:
            scores.write_day(connection, spec, day, visits(entities), stamp(), batch)

    def known() -> dict[str, str]:
        with reading(engine) as connection:
            found = online.get(connection, "visit", ["a", "b", "c"])
            return {entity: row.features["day"] for entity, row in found.items()}

    write(NEXT, ["a", "b"])
    write(DAY, ["a", "c"])
    assert known() == {"a": NEXT.isoformat(), "b": NEXT.isoformat()}

    write(NEXT, ["c"])
    assert known() == {"c": NEXT.isoformat()}


def test_online_features_keep_every_bit(engine: Engine) -> None:
    features = {"share": 0.1 + 0.2, "zero": -0.0, "none": None, "name": "é\n", "big": 1e22}
    with writing(engine) as connection:
        online.replace_if_newest(connection, "m", DAY, "d", OnlineBatch("h", ["a"], [features]))
    with reading(engine) as connection:
        (row,) = online.get(connection, "m", ["a"]).values()

    assert {name: repr(value) for name, value in row.features.items()} == {
        name: repr(value) for name, value in features.items()
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chance": None}, r"visit_scores\.chance may not be missing, and is in 2 of 2 rows"),
        ({"chance": float("nan")}, r"chance may not be missing"),
        ({"chance": float("inf")}, "a number is infinite"),
        ({"kind": "fax"}, r"visit_scores\.kind is one of call, mail, got \['fax'\]"),
        ({"visit_id": "same"}, "two decisions may not share a key; .*'same'.* comes 2 times"),
        ({"day": None}, r"visit_scores\.day is required"),
        ({"mood": "good"}, "Visit has no field 'mood'; it has kind, visit_id"),
        ({"run_id": "mine"}, "Visit has no field 'run_id'"),
    ],
)
def test_a_row_that_the_decision_does_not_allow_is_refused_by_name(
    engine: Engine,
    spec: Any,
    visits: Visits,
    stamp: MakeStamp,
    change: dict[str, object],
    said: str,
) -> None:
    frame = visits(["a", "b"]).assign(**change)

    with pytest.raises(ValueError, match=said), writing(engine) as connection:
        scores.write_day(connection, spec, DAY, frame, stamp())

    assert stored(engine, spec) == []


def test_optional_fields_may_be_left_out_and_others_not(
    engine: Engine, spec: Any, visits: Visits, stamp: MakeStamp
) -> None:
    frame = visits(["a"])
    with writing(engine) as connection:
        scores.write_day(
            connection, spec, DAY, frame.drop(columns=["client_id", "reasons"]), stamp()
        )
        with pytest.raises(ValueError, match="column 'chance' is missing from the scores"):
            scores.write_day(connection, spec, NEXT, frame.drop(columns="chance"), stamp())


def test_backfilled_days_can_be_left_out_of_judging(
    engine: Engine, spec: Any, visits: Visits, stamp: MakeStamp
) -> None:
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY, visits(["a"]), stamp(origin="backfill"))
        scores.write_day(connection, spec, NEXT, visits(["b"]), stamp())
        live = scores.between(connection, spec, DAY, NEXT, origin="live")

    assert live["visit_id"].to_pylist() == ["b"]


def test_purging_removes_older_days_only(
    engine: Engine, spec: Any, visits: Visits, stamp: MakeStamp
) -> None:
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY, visits(["a", "b"]), stamp())
        scores.write_day(connection, spec, NEXT, visits(["c"]), stamp())
        assert scores.purge_before(connection, spec, NEXT) == 2
        assert [day.as_of for day in scores.days(connection, "visit")] == [NEXT]

    assert [row["visit_id"] for row in stored(engine, spec)] == ["c"]


def stored(engine: Engine, spec: Any) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return scores.between(connection, spec, date.min, date.max).to_pylist()


def ids(connection: Any, spec: Any) -> list[str]:
    return scores.between(connection, spec, DAY, DAY)["visit_id"].to_pylist()
