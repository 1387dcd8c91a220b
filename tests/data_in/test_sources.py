"""Sources: files, mappings and databases give the same rows, and errors say where and what."""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from warehouse.sources import SourceError, open_source
from warehouse.sources.check import check_source


def test_csv_parquet_mapping_and_database_give_the_same_table(homes: Any) -> None:
    csv, parquet, mapped, database = (homes() for _ in range(4))
    csv.export("invoice_lines", csv.lines(30))
    file = csv.source / "invoice_lines.csv"
    duckdb.sql(f"COPY (FROM '{file}') TO '{parquet.source / 'invoice_lines.parquet'}'")
    (mapped.source / "raw.csv").write_text(file.read_text())
    mapped.text("invoice_lines.sql", "-- relative\nSELECT * FROM 'raw.csv';")
    url = f"sqlite:///{database.source / 'firm.db'}"
    with sqlite3.connect(database.source / "firm.db") as connection:
        connection.execute(
            "CREATE TABLE lines (line_id TEXT, client_id TEXT, service_id TEXT, issued_on DATE,"
            " quantity INT, unit_price NUMERIC(10, 2))"
        )
        rows = [tuple(map(str, row.values())) for row in csv.lines(30)]
        connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("CREATE VIEW invoice_lines AS SELECT * FROM lines")
    connection.close()
    for home in (csv, parquet, mapped):
        home.ingest()
    database.ingest(source=url)
    expected = csv.snapshot().read("invoice_lines")
    assert expected.num_rows == 30
    for home in (parquet, mapped, database):
        assert home.snapshot().read("invoice_lines").equals(expected)


@pytest.mark.postgres
def test_a_postgresql_database_is_read_with_its_types(postgres_server: str, home: Any) -> None:
    engine = sa.create_engine(postgres_server.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE quotes (service_id text, quoted_on timestamptz,"
            " quoted_price numeric(12, 2), won boolean, decided_on date)"
        )
        connection.exec_driver_sql(
            "INSERT INTO quotes VALUES ('s', '2024-05-01 23:00:00+00', 9.5, true, '2024-05-09')"
        )
    home.ingest(source=postgres_server)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE quotes")
    engine.dispose()
    (row,) = home.snapshot().read("quotes").to_pylist()
    assert (row["quoted_price"], row["won"]) == (9.5, True)
    assert (row["quoted_on"], row["decided_on"]) == (dt.date(2024, 5, 1), dt.date(2024, 5, 9))


def test_a_mapping_sees_the_example_data_by_its_variable(homes: Any, tmp_path: Any) -> None:
    home = homes(example_data=tmp_path)
    (tmp_path / "people.csv").write_text("who\na\nb\n")
    home.text(
        "clients.sql", "SELECT who AS client_id FROM read_csv(getvariable('data') || '/people.csv')"
    )
    home.ingest()
    assert home.snapshot().read("clients", ["client_id"]).num_rows == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT * FROM 'nowhere.csv'", r"clients\.sql.*nowhere\.csv"),
        ("SELEC 1", r"clients\.sql.*syntax error"),
        ("SELECT 1; SELECT 2", r"expected one SELECT, found 2"),
        ("DROP TABLE x", r"expected a SELECT"),
        ("SELECT strptime('x', '%d') AS client_id", r"clients.*strptime|Could not parse"),
    ],
)
def test_a_broken_mapping_names_the_file_and_what_duckdb_says(
    home: Any, text: str, message: str
) -> None:
    home.text("clients.sql", text)
    with pytest.raises(SourceError, match=message):
        home.ingest()


def test_an_unknown_source_says_what_sources_there_are(home: Any) -> None:
    with pytest.raises(SourceError, match=r"sample.*folder:PATH.*SQLAlchemy URL"):
        open_source("ftp", home.settings)


def test_check_tells_rows_reasons_and_extra_columns_and_writes_nothing(home: Any) -> None:
    home.export(
        "invoice_lines",
        [*home.lines(10, region="x"), home.line(11, quantity="a"), home.line(12, quantity="b")],
    )
    home.text("misnamed.csv", "a\n1\n")
    check = check_source(f"folder:{home.source}", home.settings)
    (table,) = check.tables
    assert (table.rows, table.usable, table.verdict) == (12, 10, "fail")
    (problem,) = table.problems
    assert (problem.reason, problem.count) == ("quantity: 'a' is not a number", 2)
    assert [one["row"] for one in problem.examples] == [11, 12]
    assert table.extra == {"region": "string"}
    assert check.unmatched == ["misnamed.csv"]
    assert check.present == ["invoice_lines"]
    assert not home.settings.home.joinpath("lake").exists()


def test_check_names_a_missing_required_column(home: Any) -> None:
    home.export("invoice_lines", [{"client_id": "c", "issued_on": "2024-01-01"}])
    (table,) = check_source(f"folder:{home.source}", home.settings).tables
    assert table.usable == 0
    assert {rule.rule for rule in table.failed_rules} >= {
        "missing_column:service_id",
        "missing_column:quantity",
        "missing_column:unit_price",
    }
