"""A home of its own for each test, and a folder of CSV files as its source."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from warehouse import scored
from warehouse.contract import TABLES
from warehouse.database import connect, reading, writing
from warehouse.ingestion import IngestReport, TableReport, ingest
from warehouse.lake import Lake
from warehouse.repositories import data_versions
from warehouse.settings import WarehouseSettings
from warehouse.snapshot import Snapshot
from warehouse.sources import open_source
from warehouse.tables import quality_acceptances

MONDAY = dt.date(2024, 6, 3)
Row = Mapping[str, Any]


@dataclass
class Home:
    """A home under a temporary folder; ``export`` writes what the firm exports."""

    folder: Path
    settings: WarehouseSettings
    engine: Engine
    lake: Lake

    @property
    def source(self) -> Path:
        return self.folder / "export"

    def export(self, table: str, rows: Sequence[Row], columns: Sequence[str] = ()) -> None:
        """Write a CSV file; None becomes nothing, everything else its text."""
        names = list(columns) or list(dict.fromkeys(name for row in rows for name in row))
        with (self.source / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows([{k: "" if v is None else v for k, v in r.items()} for r in rows])

    def text(self, name: str, content: str) -> None:
        (self.source / name).write_text(content, encoding="utf-8")

    def ingest(self, today: dt.date = MONDAY, source: str | None = None) -> IngestReport:
        spec = source or f"folder:{self.source}"
        opened = open_source(spec, self.settings)
        return ingest(opened, self.lake, self.engine, self.settings, today, "run-1")

    def snapshot(self, snapshot: str | None = None) -> Snapshot:
        with reading(self.engine) as connection:
            version = (
                data_versions.get(connection, snapshot)
                if snapshot
                else data_versions.newest(connection)
            )
        assert version is not None
        return Snapshot(self.lake, version.snapshot, version.table_versions)

    def quarantine(self) -> list[dict[str, Any]]:
        snapshot = self.snapshot()
        if "quarantine" not in snapshot.versions:
            return []
        rows = self.lake.read("quarantine", snapshot.versions["quarantine"]).to_pylist()
        return sorted(rows, key=lambda row: (row["snapshot"], row["table_name"], row["row"]))

    def accept_all(self) -> None:
        """Accept every failed rule of every table, however bad it gets."""
        with writing(self.engine) as connection:
            for table in TABLES:
                for rule in ("removed", "repeated", "quarantined", "empty_column:paid_on"):
                    connection.execute(
                        insert(quality_acceptances).values(
                            table_name=table,
                            rule=rule,
                            figure=1.0,
                            accepted_by="test",
                            reason="small tables",
                            accepted_at=dt.datetime.now(dt.UTC),
                        )
                    )

    @staticmethod
    def one(report: IngestReport, table: str) -> TableReport:
        """The report on one table."""
        return next(entry for entry in report.tables if entry.name == table)

    @staticmethod
    def line(number: int, **changes: Any) -> dict[str, Any]:
        """A good invoice line."""
        row = {
            "line_id": f"l{number}",
            "client_id": f"c{number % 7}",
            "service_id": "audit",
            "issued_on": dt.date(2024, 1, 1) + dt.timedelta(days=number % 90),
            "quantity": 1 + number % 3,
            "unit_price": 10.5,
        }
        return row | changes

    @classmethod
    def lines(cls, count: int, **changes: Any) -> list[dict[str, Any]]:
        """Good invoice lines, numbered from 1."""
        return [cls.line(number, **changes) for number in range(1, count + 1)]


def make_home(folder: Path, **settings: Any) -> Home:
    """A fresh home in the folder."""
    chosen = WarehouseSettings(home=folder / "home", **settings)
    engine = connect(chosen.warehouse_url)
    scored.migrate(engine, [])
    (folder / "export").mkdir(parents=True)
    return Home(folder, chosen, engine, Lake(chosen.lake, retention_days=chosen.retention_days))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An empty home and an empty export folder."""
    made = make_home(tmp_path / "own")
    yield made
    made.engine.dispose()


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Makes as many homes as a test wants, with settings of their own."""
    made: list[Home] = []

    def make(**settings: Any) -> Home:
        made.append(make_home(tmp_path / f"home-{len(made)}", **settings))
        return made[-1]

    yield make
    for each in made:
        each.engine.dispose()
