"""The example mappings load the open data sets whole, and give their published figures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
Loaded = Callable[[str], Any]


@pytest.fixture
def loaded(homes: Any, example_data: Path) -> Loaded:
    """Ingests an example; returns its snapshot. Nothing may be quarantined, warned of or failed."""

    def load(name: str) -> Any:
        home = homes(example_data=example_data)
        report = home.ingest(dt.date(2026, 1, 5), source=f"folder:{EXAMPLES / name}")
        assert {table.name: table.verdict for table in report.tables if table.failed} == {}
        assert sum(table.quarantined for table in report.tables) == 0
        assert not home.ingest(dt.date(2026, 1, 6), source=f"folder:{EXAMPLES / name}").written
        return home.snapshot()

    return load


def test_online_retail_keeps_every_line_of_a_known_customer(loaded: Loaded) -> None:
    snapshot = loaded("online_retail")
    lines = snapshot.read("invoice_lines")
    assert lines.num_rows == 525_461 - 107_927
    assert pc.count_distinct(lines["line_id"]).as_py() == lines.num_rows
    assert pc.count_distinct(lines["client_id"]).as_py() == 4383
    assert pc.min(lines["unit_price"]).as_py() == 0
    assert snapshot.read("clients").num_rows == 4383


def test_ta_feng_has_line_totals(loaded: Loaded) -> None:
    snapshot = loaded("ta_feng")
    lines = snapshot.read(
        "invoice_lines", ["client_id", "quantity", "unit_price", "amount", "cost"]
    )
    assert lines.num_rows == 817_741
    product = pc.multiply(lines["quantity"], lines["unit_price"])
    assert pc.max(pc.abs(pc.subtract(product, lines["amount"]))).as_py() < 1e-6
    margin = pc.sum(lines["amount"]).as_py() - pc.sum(lines["cost"]).as_py()
    assert 0.1 < margin / pc.sum(lines["amount"]).as_py() < 0.2
    assert snapshot.read("clients").num_rows == 32_266


def test_cdnow_has_all_purchases(loaded: Loaded) -> None:
    lines = loaded("cdnow").read("invoice_lines")
    assert (lines.num_rows, pc.count_distinct(lines["client_id"]).as_py()) == (69_659, 23_570)


def test_receivables_become_lines_and_payments_count_by_their_day(loaded: Loaded) -> None:
    snapshot = loaded("ibm_accounts_receivable")
    assert snapshot.read("invoice_lines").num_rows == 2466
    then = snapshot.as_of("invoices", dt.date(2012, 6, 30))
    assert 0 < then["paid_on"].null_count < then.num_rows
    assert pc.max(then["issued_on"]).as_py() <= dt.date(2012, 6, 30)
    assert pc.max(then["paid_on"]).as_py() <= dt.date(2012, 6, 30)


@pytest.mark.parametrize(
    ("name", "rows", "series"),
    [
        ("prophet_examples", 144 + 293 + 2905, 3),
        ("nab", 181_653 - 45, 35),
        ("pymc_mmm_roas", 262, 2),
    ],
)
def test_series_come_in_whole(loaded: Loaded, name: str, rows: int, series: int) -> None:
    held = loaded(name).read("series", ["series_id"])
    assert (held.num_rows, pc.count_distinct(held["series_id"]).as_py()) == (rows, series)


def test_media_spend_has_two_channels_by_week(loaded: Loaded) -> None:
    spend = loaded("pymc_mmm_roas").read("channel_spend")
    assert spend.num_rows == 262
    assert sorted(set(spend["channel"].to_pylist())) == ["x1", "x2"]
