"""Declarations that cannot be right are refused, with what was given and what to do."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml.features import (
    Active,
    Attribute,
    Calendar,
    Count,
    EventTable,
    Feature,
    Known,
    Lookup,
    Ratio,
    Recency,
    Sum,
    Trend,
    client_features,
    compute,
)

DAY = date(2024, 1, 31)
INVOICES = pa.table(
    {
        "client_id": ["a"],
        "issued_on": [date(2024, 1, 1)],
        "due_on": [date(2024, 1, 20)],
        "paid_on": [date(2024, 3, 1)],
        "note": ["x"],
    }
)
ISSUED = EventTable("issued", "invoices", "issued_on")


def run(*features: Feature, **tables: Any) -> Any:
    return compute(
        list(features),
        {"invoices": INVOICES} | tables,
        as_ofs=[DAY],
        population=Active(ISSUED, None),
    ).frame


@pytest.mark.parametrize(
    "day",
    [
        pc.coalesce(pc.field("paid_on"), pc.field("due_on")),
        pc.max_element_wise(pc.field("paid_on"), pc.field("due_on")),
        pc.field("paid_on") - pc.scalar(pa.scalar(40, pa.int32())),
    ],
)
def test_a_day_that_would_move_with_a_later_payment_is_refused(day: Any) -> None:
    with pytest.raises(ValueError, match="before they are known"):
        run(Count("n", EventTable("leaky", "invoices", day)))


def test_a_value_reads_an_own_dated_column_as_known_on_the_event_day() -> None:
    paid = EventTable("i", "invoices", "issued_on", {"is_paid": pc.field("paid_on").is_valid()})
    assert run(Count("n", paid, where="is_paid"))["n"].tolist() == [0.0]


def test_missing_tables_and_columns_are_named() -> None:
    with pytest.raises(ValueError, match="'work_entries' is not among those given"):
        run(Recency("r", EventTable("w", "work_entries", "worked_on")))
    with pytest.raises(ValueError, match=r"events 'issued' over table 'invoices'.*amount"):
        run(Sum("s", ISSUED, "amount"))
    with pytest.raises(ValueError, match="attribute 'size' is not in table 'clients'"):
        compute(
            [Attribute("size", "clients", "size")],
            {"clients": pa.table({"client_id": ["a"]})},
            as_ofs=[DAY],
            population=Known(),
        )
    lookup = Lookup("services", "service_id", ("list_price",))
    services = pa.table({"service_id": ["s"]})
    with pytest.raises(ValueError, match="needs \\['list_price'\\]"):
        run(Count("n", EventTable("e", "invoices", "issued_on", {}, lookup)), services=services)


def test_wrong_uses_of_values_are_refused() -> None:
    with pytest.raises(ValueError, match="'note' is text"):
        run(Sum("s", ISSUED, "note"))
    with pytest.raises(ValueError, match="where='note' must be boolean"):
        run(Count("n", ISSUED, where="note"))
    attribute = Attribute("segment", "clients", "segment")
    clients = pa.table({"client_id": ["a"], "segment": ["x"]})
    with pytest.raises(TypeError, match="'segment' may be text"):
        run(Ratio("r", attribute, Count("", ISSUED)), clients=clients)


def test_names_dates_and_windows_are_checked() -> None:
    with pytest.raises(ValueError, match="repeated or reserved: \\['n'\\]"):
        run(Count("n", ISSUED), Count("n", ISSUED, 30))
    with pytest.raises(ValueError, match="at least one date"):
        compute([], {"invoices": INVOICES}, as_ofs=[], population=Active(ISSUED))
    with pytest.raises(ValueError, match="oldest > newest"):
        Count("n", ISSUED, 0).needs()
    with pytest.raises(ValueError, match="windows must be 2 to 8"):
        Trend("t", ISSUED, None, 30, 9)
    with pytest.raises(ValueError, match="decimals must be 0 to 9"):
        EventTable("e", "t", "day", decimals=10)


def test_event_tables_are_equal_by_what_they_declare() -> None:
    one, same, other = (
        EventTable("e", "t", "day", {"x": pc.field("a") * pc.field(b)}) for b in ("b", "b", "c")
    )
    assert one == same
    assert hash(one) == hash(same)
    assert one != other


def test_a_clients_own_columns_are_attributes_unless_they_are_identifiers() -> None:
    count = 150
    clients = pa.table(
        {
            "client_id": [str(i) for i in range(count)],
            "email": [f"{i}@example.org" for i in range(count)],
            "name": ["n"] * count,
            "plan": ["basic", "pro", None] * (count // 3),
            "seats": list(range(count)),
            "vip": [True, False] * (count // 2),
            "month": ["jan"] * count,
            "ends_on": [date(2024, 2, 10)] * count,
        }
    )
    features = client_features({"clients": clients})
    names = [f.name for f in features]
    assert names == ["month", "plan", "seats", "vip", "clients_month", "ends_on"]
    frame = compute(features, {"clients": clients}, as_ofs=[DAY], population=Known()).frame
    first = frame[frame["client_id"] == "0"].iloc[0]
    assert [first[name] for name in names] == [1.0, "basic", 0.0, 1.0, "jan", -10.0]
    assert frame["plan"].isna().sum() == count // 3


def test_calendar_parts_of_the_date() -> None:
    parts = [Calendar("q", "quarter"), Calendar("d", "day_of_year"), Calendar("m")]
    assert run(*parts)[["q", "d", "m"]].values.tolist() == [[1.0, 31.0, 1.0]]


def test_the_engine_loads_neither_a_warehouse_nor_a_server() -> None:
    code = (
        "import sys, ml.features; print([m for m in ('warehouse', 'sqlalchemy', 'dagster',"
        " 'fastapi', 'duckdb', 'lightgbm') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
