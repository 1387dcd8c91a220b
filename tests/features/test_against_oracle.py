"""The engine's figures equal a plain DuckDB SQL implementation, cell for cell."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

from ml.features import (
    Active,
    ActiveDays,
    Calendar,
    Count,
    Difference,
    DistinctValues,
    Feature,
    Known,
    Recency,
    Sum,
    Tenure,
    Trend,
    client_features,
    client_population,
    compute,
    line_events,
)
from tests.features.generate import AS_OFS, make_rows, seeds, to_tables
from tests.features.oracle import Oracle

EXACT = (Sum, Count, Difference, Recency, Tenure, ActiveDays, DistinctValues, Calendar)


def same(feature: Feature, ours: Any, truth: Fraction | str | None) -> bool:
    """Sums, counts and days to the last bit; quotients to 1e-12 relative; text as it is."""
    if truth is None:
        return ours is None or (isinstance(ours, float) and math.isnan(ours))
    if isinstance(truth, str):
        return bool(ours == truth)
    if isinstance(feature, EXACT):
        return bool(ours == float(truth))
    return math.isclose(ours, float(truth), rel_tol=1e-12, abs_tol=0.0)


def check(tables: dict[str, Any], features: list[Feature], population: Any) -> int:
    """Compare every cell; how many there were."""
    found = compute(features, tables, as_ofs=AS_OFS, population=population)
    cells = 0
    for as_of in AS_OFS:
        oracle = Oracle(tables, as_of)
        rows = found.at(as_of)
        assert rows["client_id"].tolist() == oracle.members(population)
        for row in rows.to_dict("records"):
            for feature in features:
                truth = oracle.value(feature, row["client_id"])
                assert same(feature, row[feature.name], truth), (as_of, feature, row, truth)
                cells += 1
            if "overdue_amount" in row:
                amount, count = oracle.overdue(row["client_id"])
                assert row["overdue_amount"] == float(amount)
                assert row["overdue_invoices"] == count
    return cells


@settings(max_examples=12, deadline=None)
@given(seeds())
def test_every_client_feature_equals_the_oracle(chance: random.Random) -> None:
    tables = to_tables(make_rows(chance))
    check(tables, client_features(tables), client_population(tables))


@settings(max_examples=6, deadline=None)
@given(seeds())
def test_clients_without_purchases_are_rows_where_the_population_is_all_known(
    chance: random.Random,
) -> None:
    tables = to_tables(make_rows(chance, most=4))
    check(tables, client_features(tables), Known("clients"))


@settings(max_examples=6, deadline=None)
@given(seeds())
def test_where_windows_and_late_rows_combine(chance: random.Random) -> None:
    tables = to_tables(make_rows(chance, most=30))
    lines = line_events(tables)
    over: dict[str, Any] = {"where": "is_sale"}
    features: list[Feature] = [
        Sum("sum", lines, "amount", 60, ending_days_ago=30, **over),
        Count("count", lines, 180, column="amount", **over),
        ActiveDays("days", lines, 90, **over),
        DistinctValues("services", lines, "service_id", None, **over),
        DistinctValues("prices", lines, "service_id", 7),
        Tenure("first", lines, **over),
        Recency("last", lines, **over),
        Trend("slope", lines, "amount", 30, 8, **over),
        Trend("pulse", lines, None, 7, 3),
    ]
    check(tables, features, Active(lines, None))


def test_the_comparison_is_not_empty() -> None:
    tables = to_tables(make_rows(random.Random(5), most=40))
    assert check(tables, client_features(tables), client_population(tables)) > 400


def test_a_table_that_is_absent_only_takes_its_features_away() -> None:
    tables = to_tables(make_rows(random.Random(6), most=20))
    del tables["services"], tables["work_entries"], tables["quotes"]
    features = client_features(tables)
    assert {f.name for f in features}.isdisjoint({"price_to_list_90d", "work_90d", "quotes_90d"})
    found = compute(features, tables, as_ofs=AS_OFS, population=client_population(tables))
    assert len(found.frame) > 0


@pytest.mark.parametrize("lines", [0, 1])
def test_a_firm_with_hardly_any_rows_has_features_or_no_rows(lines: int) -> None:
    rows = make_rows(random.Random(7), most=8)
    rows["invoice_lines"] = rows["invoice_lines"][:lines]
    tables = to_tables(rows)
    found = compute(
        client_features(tables), tables, as_ofs=AS_OFS, population=client_population(tables)
    )
    assert len(found.frame) <= lines * len(AS_OFS)
