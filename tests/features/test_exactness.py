"""Figures do not depend on the dates beside them, the order of rows, or how work was cut."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings

from ml.features import (
    Active,
    Count,
    EventTable,
    Feature,
    Sum,
    client_features,
    client_population,
    compute,
    schema_hash,
)
from tests.features.generate import AS_OFS, make_rows, seeds, to_tables
from tests.features.test_nothing_from_the_future import assert_same_bits


def many_dates(first: date = date(2022, 9, 30), months: int = 24) -> list[date]:
    """Month ends."""
    starts = [
        date(first.year + (first.month + m) // 12, (first.month + m) % 12 + 1, 1)
        for m in range(months)
    ]
    return [start - timedelta(days=1) for start in starts]


@settings(max_examples=4, deadline=None)
@given(seeds())
def test_24_dates_at_once_equal_24_single_dates(chance: random.Random) -> None:
    tables = to_tables(make_rows(chance, most=30))
    features, population = client_features(tables), client_population(tables)
    together = compute(features, tables, as_ofs=many_dates(), population=population)
    for as_of in many_dates():
        alone = compute(features, tables, as_ofs=[as_of], population=population)
        assert_same_bits(together.at(as_of), alone.frame)


@settings(max_examples=20, deadline=None)
@given(seeds())
def test_rows_in_any_order_and_blocks_of_any_size_give_the_same(chance: random.Random) -> None:
    rows = make_rows(chance, most=30)
    tables = to_tables(rows)
    features, population = client_features(tables), client_population(tables)
    base = compute(features, tables, as_ofs=AS_OFS, population=population)
    for found in rows.values():
        chance.shuffle(found)
    mixed: dict[str, Any] = to_tables(rows)
    mixed["invoice_lines"] = ds.dataset(mixed["invoice_lines"])
    again = compute(features, mixed, as_ofs=AS_OFS[::-1], population=population, block_cells=1)
    assert_same_bits(base.frame, again.frame)


def random_lines(clients: int, rows: int, seed: int = 0) -> pa.Table:
    """Lines of many clients, a tenth known late."""
    rng = np.random.default_rng(seed)
    day = rng.integers(19_000, 19_700, rows).astype(np.int32)
    known = day + np.where(rng.random(rows) < 0.1, rng.integers(0, 60, rows), 0).astype(np.int32)
    return pa.table(
        {
            "client_id": pa.array([f"c{i}" for i in rng.integers(0, clients, rows)]),
            "service_id": pa.array([f"s{i}" for i in rng.integers(0, 9, rows)]).dictionary_encode(),
            "issued_on": pa.array(day).cast(pa.date32()),
            "quantity": rng.integers(1, 9, rows).astype(float),
            "unit_price": rng.normal(50, 80, rows),
            "known_at": pa.array(known).cast(pa.date32()),
        }
    )


def test_many_blocks_equal_one_block() -> None:
    tables = {"invoice_lines": random_lines(clients=900, rows=20_000)}
    features, population = client_features(tables), client_population(tables)
    few = compute(features, tables, as_ofs=many_dates(), population=population)
    many = compute(
        features, tables, as_ofs=many_dates(), population=population, block_cells=1 << 14
    )
    assert len(few.frame) > 5_000
    assert_same_bits(few.frame, many.frame)


def test_sums_are_exact_where_floats_drift() -> None:
    amounts = [1e9, *[0.1] * 10, -1e9, 0.2]
    table = pa.table(
        {
            "client_id": ["a"] * len(amounts),
            "day": [date(2024, 1, 1)] * len(amounts),
            "amount": amounts,
        }
    )
    events = EventTable("e", "t", "day")
    found = compute(
        [Sum("total", events, "amount", 30)],
        {"t": table},
        as_ofs=[date(2024, 1, 1)],
        population=Active(events),
    )
    assert found.frame["total"].tolist() == [1.2]
    assert sum(amounts) != 1.2


def test_sums_that_would_not_fit_are_refused_by_name() -> None:
    table = pa.table(
        {"client_id": ["a", "a"], "day": [date(2024, 1, 1)] * 2, "amount": [9e13, 9e13]}
    )
    events = EventTable("e", "t", "day")
    asked: dict[str, Any] = {"as_ofs": [date(2024, 1, 1)], "population": Active(events)}
    with pytest.raises(OverflowError, match="'amount' add up"):
        compute([Sum("s", events, "amount")], {"t": table}, **asked)
    fits = EventTable("e", "t", "day", decimals=0)
    assert compute([Sum("s", fits, "amount")], {"t": table}, **asked).frame["s"][0] == 1.8e14
    infinite = table.set_column(2, "amount", pa.array([np.inf, 1.0]))
    with pytest.raises(OverflowError, match="holds inf"):
        compute([Sum("s", events, "amount")], {"t": infinite}, **asked)


def test_not_a_number_counts_as_no_value() -> None:
    table = pa.table(
        {"client_id": ["a", "a"], "day": [date(2024, 1, 1)] * 2, "amount": [np.nan, 2.0]}
    )
    events = EventTable("e", "t", "day")
    features: list[Feature] = [
        Sum("sum", events, "amount"),
        Count("count", events, column="amount"),
    ]
    found = compute(
        features, {"t": table}, as_ofs=[date(2024, 1, 1)], population=Active(events)
    ).frame
    assert found[["sum", "count"]].values.tolist() == [[2.0, 1.0]]


def test_the_schema_hash_changes_exactly_with_what_columns_mean() -> None:
    tables = to_tables(make_rows(random.Random(1), most=20))
    features = client_features(tables)
    assert schema_hash(features) == schema_hash(client_features(tables))
    assert schema_hash(features) != schema_hash(features[::-1])
    events = EventTable("e", "t", "day", {"amount": "amount"})
    renamed = EventTable("e", "t", "day", {"amount": "cost"})
    one, other = (schema_hash([Sum("s", e, "amount", 30)]) for e in (events, renamed))
    assert one != other != schema_hash([Sum("s", renamed, "amount", 60)])


def test_the_frame_goes_to_the_lake_as_dates() -> None:
    tables = {"invoice_lines": random_lines(clients=5, rows=200)}
    found = compute(
        client_features(tables), tables, as_ofs=AS_OFS[:1], population=client_population(tables)
    )
    table = found.to_arrow()
    assert table.schema.field("as_of").type == pa.date32()
    assert table["as_of"].unique().to_pylist() == [AS_OFS[0]]
    assert found.X.columns.tolist() == found.names
