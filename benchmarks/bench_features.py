"""24 monthly snapshots of client features: the engine against DuckDB, Polars and pandas.

Every engine reads the same Parquet file of invoice lines in a process of its own and gives the same
frame: same rows, and column totals equal to 1e-9, which is checked. Times are from file to frame,
without imports. Ours is the mean of a turn before each other engine and one after the last, since
it takes seconds where they take minutes. Then the engine alone on a tenth and three tenths of the
lines.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.feature_engines import LAST, duckdb_loop, ours, pandas_loop, polars_loop
from benchmarks.harness import Benchmark, Cost, Row, at_least, isolated, timed

GOALS = {"duckdb": at_least(4), "polars": at_least(4), "pandas": at_least(10)}
PEAK_GOAL_MB = 2000
DAYS_OF_HISTORY = 3 * 365


def write_lines(path: Path, rows: int, clients: int, seed: int = 7) -> None:
    """Invoice lines with skewed clients, 1 % known late, as a snapshot read gives them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    first = (LAST - date(1970, 1, 1)).days - DAYS_OF_HISTORY
    names = pa.array([f"client-{i:07d}" for i in range(clients)])
    services = pa.array([f"service-{i:02d}" for i in range(40)])
    writer = None
    for done in range(0, rows, 1_000_000):
        n = min(1_000_000, rows - done)
        day = first + rng.integers(0, DAYS_OF_HISTORY + 1, n).astype(np.int32)
        late = np.where(rng.random(n) < 0.01, rng.integers(1, 60, n), 0).astype(np.int32)
        quantity = rng.integers(1, 20, n).astype(np.float64)
        price = np.round(rng.gamma(2.0, 40.0, n), 2)
        sign = np.where(rng.random(n) < 0.02, -1.0, 1.0)
        batch = pa.table(
            {
                "client_id": names.take(pa.array((rng.random(n) ** 1.5 * clients).astype(int))),
                "service_id": services.take(pa.array(rng.integers(0, 40, n))),
                "issued_on": pa.array(day).cast(pa.date32()),
                "quantity": quantity,
                "unit_price": price,
                "amount": np.round(quantity * price * sign, 2),
                "cost": np.round(quantity * price * 0.6, 2),
                "known_at": pa.array(day + late).cast(pa.date32()),
                "valid_from": pa.nulls(n, pa.date32()),
                "valid_to": pa.nulls(n, pa.date32()),
            }
        )
        writer = writer or pq.ParquetWriter(path, batch.schema)
        writer.write_table(batch)
    if writer is not None:
        writer.close()


ENGINES: dict[str, Callable[[Path], Any]] = {
    "sevenfold": ours,
    "duckdb": duckdb_loop,
    "polars": polars_loop,
    "pandas": pandas_loop,
}
IMPORTS = {
    "sevenfold": ("ml.features", "pandas", "pyarrow.dataset"),
    "duckdb": ("duckdb", "pandas", "pyarrow"),
    "polars": ("polars", "pandas", "pyarrow"),
    "pandas": ("pandas", "pyarrow.parquet"),
}


def measure(engine: str, path: Path) -> tuple[Cost, int, dict[str, float]]:
    """What an engine took without its imports, its rows, and column totals of its frame."""
    for name in IMPORTS[engine]:
        importlib.import_module(name)
    frame, cost = timed(lambda: ENGINES[engine](path))
    figures = frame.drop(columns=["client_id", "as_of"]).astype("float64")
    return cost, len(frame), {name: float(figures[name].sum()) for name in figures.columns}


def require_same(
    engine: str, ours: tuple[int, dict[str, float]], theirs: tuple[int, dict[str, float]]
) -> None:
    """Raise RuntimeError where the frames differ in rows or in a column's total by 1e-9."""
    (rows, sums), (other_rows, other_sums) = ours, theirs
    differing = [
        name
        for name, total in sums.items()
        if abs(total - other_sums[name]) > 1e-9 * max(1.0, abs(total))
    ]
    if rows != other_rows or differing:
        raise RuntimeError(f"{engine} gives {other_rows:,} rows for {rows:,}, other {differing}")


def run(rows: int, clients: int) -> Iterator[Row]:
    """A row for each other engine, then two of growth."""
    size = f"{rows:,} lines, {clients:,} clients"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.parquet"
        write_lines(path, rows, clients)
        turn, *result = isolated(measure, "sevenfold", path)
        turns, others = [turn], dict[str, Cost]()
        for engine in GOALS:
            others[engine], *other = isolated(measure, engine, path)
            require_same(engine, tuple(result), tuple(other))
            turns.append(isolated(measure, "sevenfold", path)[0])
        ours = _mean(turns)
        for engine, goal in GOALS.items():
            theirs = others[engine]
            what = f"24 snapshots of features, {size}, mean of {len(turns)}"
            yield Row(
                what, f"{engine} ({theirs.peak_mb:,.0f} MB)", ours, theirs, goal, PEAK_GOAL_MB
            )
        smallest: tuple[int, Cost] | None = None
        for part in (rows // 10, rows * 3 // 10, rows):
            if part < rows:
                write_lines(path, part, clients)
                cost = isolated(measure, "sevenfold", path)[0]
            else:
                cost = ours
            base = (f"{smallest[0]:,} lines", smallest[1]) if smallest else ("", None)
            yield Row(f"growth: {part:,} lines", base[0], cost, base[1], None, PEAK_GOAL_MB)
            smallest = smallest or (part, cost)


def _mean(turns: list[Cost]) -> Cost:
    """Mean times and the highest peak."""
    return Cost(
        fmean(turn.seconds for turn in turns),
        fmean(turn.cpu or 0.0 for turn in turns),
        max(turn.peak_mb or 0.0 for turn in turns),
    )


BENCHMARK = Benchmark(
    name="features",
    question="24 monthly snapshots of features against DuckDB, Polars and pandas.",
    run=run,
    full={"rows": 10_000_000, "clients": 100_000},
    quick={"rows": 20_000, "clients": 500},
    minutes=15,
)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
