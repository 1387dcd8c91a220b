"""`init-source` reads the exports of other systems and proposes mappings that then work."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from warehouse.sources import SourceError
from warehouse.sources.check import check_source
from warehouse.sources.mapping import init_source

XERO = """*ContactName,EmailAddress,*InvoiceNumber,*InvoiceDate,*DueDate,InventoryItemCode,\
*Description,*Quantity,*UnitAmount,*AccountCode,*TaxType
Acme Ltd,a@example.org,INV-1,13/01/2024,13/02/2024,AUDIT,Audit,2,100.50,200,None
Acme Ltd,a@example.org,INV-1,13/01/2024,13/02/2024,TAX,Tax advice,1,80,200,None
Bolt GmbH,b@example.org,INV-2,02/02/2024,02/03/2024,AUDIT,Audit,1,100.50,200,None
"""
QUICKBOOKS = """Date,Transaction Type,Num,Name,Product/Service,Qty,Sales Price,Amount
01/31/2024,Invoice,1001,Acme,Hours:Audit,2,"1,100.00","2,200.00"
02/15/2024,Invoice,1002,Bolt,Hours:Tax,1,90.00,90.00
02/16/2024,Credit Memo,1003,Bolt,Hours:Tax,-1,90.00,-90.00
"""
STRIPE = """id,Customer ID,Date (UTC),Due Date (UTC),Paid At (UTC),Total,Currency
in_1,cus_1,2024-01-05 10:00:00,2024-02-05 10:00:00,2024-01-20 08:00:00,120.00,eur
in_2,cus_2,2024-01-06 10:00:00,2024-02-06 10:00:00,,80.00,eur
"""
CUSTOMERS = """Customer ID,Customer Name,Country,Customer Since
cus_1,Acme,DE,2020-05-01
cus_2,Bolt,AT,2021-06-01
"""
HOURS = """Date,Client,Task,Hours,Billable,Notes
2024-01-03,Acme,Audit,2.5,Yes,x
2024-01-04,Bolt,Tax,1,No,
"""
ADS = """Day,Campaign,Amount Spent,Impressions
2024-01-01,Search,10.5,1000
2024-01-02,Search,11,1100
2024-01-01,Social,4,900
"""


def test_lines_exported_by_xero_give_lines_and_invoices(home: Any) -> None:
    home.text("SalesInvoices.csv", XERO)
    report = init_source(home.source)
    assert {path.name for path in report.written} == {
        "invoice_lines.sql",
        "invoices.sql",
        "README.md",
    }
    home.ingest()
    lines = home.snapshot().read("invoice_lines").to_pylist()
    assert {(row["client_id"], row["service_id"], row["amount"]) for row in lines} == {
        ("Acme Ltd", "AUDIT", 201.0),
        ("Acme Ltd", "TAX", 80.0),
        ("Bolt GmbH", "AUDIT", 100.5),
    }
    assert lines[0]["issued_on"] == dt.date(2024, 1, 13)
    invoices = home.snapshot().read("invoices").to_pylist()
    assert {(row["invoice_id"], row["amount"], row["due_on"]) for row in invoices} == {
        ("INV-1", 281.0, dt.date(2024, 2, 13)),
        ("INV-2", 100.5, dt.date(2024, 3, 2)),
    }


def test_lines_exported_by_quickbooks_come_in_with_american_dates_and_thousands(home: Any) -> None:
    home.text("sales by customer detail.csv", QUICKBOOKS)
    init_source(home.source)
    home.ingest()
    rows = home.snapshot().read("invoice_lines").to_pylist()
    assert {
        (row["client_id"], row["service_id"], row["issued_on"], row["quantity"], row["unit_price"])
        for row in rows
    } == {
        ("Acme", "Hours:Audit", dt.date(2024, 1, 31), 2.0, 1100.0),
        ("Bolt", "Hours:Tax", dt.date(2024, 2, 15), 1.0, 90.0),
        ("Bolt", "Hours:Tax", dt.date(2024, 2, 16), -1.0, 90.0),
    }
    assert {row["transaction_type"] for row in rows} == {"Invoice", "Credit Memo"}


def test_each_file_of_a_folder_finds_its_table(home: Any) -> None:
    for name, text in [
        ("stripe_invoices.csv", STRIPE),
        ("customers.csv", CUSTOMERS),
        ("timesheet.csv", HOURS),
        ("ads.csv", ADS),
        ("notes.csv", "what,why\na,b\n"),
    ]:
        home.text(name, text)
    report = init_source(home.source)
    assert {one.file: one.table for one in report.proposals} == {
        "stripe_invoices.csv": "invoices",
        "customers.csv": "clients",
        "timesheet.csv": "work_entries",
        "ads.csv": "channel_spend",
        "notes.csv": None,
    }
    check = check_source(f"folder:{home.source}", home.settings)
    assert [(table.name, table.usable, table.error) for table in check.tables] == [
        ("clients", 2, None),
        ("invoices", 2, None),
        ("work_entries", 2, None),
        ("channel_spend", 3, None),
    ]
    assert "invoice_lines" in check.present  # out of the invoices
    home.ingest()
    (first, _) = home.snapshot().read("invoices").to_pylist()
    assert first["paid_on"] == dt.date(2024, 1, 20)


def test_nothing_is_ever_overwritten(home: Any) -> None:
    home.text("SalesInvoices.csv", XERO)
    home.text("README.md", "mine")
    home.text("invoices.sql", "SELECT 1")
    report = init_source(home.source)
    assert {path.name for path in report.kept} == {"README.md", "invoices.sql"}
    assert (home.source / "README.md").read_text() == "mine"
    assert (home.source / "invoices.sql").read_text() == "SELECT 1"
    before = {path: path.read_bytes() for path in home.source.iterdir()}
    assert init_source(home.source).written == []
    assert {path: path.read_bytes() for path in home.source.iterdir()} == before


def test_a_file_that_follows_the_contract_needs_no_mapping(home: Any) -> None:
    home.export("invoice_lines", home.lines(5))
    report = init_source(home.source)
    assert [path.name for path in report.written] == ["README.md"]


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="export your data there first"):
        init_source(tmp_path)
