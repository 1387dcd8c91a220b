"""Whatever became known after as_of may change, come later or vanish: no figure moves by a bit."""

from __future__ import annotations

import random
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from ml.features import FeatureFrame, client_features, client_population, compute
from tests.features.generate import (
    AS_OFS,
    KEYED,
    KNOWLEDGE,
    OWN_DATED,
    SCHEMAS,
    Row,
    Rows,
    cell,
    make_rows,
    map_rows,
    seeds,
    to_tables,
)

AS_OF = AS_OFS[1]
COLUMNS = [(table, column) for table, schema in SCHEMAS.items() for column in [*schema, *KNOWLEDGE]]


def features_of(rows: Rows, declared_on: Rows) -> FeatureFrame:
    """Figures of ``rows``; the list of features comes from the unchanged tables."""
    declared = to_tables(declared_on)
    return compute(
        client_features(declared),
        to_tables(rows),
        as_ofs=AS_OFS,
        population=client_population(declared),
    )


def assert_same_bits(left: pd.DataFrame, right: pd.DataFrame) -> None:
    assert left.columns.tolist() == right.columns.tolist()
    assert left["client_id"].tolist() == right["client_id"].tolist()
    for name in left.columns:
        one, other = left[name], right[name]
        if one.dtype == np.float64:
            assert one.to_numpy().tobytes() == other.to_numpy().tobytes(), name
        else:
            pd.testing.assert_series_equal(one, other, check_exact=True)


def is_future(row: Row) -> bool:
    """Whether the firm knew nothing of this row version at the end of AS_OF."""
    return row["known_at"] > AS_OF or (row["valid_from"] is not None and row["valid_from"] > AS_OF)


def later(chance: random.Random) -> date:
    return AS_OF + timedelta(days=chance.choice([1, 2, 30, 182, 400]))


def changed(chance: random.Random, table: str, column: str, row: Row) -> Row:
    """The row with another value in one column, where AS_OF could not know that column's value."""
    if column == "valid_to":
        if row["valid_to"] is None or row["valid_to"] > AS_OF:
            row["valid_to"] = chance.choice([None, later(chance)])
    elif is_future(row):
        if column not in KNOWLEDGE:
            row[column] = cell(chance, column, SCHEMAS[table][column])
        elif row[column] is not None and row[column] > AS_OF:
            row[column] = later(chance)
    elif (table, column) in OWN_DATED:
        by = OWN_DATED[table, column]
        if row[by] is None or row[by] > AS_OF:
            row[column] = chance.choice([None, later(chance)]) if column == by else None
    return row


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_no_column_of_what_came_later_moves_a_feature(table: str, column: str) -> None:
    moved = 0
    for seed in range(16 if table in KEYED else 5):
        chance = random.Random(seed)
        rows = make_rows(chance, most=25)

        def change(name: str, row: Row) -> Row:
            return changed(chance, table, column, row) if name == table else row  # noqa: B023

        after = map_rows(rows, change)
        moved += sum(a != b for a, b in zip(rows[table], after[table], strict=True))
        if after != rows:
            before = features_of(rows, rows)
            assert_same_bits(before.at(AS_OF), features_of(after, rows).at(AS_OF))
    assert moved, "nothing was changed, so nothing was tested"


@settings(max_examples=20, deadline=None)
@given(seeds())
def test_changes_deletions_and_new_rows_together_move_nothing(chance: random.Random) -> None:
    rows = make_rows(chance, most=20)

    def change(table: str, row: Row) -> Row | None:
        if is_future(row) and chance.random() < 0.5:
            return None
        for column in [*SCHEMAS[table], *KNOWLEDGE]:
            row = changed(chance, table, column, row)
        return row

    after = map_rows(rows, change)
    for table, found in make_rows(chance, most=10).items():
        after[table] += [row | {"known_at": later(chance)} for row in found]
    before = features_of(rows, rows)
    assert_same_bits(before.at(AS_OF), features_of(after, rows).at(AS_OF))


def test_a_client_that_its_table_does_not_know_has_features_all_the_same() -> None:
    rows = make_rows(random.Random(3), most=25)
    nobody = features_of({**rows, "clients": []}, rows).at(AS_OF)
    assert len(nobody)
    assert nobody["segment"].isna().all()


def test_the_same_changes_on_what_was_known_do_move_features() -> None:
    rows = make_rows(random.Random(3), most=25)
    known = map_rows(rows, lambda _, row: None if not is_future(row) else row)
    assert len(features_of(known, rows).at(AS_OF)) < len(features_of(rows, rows).at(AS_OF))


def test_a_payment_that_is_not_made_yet_leaves_the_invoice_overdue() -> None:
    due = AS_OF - timedelta(days=10)
    row = {
        "client_id": "a",
        "issued_on": due - timedelta(days=30),
        "amount": 0.3,
        "due_on": due,
        "disputed": False,
        "known_at": due - timedelta(days=30),
    }
    rows: Rows = {
        "invoices": [
            row | {"paid_on": AS_OF + timedelta(days=1)},
            row | {"paid_on": AS_OF, "amount": 0.1},
            row | {"paid_on": None, "amount": 0.2},
        ],
        "clients": [{"client_id": "a", "known_at": date(1970, 1, 1)}],
    }
    found = features_of(rows, rows).at(AS_OF)
    assert found["overdue_amount"].tolist() == [0.5]
    assert found["days_since_payment"].tolist() == [0.0]
