"""The contract's declarations fit together."""

from __future__ import annotations

import pytest

from warehouse.contract import TABLES, table
from warehouse.sources.synonyms import COLUMNS, FILES


@pytest.mark.parametrize("name", TABLES)
def test_keys_dates_and_known_by_name_columns_of_their_table(name: str) -> None:
    declared = TABLES[name]
    columns = set(declared.column_names)
    named = {*declared.key, *declared.optional_key, *declared.own_dated.values()}
    assert named <= columns
    assert declared.date_column is None or declared.date_column in columns
    assert set(COLUMNS[name]) <= columns
    assert FILES[name]


def test_an_unknown_table_or_column_is_answered_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="client_outcomes"):
        table("customers")
    with pytest.raises(KeyError, match="list_price"):
        table("services").column("price")
