"""Ingestion of invoice lines against DuckDB's bare copy of the same CSV to Parquet.

A first load, a reload of the whole export with 1 % of rows new and 0.1 % changed, and a reload
without any change, each in a process of its own, checks and verdict included.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import Benchmark, Cost, Row, at_most, best_of, isolated, timed

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TODAY = dt.date(2026, 1, 5)
GOAL = at_most(6)
PEAK_GOAL_MB = 4000


def _duckdb() -> DuckDBPyConnection:
    """A connection that draws no progress into the results."""
    import duckdb

    return duckdb.connect().execute("SET enable_progress_bar = false")


def write_lines(path: Path, rows: int, changed: bool) -> None:
    """Invoice lines as CSV; ``changed`` adds 1 % of rows and changes the price of every 1000th."""
    total = rows + rows // 100 if changed else rows
    raised = "CASE WHEN i % 1000 = 0 THEN 1 ELSE 0 END" if changed else "0"
    _duckdb().execute(
        "COPY (SELECT 'L' || i AS line_id, 'C' || hash(i) % 50000 AS client_id,"
        " 'S' || hash(i + 7) % 200 AS service_id,"
        f" DATE '2020-01-01' + (i * 1500 // {rows})::INT AS issued_on,"
        " 1 + hash(i + 1) % 20 AS quantity,"
        f" round(5 + hash(i + 2) % 10000 / 100.0 + {raised}, 2) AS unit_price,"
        " 'I' || i // 4 AS invoice_id, round(hash(i + 3) % 9000 / 100.0, 2) AS cost"
        f" FROM range({total}) t(i)) TO '{path}' (HEADER)"
    )


def bare_copy(path: Path) -> Cost:
    """What DuckDB takes to copy the CSV to Parquet, and nothing else; the best of three."""
    target = path.with_suffix(".parquet")
    statement = f"COPY (SELECT * FROM read_csv('{path}')) TO '{target}'"
    [cost] = best_of(lambda: _duckdb().execute(statement), times=3)
    target.unlink()
    return cost


def load(home: Path, folder: Path) -> tuple[str, Cost]:
    """Ingest once: what happened, and what it took."""
    from warehouse import scored
    from warehouse.database import connect
    from warehouse.ingestion import ingest
    from warehouse.lake import Lake
    from warehouse.quality.suite import judge
    from warehouse.settings import WarehouseSettings
    from warehouse.sources import open_source

    settings = WarehouseSettings(home=home, source=f"folder:{folder}")
    engine = connect(settings.warehouse_url)
    scored.migrate(engine, [])
    judge("warm", [])  # one import of Great Expectations, a few seconds whatever the data
    source, lake = open_source(settings.source, settings), Lake(settings.lake)
    report, cost = timed(lambda: ingest(source, lake, engine, settings, TODAY, "bench"))
    return report.summary(), cost


def run(rows: int) -> Iterator[Row]:
    """A row for each load."""
    with tempfile.TemporaryDirectory() as work:
        folder, home = Path(work) / "export", Path(work) / "home"
        folder.mkdir()
        lines = folder / "invoice_lines.csv"
        for what, changed in (
            ("first load", False),
            ("reload, 1 % new and 0.1 % changed", True),
            ("reload, no change", True),
        ):
            write_lines(lines, rows, changed)
            theirs = isolated(bare_copy, lines)
            summary, ours = isolated(load, home, folder)
            sys.stderr.write(f"{what}: {summary}\n")
            name = f"{what}, {rows:,} lines"
            yield Row(name, "DuckDB's copy CSV to Parquet", ours, theirs, GOAL, PEAK_GOAL_MB)


BENCHMARK = Benchmark(
    name="ingest",
    question="Ingestion with checks and verdict against DuckDB's bare copy to Parquet.",
    run=run,
    full={"rows": 10_000_000},
    quick={"rows": 5_000},
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
