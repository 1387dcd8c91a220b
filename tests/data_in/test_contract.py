"""The contract's page says what the contract declares, and the declarations fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from warehouse.contract import TABLES, table
from warehouse.contract_page import markdown
from warehouse.sources.synonyms import COLUMNS, FILES

PAGE = Path(__file__).parents[2] / "docs" / "input-contract.md"


def test_the_page_is_generated_from_the_declaration() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown()


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
