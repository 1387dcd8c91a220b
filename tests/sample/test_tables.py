"""The sample firm's tables keep the input contract and look like a firm's books."""

from __future__ import annotations

import datetime as dt

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from warehouse.contract import TABLES
from warehouse.sources.sample import SampleFirm

ARROW = {
    "string": pa.types.is_string,
    "float": pa.types.is_float64,
    "bool": pa.types.is_boolean,
    "date": pa.types.is_date32,
    "instant": pa.types.is_timestamp,
}
Frames = dict[str, pd.DataFrame]


def test_all_ten_tables_are_there(firm: SampleFirm) -> None:
    assert firm.tables() == list(TABLES)


@pytest.mark.parametrize("name", list(TABLES))
def test_columns_and_types_are_the_contract_s(firm: SampleFirm, name: str) -> None:
    table = firm.table(name)
    for column in TABLES[name].columns:
        assert column.name in table.column_names
        assert ARROW[column.type](table.schema.field(column.name).type), column.name


@pytest.mark.parametrize("name", list(TABLES))
def test_no_row_breaks_the_contract(frames: Frames, name: str) -> None:
    declared, frame = TABLES[name], frames[name]
    assert not frame.duplicated(list(declared.key)).any()
    for column in declared.columns:
        values = frame[column.name]
        if column.required:
            assert values.notna().all(), column.name
        if column.type == "float":
            given = values.dropna()
            assert np.isfinite(given).all(), column.name
            assert column.minimum is None or (given >= column.minimum).all(), column.name
    for order in declared.orders:
        both = frame.dropna(subset=[order.earlier, order.later])
        assert (both[order.later] >= both[order.earlier]).all()


def test_every_reference_is_met(frames: Frames) -> None:
    clients, services = set(frames["clients"].client_id), set(frames["services"].service_id)
    lines, entries = frames["invoice_lines"], frames["work_entries"]
    for name in ("invoices", "invoice_lines", "work_entries", "quotes", "client_outcomes"):
        assert set(frames[name].client_id) <= clients
    assert set(frames["rates"].client_id.dropna()) <= clients
    for name in ("invoice_lines", "work_entries", "quotes", "rates"):
        assert set(frames[name].service_id) <= services
    assert set(lines.invoice_id) == set(frames["invoices"].invoice_id)
    assert set(entries.line_id.dropna()) <= set(lines.line_id)
    assert set(lines.corrects_line_id.dropna()) <= set(lines.line_id)
    assert set(lines.corrects_entry_id.dropna()) <= set(entries.entry_id)


def test_an_invoice_is_the_sum_of_its_lines(frames: Frames) -> None:
    lines, invoices = frames["invoice_lines"], frames["invoices"].set_index("invoice_id")
    total = lines.groupby("invoice_id").amount.sum().reindex(invoices.index)
    assert np.allclose(total, invoices.amount, atol=0.005)
    assert np.allclose(lines.amount, lines.quantity * lines.unit_price, atol=0.0051)


def test_rates_of_one_client_and_service_never_overlap(frames: Frames) -> None:
    rates = (
        frames["rates"]
        .fillna({"client_id": ""})
        .sort_values(["service_id", "client_id", "valid_from"])
    )
    following = rates.groupby(["service_id", "client_id"]).valid_from.shift(-1)
    inner = following.notna()
    assert (rates.valid_to[inner] < following[inner]).all()


def test_most_lines_are_billed_at_the_agreed_price(frames: Frames) -> None:
    duck = duckdb.connect()
    duck.register("lines", frames["invoice_lines"].query("corrects_line_id.isna()"))
    duck.register("rates", frames["rates"])
    share = duck.sql("""
        SELECT avg((abs(l.unit_price - coalesce(own.unit_price, everyone.unit_price)) < 0.005)::INT)
        FROM lines l
        JOIN rates everyone ON everyone.client_id IS NULL AND everyone.service_id = l.service_id
          AND l.issued_on BETWEEN everyone.valid_from AND everyone.valid_to
        LEFT JOIN rates own ON own.client_id = l.client_id AND own.service_id = l.service_id
          AND l.issued_on BETWEEN own.valid_from AND own.valid_to
        WHERE l.corrects_entry_id IS NULL
    """).fetchall()
    assert 0.97 < share[0][0] < 0.99


def test_marginals_are_those_of_a_services_firm(frames: Frames) -> None:
    clients, lines, invoices = frames["clients"], frames["invoice_lines"], frames["invoices"]
    assert 380 <= len(clients) <= 460
    assert set(clients.segment) == {"small", "mid", "enterprise"}
    margin = 1 - lines.cost.sum() / lines.amount.sum()
    assert 0.2 < margin < 0.5
    paid = invoices.dropna(subset=["paid_on"])
    late = (pd.to_datetime(paid.paid_on) > pd.to_datetime(paid.due_on)).mean()
    assert 0.15 < late < 0.6
    assert 0.01 < invoices.disputed.mean() < 0.12
    decided = frames["quotes"].dropna(subset=["won"])
    assert 0.3 < decided.won.astype(float).mean() < 0.65
    issued = pd.to_datetime(lines.issued_on)
    assert (issued.dt.dayofweek < 5).all()
    assert 0.001 < (lines.quantity < 0).mean() < 0.04


def test_three_thousand_clients_take_seconds() -> None:
    firm = SampleFirm(clients=3000, seed=58, end=dt.date(2026, 9, 30))
    assert firm.table("invoice_lines").num_rows > 200_000
    assert sum(firm.table(name).nbytes for name in firm.tables()) < 150e6


def test_a_relation_is_the_table(firm: SampleFirm) -> None:
    duck = duckdb.connect()
    for name in firm.tables():
        assert len(firm.relation(name, duck).fetchall()) == firm.table(name).num_rows


def test_an_unknown_table_is_refused_by_name(firm: SampleFirm) -> None:
    with pytest.raises(KeyError, match="no table 'ledger'"):
        firm.table("ledger")
