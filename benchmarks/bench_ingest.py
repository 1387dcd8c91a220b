"""Ingestion of invoice lines against DuckDB's bare copy of the same CSV to Parquet.

Run: python benchmarks/bench_ingest.py [ROWS]  (default 1,000,000)
Prints seconds, their ratio to the copy's, and peak memory of a first load, of a reload with 1 % of
rows new and 0.1 % changed, and of a reload without any change. Where others use the machine, the
ratio of CPU seconds says more than that of the clock.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import duckdb

from warehouse import scored
from warehouse.database import connect
from warehouse.ingestion import ingest
from warehouse.lake import Lake
from warehouse.quality.suite import judge
from warehouse.settings import WarehouseSettings
from warehouse.sources import open_source

TODAY = dt.date(2026, 1, 5)
GOAL = 6.0


def write_lines(path: Path, rows: int, *, changed: bool) -> None:
    """Invoice lines as CSV; ``changed`` adds 1 % of rows and changes the price of every 1000th."""
    total = rows + rows // 100 if changed else rows
    raised = "CASE WHEN i % 1000 = 0 THEN 1 ELSE 0 END" if changed else "0"
    duckdb.sql(
        "COPY (SELECT 'L' || i AS line_id, 'C' || hash(i) % 50000 AS client_id,"
        " 'S' || hash(i + 7) % 200 AS service_id,"
        f" DATE '2020-01-01' + (i * 1500 // {rows})::INT AS issued_on,"
        " 1 + hash(i + 1) % 20 AS quantity,"
        f" round(5 + hash(i + 2) % 10000 / 100.0 + {raised}, 2) AS unit_price,"
        " 'I' || i // 4 AS invoice_id, round(hash(i + 3) % 9000 / 100.0, 2) AS cost"
        f" FROM range({total}) t(i)) TO '{path}' (HEADER)"
    )


def bare_copy(path: Path) -> tuple[float, float]:
    """Wall and CPU seconds that DuckDB takes to copy the CSV to Parquet, and nothing else."""
    target = path.with_suffix(".parquet")
    started, worked = time.perf_counter(), time.process_time()
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{path}')) TO '{target}'")
    seconds = time.perf_counter() - started, time.process_time() - worked
    target.unlink()
    return seconds


def load(home: Path, folder: Path) -> tuple[float, float, float, str]:
    """Ingest once: wall and CPU seconds, peak memory of this process in GB, what happened."""
    settings = WarehouseSettings(home=home, source=f"folder:{folder}")
    engine = connect(settings.warehouse_url)
    scored.migrate(engine, [])
    judge("warm", [])  # one import of Great Expectations, a few seconds whatever the data
    source, lake = open_source(settings.source, settings), Lake(settings.lake)
    started, worked = time.perf_counter(), time.process_time()
    report = ingest(source, lake, engine, settings, TODAY, "bench")
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return seconds, cpu, peak, report.summary()


def _in_process(home: Path, folder: Path) -> tuple[float, float, float, str]:
    # A process for each load, so that one's peak memory does not hide another's.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(load, home, folder).result()


def main(rows: int) -> None:
    """Print the table of measurements."""
    with tempfile.TemporaryDirectory() as work:
        folder, home = Path(work) / "export", Path(work) / "home"
        folder.mkdir()
        lines = folder / "invoice_lines.csv"
        print(f"{rows:,} invoice lines; goal: at most {GOAL:g} times the bare copy, under 4 GB")
        for name, changed in (("first load", False), ("reload, 1.1 %", True), ("no change", True)):
            write_lines(lines, rows, changed=changed)
            copy, copy_cpu = (
                min(seen) for seen in zip(*(bare_copy(lines) for _ in range(3)), strict=True)
            )
            seconds, cpu, peak, summary = _in_process(home, folder)
            print(
                f"{name:14} copy {copy:6.2f} s (CPU {copy_cpu:6.2f} s)"
                f"  ingestion {seconds:6.2f} s (CPU {cpu:6.2f} s)"
                f"  ratio {seconds / copy:5.2f} (CPU {cpu / copy_cpu:5.2f})"
                f"  peak {peak:4.2f} GB  {summary}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
