"""Bulk writes: whatever fits its column comes back as it was, and the rest is refused by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Engine,
    Integer,
    MetaData,
    Table,
    select,
)

from warehouse.bulk import insert, replace_partition
from warehouse.database import connect, reading, writing
from warehouse.jsontext import json_texts
from warehouse.types import UtcDateTime, json_type, text_type

KINDS = Table(
    "kinds",
    MetaData(),
    Column("part", text_type(), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("text", text_type()),
    Column("amount", Double),
    Column("small", Integer),
    Column("yes", Boolean),
    Column("day", Date),
    Column("local", DateTime),
    Column("instant", UtcDateTime),
    Column("data", json_type()),
)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
texts = texts | st.sampled_from(
    ["", '"', "\\N", "\\.", "\t", "\n", "\r\n", ",", "NULL", "é\u2028🙂"]
)
# SQLite reads years of four digits, and Python has no others from 1000 on.
days = st.dates(min_value=date(1000, 1, 1))
times = st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9999, 12, 30))
zones = st.sampled_from([UTC, timezone(timedelta(hours=-7)), timezone(timedelta(minutes=345))])
numbers = st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
rows = st.fixed_dictionaries(
    {
        "number": st.integers(-(2**63), 2**63 - 1),
        "text": st.none() | texts,
        "amount": st.none() | numbers,
        "small": st.none() | st.integers(-(2**31), 2**31 - 1),
        "yes": st.none() | st.booleans(),
        "day": st.none() | days,
        "local": st.none() | times,
        "instant": st.none() | st.builds(lambda t, z: t.replace(tzinfo=z), times, zones),
        "data": st.none() | st.lists(documents, max_size=3) | st.dictionaries(texts, documents),
    }
)
partitions = st.lists(rows, max_size=8, unique_by=lambda row: row["number"])


@pytest.fixture
def kinds(warehouse_url: str) -> Iterator[Engine]:
    engine = connect(warehouse_url)
    with writing(engine) as connection:
        KINDS.create(connection)
    yield engine
    engine.dispose()


@given(before=partitions, after=partitions, part=texts)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_partition_comes_back_as_it_was_written_and_others_stay(
    kinds: Engine, before: list[dict[str, Any]], after: list[dict[str, Any]], part: str
) -> None:
    other = f"{part}-other"
    with writing(kinds) as connection:
        connection.execute(KINDS.delete())
        replace_partition(connection, KINDS, {"part": other}, columns(before))
        replace_partition(connection, KINDS, {"part": part}, columns(before))
        written = replace_partition(connection, KINDS, {"part": part}, columns(after))

    assert written == len(after)
    assert without_part(stored(kinds, part)) == in_order(after)
    assert without_part(stored(kinds, other)) == in_order(before)


def test_numbers_keep_every_bit(kinds: Engine) -> None:
    amounts = [5e-324, -1.7976931348623157e308, 0.1, 1 / 3, 2.0**53 + 2, 123456.789e-200, 1e22]
    put(kinds, number=range(len(amounts)), amount=amounts)

    assert [row["amount"] for row in stored(kinds, "p")] == amounts


@pytest.mark.postgres
def test_postgresql_keeps_the_sign_of_zero_and_json_numbers_as_written(postgres_url: str) -> None:
    engine = connect(postgres_url)
    with writing(engine) as connection:
        KINDS.create(connection)
    put(engine, number=[1], amount=[-0.0], data=['{"a": -0.0, "b": 1e22, "a": 1}'])
    with reading(engine) as connection:
        amount, data = connection.execute(select(KINDS.c.amount, KINDS.c.data)).one()

    assert math.copysign(1, amount) == -1
    assert data == {"a": 1, "b": 1e22}
    engine.dispose()


def test_nan_is_stored_as_missing(kinds: Engine) -> None:
    for number, values in enumerate(
        (
            [math.nan, 1.0],
            np.array([math.nan, 1.0]),
            pd.Series([math.nan, 1.0]),
            pa.array([None, 1.0]),
        )
    ):
        put(kinds, number=[number, number + 100], amount=values)
        assert [row["amount"] for row in stored(kinds, "p")] == [None, 1.0]


def test_pandas_columns_of_every_kind_are_taken(kinds: Engine) -> None:
    frame = pd.DataFrame(
        {
            "number": pd.Series([2, 1], dtype="int32"),
            "text": pd.Categorical(["b", None]),
            "amount": pd.Series([1, 2], dtype="int64"),
            "small": pd.Series([1.0, math.nan]),
            "yes": pd.Series([True, None], dtype="boolean"),
            "day": pd.Series(pd.to_datetime(["2025-01-01", None])),
            "local": pd.Series(pd.to_datetime(["2025-01-01 10:00:00.5", None])),
            "instant": pd.Series(pd.to_datetime(["2025-01-01 10:00+02:00", None], utc=True)),
            "data": ['{"a": [1]}', None],
        }
    )
    put(kinds, **{name: frame[name] for name in frame})

    first, second = stored(kinds, "p")
    assert first == dict.fromkeys(first) | {"part": "p", "number": 1, "amount": 2.0}
    assert second == {
        "part": "p",
        "number": 2,
        "text": "b",
        "amount": 1.0,
        "small": 1,
        "yes": True,
        "day": date(2025, 1, 1),
        "local": datetime(2025, 1, 1, 10, 0, 0, 500_000),
        "instant": datetime(2025, 1, 1, 8, tzinfo=UTC),
        "data": {"a": [1]},
    }


def test_more_rows_than_one_batch_arrive_whatever_their_order(kinds: Engine) -> None:
    count = 120_001
    shuffled = np.random.default_rng(7).permutation(count)
    put(kinds, number=shuffled, amount=shuffled / 8)

    back = stored(kinds, "p")
    assert [row["number"] for row in back] == list(range(count))
    assert all(row["amount"] == row["number"] / 8 for row in back)


def test_constants_are_in_every_row(kinds: Engine) -> None:
    fixed = {
        "text": 'it\'s "quoted", \\N\n',
        "amount": 0.1,
        "small": -1,
        "yes": True,
        "day": date(2025, 1, 1),
        "local": datetime(2025, 1, 1, 1, 1, 1, 1),
        "instant": datetime(2025, 1, 1, tzinfo=UTC),
        "data": None,
    }
    with writing(kinds) as connection:
        insert(connection, KINDS, {"number": [1, 2]}, {"part": "p", **fixed})

    assert stored(kinds, "p") == [{"part": "p", "number": n, **fixed} for n in (1, 2)]


def test_an_empty_partition_is_one_without_rows(kinds: Engine) -> None:
    put(kinds, number=[1])
    put(kinds, number=[])

    assert stored(kinds, "p") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"amount": [math.inf]}, r"kinds\.amount: a number is infinite"),
        ({"text": ["a\0b"]}, r"kinds\.text: a text holds a NUL character"),
        ({"text": [1]}, r"kinds\.text holds string values"),
        ({"yes": [2]}, r"kinds\.yes holds bool values"),
        ({"amount": ["much"]}, r"kinds\.amount holds double values"),
        ({"small": [1.5]}, r"kinds\.small holds int32 values"),
        ({"small": [2**31]}, r"kinds\.small holds int32 values"),
        ({"local": [datetime(2025, 1, 1, tzinfo=UTC)]}, "holds local times, got .* with a time"),
        ({"instant": [datetime(2025, 1, 1)]}, "holds instants, got times without a time zone"),
        ({"number": [None]}, r"kinds\.number is required; 1 of 1 are missing"),
        ({"colour": ["red"]}, "kinds has no column 'colour'; it has part, number, text"),
        ({"part": ["p"]}, r"\['part'\] are given as columns and as constants"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_the_old_rows_stay(
    kinds: Engine, given: dict[str, list[Any]], said: str
) -> None:
    put(kinds, number=[1], text=["old"])

    with pytest.raises(ValueError, match=said):
        put(kinds, **{"number": [2], **given})

    assert [row["text"] for row in stored(kinds, "p")] == ["old"]


def test_a_required_column_may_not_be_left_out(kinds: Engine) -> None:
    with pytest.raises(ValueError, match=r"\['number'\] are required and not given"):
        put(kinds, text=["a"])


def test_json_holds_what_models_compute_with() -> None:
    assert json_texts([np.float64(0.5), np.int64(3), {"a": np.array([1, 2])}, math.nan, None]) == [
        "0.5",
        "3",
        '{"a":[1,2]}',
        None,
        None,
    ]
    assert json_texts([{"a": math.nan}, [math.inf], "[1]"]) == ['{"a":null}', "[null]", "[1]"]
    with pytest.raises(TypeError, match="JSON cannot hold"):
        json_texts([{"a": object()}])


def put(engine: Engine, **given: Any) -> None:
    with writing(engine) as connection:
        replace_partition(connection, KINDS, {"part": "p"}, given)


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = [column.name for column in KINDS.c if column.name != "part"]
    by_name = {name: [row[name] for row in rows] for name in names}
    return by_name | {"data": json_texts(by_name["data"])}


def stored(engine: Engine, part: str) -> list[dict[str, Any]]:
    query = select(KINDS).where(KINDS.c.part == part).order_by(KINDS.c.number)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["number"])


def without_part(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name != "part"} for row in rows]
