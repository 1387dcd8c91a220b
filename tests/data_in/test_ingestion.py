"""Ingestion: what comes in, what goes to quarantine and why, what a second run does."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from warehouse.repositories.data_versions import OtherSourceError
from warehouse.sources import SourceError

DAY = dt.timedelta(days=1)
MONDAY = dt.date(2024, 6, 3)


def test_a_first_load_brings_every_row_with_the_day_it_was_known(home: Any) -> None:
    home.export("invoice_lines", home.lines(50))
    report = home.ingest()
    rows = home.snapshot().read("invoice_lines").to_pylist()
    assert report.written
    assert len(rows) == 50
    first = next(row for row in rows if row["line_id"] == "l1")
    assert first["known_at"] == first["issued_on"] == dt.date(2024, 1, 2)
    assert first["valid_from"] is None
    assert first["valid_to"] is None
    assert first["amount"] == 21.0  # 2 units at 10.50, since the export gives no amount
    assert (report.first_event, report.newest_event) == (dt.date(2024, 1, 2), dt.date(2024, 2, 20))


def test_a_second_run_over_the_same_export_writes_nothing(home: Any) -> None:
    home.export("invoice_lines", [*home.lines(2000), home.line(9999, quantity="x")])
    first = home.ingest()
    second = home.ingest(MONDAY + DAY)
    assert not second.written
    assert second.snapshot == first.snapshot
    assert home.lake.version("raw/invoice_lines") == 0
    assert len(home.quarantine()) == 1


def test_a_reload_appends_only_what_changed(home: Any) -> None:
    home.export("invoice_lines", home.lines(500))
    home.ingest()
    changed = home.lines(510)
    changed[3] |= {"unit_price": 99}
    del changed[7]
    home.export("invoice_lines", changed)
    report = home.one(home.ingest(MONDAY + DAY), "invoice_lines")
    assert (report.inserted, report.updated, report.removed) == (10, 1, 1)
    assert report.rows == 509
    log = home.lake.read("raw/invoice_lines", report.version)
    assert log.num_rows == 500 + 10 + 1 + 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": "abc"}, "quantity: 'abc' is not a number"),
        ({"client_id": None}, "client_id is missing"),
        ({"issued_on": "soon"}, "issued_on: 'soon' is not a date"),
        ({"issued_on": "2024-02-30"}, "issued_on: '2024-02-30' is not a date"),
        ({"issued_on": "0201-01-01"}, "issued_on: 0201-01-01 is not within 1900 to 2199"),
        ({"unit_price": -1}, "unit_price: -1.0 is below 0"),
        ({"unit_price": "inf"}, "unit_price is not a finite number"),
        ({"quantity": 1e13}, "quantity: 10000000000000.0 is above 1e+12"),
    ],
)
def test_a_row_that_breaks_the_contract_goes_to_quarantine_with_its_reason(
    home: Any, changes: dict[str, Any], reason: str
) -> None:
    home.export("invoice_lines", [*home.lines(40), home.line(41, **changes), home.line(42)])
    report = home.one(home.ingest(), "invoice_lines")
    (row,) = home.quarantine()
    assert row["reasons"].startswith(reason)
    assert (row["table_name"], row["row"], row["kind"]) == ("invoice_lines", 41, "row")
    assert '"line_id":"l41"' in row["raw"]
    assert (report.rows, report.quarantined) == (41, 1)


def test_every_reason_of_a_row_is_told(home: Any) -> None:
    home.export("invoice_lines", [home.line(1), home.line(2, quantity="x", client_id="")])
    home.ingest()
    assert home.quarantine()[0]["reasons"].split("; ") == [
        "client_id is missing",
        "quantity: 'x' is not a number",
    ]


def test_zero_prices_and_negative_quantities_are_legal(home: Any) -> None:
    home.export("invoice_lines", [home.line(1, unit_price=0), home.line(2, quantity=-3)])
    assert home.one(home.ingest(), "invoice_lines").verdict == "pass"


def test_a_line_of_the_file_with_too_many_values_is_kept_in_quarantine(home: Any) -> None:
    home.text("clients.csv", "client_id,name\n" + "c1,A\n" * 1 + "c2,B,what\n" + "c3,C\n")
    home.ingest()
    (row,) = home.quarantine()
    assert (row["kind"], row["row"], row["raw"]) == ("line", 3, "c2,B,what")
    assert home.snapshot().read("clients", ["client_id"])["client_id"].to_pylist() == ["c1", "c3"]


def test_a_quarantined_row_keeps_the_last_good_version_of_its_key(home: Any) -> None:
    home.export("invoice_lines", home.lines(40))
    home.ingest()
    home.export("invoice_lines", [home.line(1, quantity="oops"), *home.lines(40)[1:]])
    report = home.one(home.ingest(MONDAY + DAY), "invoice_lines")
    assert report.removed == 0
    rows = home.snapshot().as_of("invoice_lines", MONDAY + DAY).to_pylist()
    assert next(row for row in rows if row["line_id"] == "l1")["quantity"] == 2


def test_identical_repeats_collapse_and_conflicting_rows_go_to_quarantine(home: Any) -> None:
    rows = home.lines(60)
    home.export("invoice_lines", [*rows, rows[0], home.line(2, unit_price=77)])
    report = home.one(home.ingest(), "invoice_lines")
    assert (report.rows, report.repeated, report.quarantined) == (59, 1, 2)
    assert [row["row"] for row in home.quarantine()] == [2, 62]
    assert home.quarantine()[0]["reasons"] == (
        "line_id 'l2' stands in several rows that differ: rows 2, 62"
    )


def test_missing_ids_are_derived_and_stay_the_same(home: Any) -> None:
    rows = [home.line(1), home.line(1), home.line(2), home.line(3)]
    for row in rows:
        del row["line_id"]
    home.export("invoice_lines", rows)
    home.ingest()
    before = sorted(home.snapshot().read("invoice_lines", ["line_id"])["line_id"].to_pylist())
    assert len(set(before)) == 4
    home.export("invoice_lines", [rows[3], rows[1], rows[2], rows[0]])
    assert not home.ingest(MONDAY + DAY).written


def test_an_open_quote_without_an_id_is_the_same_quote_once_decided(home: Any) -> None:
    quote = {"service_id": "s", "quoted_on": "2024-05-01", "quoted_price": 5}
    other = quote | {"quoted_price": 6}
    home.export("quotes", [quote | {"won": "", "decided_on": ""}] * 2 + [other | {"won": ""}])
    home.ingest()
    home.export(
        "quotes",
        [
            quote | {"won": "", "decided_on": ""},
            quote | {"won": "yes", "decided_on": "2024-06-01"},
            other | {"won": ""},
        ],
    )
    report = home.one(home.ingest(MONDAY + DAY), "quotes")
    assert (report.inserted, report.updated, report.removed) == (0, 1, 0)
    before = home.snapshot().as_of("quotes", dt.date(2024, 5, 31), ["won"])["won"].to_pylist()
    after = home.snapshot().as_of("quotes", dt.date(2024, 6, 1), ["won"])["won"].to_pylist()
    assert before == [None, None, None]
    assert sorted(after, key=str) == [None, None, True]


def test_spend_of_one_channel_and_day_is_added_up(home: Any) -> None:
    spend = {"channel": "search", "spent_on": "2024-05-01"}
    home.export("channel_spend", [spend | {"amount": 1.5}, spend | {"amount": 2}] + [
        {"channel": "tv", "spent_on": "2024-05-01", "amount": n} for n in (4,)
    ])  # fmt: skip
    home.ingest()
    rows = home.snapshot().read("channel_spend").to_pylist()
    assert {row["channel"]: row["amount"] for row in rows} == {"search": 3.5, "tv": 4.0}


def test_invoices_without_lines_become_one_line_each_and_a_credit_note_a_negative_one(
    home: Any,
) -> None:
    invoices = [
        {"invoice_id": "i1", "client_id": "c", "issued_on": "2024-05-01", "amount": 100},
        {"invoice_id": "i2", "client_id": "c", "issued_on": "2024-05-02", "amount": -30},
        {"invoice_id": "i3", "client_id": "c", "issued_on": "2024-05-02", "amount": None},
    ]
    home.export("invoices", invoices)
    home.ingest()
    rows = home.snapshot().read("invoice_lines").to_pylist()
    assert {
        (row["invoice_id"], row["service_id"], row["quantity"], row["unit_price"], row["amount"])
        for row in rows
    } == {("i1", "all", 1.0, 100.0, 100.0), ("i2", "all", -1.0, 30.0, -30.0)}


def test_extra_columns_are_kept_typed_and_may_come_later(home: Any) -> None:
    client = {
        "client_id": "c1",
        "Employees": "12",
        "Since": "2020-01-31",
        "code": "007",
        "vip": "no",
    }
    home.export("clients", [client])
    home.ingest()
    (row,) = home.snapshot().read("clients").to_pylist()
    assert row["employees"] == 12.0
    assert row["since"] == dt.date(2020, 1, 31)
    assert row["code"] == "007"
    assert row["vip"] is False
    home.export("clients", [client | {"rating": "A"}])
    report = home.one(home.ingest(MONDAY + DAY), "clients")
    assert report.updated == 1
    before = home.snapshot().as_of("clients", MONDAY).to_pylist()[0]
    after = home.snapshot().as_of("clients", MONDAY + DAY).to_pylist()[0]
    assert (before["rating"], after["rating"]) == (None, "A")


def test_an_extra_column_is_judged_by_all_its_rows(home: Any) -> None:
    rows = [{"client_id": f"c{n}", "grade": n} for n in range(25_000)]
    rows[24_000]["grade"] = "n.a."
    home.export("clients", rows)
    assert home.one(home.ingest(), "clients").quarantined == 0
    assert home.snapshot().read("clients", ["grade"])["grade"].to_pylist()[:2] == ["0", "1"]


@pytest.mark.parametrize(
    ("written", "read"),
    [("13/02/2024", dt.date(2024, 2, 13)), ("02/13/2024", dt.date(2024, 2, 13))],
)
def test_the_column_as_a_whole_tells_which_part_of_a_date_is_the_month(
    home: Any, written: str, read: dt.date
) -> None:
    rows = [home.line(1, issued_on=written), home.line(2, issued_on="01/02/2024")]
    home.export("invoice_lines", rows)
    home.ingest()
    found = home.snapshot().read("invoice_lines", ["issued_on"])["issued_on"].to_pylist()
    assert found[0] == read
    assert found[1] == (dt.date(2024, 2, 1) if written[:2] == "13" else dt.date(2024, 1, 2))


def test_dates_that_could_be_read_both_ways_are_not_guessed(home: Any) -> None:
    home.export("invoice_lines", [home.line(1, issued_on="01/02/2024")])
    home.ingest()
    assert "may be day/month or month/day" in home.quarantine()[0]["reasons"]


def test_instants_with_a_zone_become_the_firms_local_time(homes: Any) -> None:
    home = homes(timezone="Europe/Berlin")
    home.export("series", [
        {"series_id": "s", "observed_at": "2024-05-01T22:30:00Z", "value": 1},
        {"series_id": "s", "observed_at": "2024-05-01 22:30:00", "value": 2},
        {"series_id": "s", "observed_at": "2024-05-03", "value": 3},
    ])  # fmt: skip
    home.ingest()
    rows = home.snapshot().read("series").to_pylist()
    assert [row["observed_at"] for row in rows] == [
        dt.datetime(2024, 5, 2, 0, 30),
        dt.datetime(2024, 5, 1, 22, 30),
        dt.datetime(2024, 5, 3),
    ]
    assert [row["known_at"].day for row in rows] == [2, 1, 3]


def test_another_source_is_refused_with_the_way_out(home: Any) -> None:
    home.export("clients", [{"client_id": "c1"}])
    home.ingest()
    other = home.folder / "other"
    other.mkdir()
    (other / "clients.csv").write_text("client_id\nx\n")
    with pytest.raises(OtherSourceError, match=r"--home PATH.*sevenfold reset"):
        home.ingest(source=f"folder:{other}")
    assert home.snapshot().read("clients", ["client_id"])["client_id"].to_pylist() == ["c1"]


def test_a_table_in_the_lake_that_no_record_names_is_replaced(home: Any) -> None:
    home.export("clients", [{"client_id": "c1", "extra": "7"}])
    _crash(home, "lake-committed")
    home.export("clients", [{"client_id": "c1", "extra": "seven"}])
    home.ingest()
    assert home.snapshot().read("clients", ["extra"])["extra"].to_pylist() == ["seven"]


@pytest.mark.parametrize("point", ["lake-committed", "verdict"])
def test_after_a_crash_readers_see_the_old_state_and_a_retry_doubles_nothing(
    home: Any, point: str
) -> None:
    home.export("invoice_lines", [*home.lines(30), home.line(77, quantity="x")])
    home.ingest()
    before = home.snapshot().read("invoice_lines")
    home.export("invoice_lines", [*home.lines(35), home.line(78, quantity="y")])
    _crash(home, point)
    assert home.snapshot().id == "000001"
    assert home.snapshot().read("invoice_lines").equals(before)
    report = home.ingest(MONDAY + DAY)
    assert report.snapshot == "000002"
    assert home.one(report, "invoice_lines").inserted == 5
    assert home.snapshot().read("invoice_lines").num_rows == 35
    assert [row["snapshot"] for row in home.quarantine()] == [1, 2]
    assert not home.ingest(MONDAY + 2 * DAY).written


def _crash(home: Any, point: str) -> None:
    """Ingest in a process that dies at the point."""
    code = (
        "import datetime as dt, sys\n"
        "from warehouse.database import connect\nfrom warehouse.lake import Lake\n"
        "from warehouse.ingestion import ingest\nfrom warehouse.sources import open_source\n"
        "from warehouse.settings import WarehouseSettings\n"
        "s = WarehouseSettings(home=sys.argv[1])\n"
        "ingest(open_source(sys.argv[2], s), Lake(s.lake), connect(s.warehouse_url), s,"
        " dt.date(2024, 6, 4), 'dying')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.settings.home), f"folder:{home.source}"],
        env=os.environ | {"SEVENFOLD_FAULT": point},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_folder_without_any_table_says_what_it_expects(home: Any) -> None:
    home.text("customers.csv", "a\n1\n")
    with pytest.raises(
        SourceError, match=r"clients, services, invoices.*customers\.csv.*init-sour"
    ):
        home.ingest()
