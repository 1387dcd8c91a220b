"""24 monthly snapshots of client features: the engine against DuckDB, Polars and pandas.

Every engine reads the same Parquet file of invoice lines in a process of its own and gives the same
frame: same rows, and column totals equal to 1e-9, which is checked. Times are from file to frame,
without imports. Then the engine alone on a tenth and three tenths of the lines.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.harness import Benchmark, Cost, Row, at_least, isolated, timed

GOALS = {"duckdb": at_least(4), "polars": at_least(4), "pandas": at_least(10)}
PEAK_GOAL_MB = 2000
WINDOWS = (30, 60, 90, 180, 365)
DAYS_OF_HISTORY = 3 * 365
LAST = date(2025, 12, 31)


def month_ends(months: int = 24) -> list[date]:
    """The last ``months`` month ends up to ``LAST``."""
    firsts = [(LAST.year * 12 + LAST.month - back) for back in range(months)]
    return sorted(date(m // 12, m % 12 + 1, 1) - timedelta(days=1) for m in firsts)


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


def ours(path: Path) -> Any:
    """The engine, streaming the file."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    from ml.features import (
        Active,
        ActiveDays,
        Count,
        Difference,
        DistinctValues,
        EventTable,
        Recency,
        Sum,
        Tenure,
        compute,
    )

    lines = EventTable(
        "lines", "invoice_lines", "issued_on", {"is_credit": pc.field("amount") < pc.scalar(0.0)}
    )
    features: list[Any] = []
    for days in WINDOWS:
        features.append(Sum(f"revenue_{days}", lines, "amount", days))
        features.append(Count(f"lines_{days}", lines, days))
    for days in (90, 365):
        revenue, cost = (Sum("", lines, column, days) for column in ("amount", "cost"))
        features.append(Difference(f"margin_{days}", revenue, cost))
        features.append(DistinctValues(f"services_{days}", lines, "service_id", days))
        features.append(Sum(f"credits_{days}", lines, "amount", days, where="is_credit"))
    features += [
        Sum("quantity_365", lines, "quantity", 365),
        Sum("revenue_ever", lines, "amount"),
        ActiveDays("active_days_365", lines, 365),
        Recency("recency", lines),
        Tenure("tenure", lines),
    ]
    tables = {"invoice_lines": ds.dataset(path)}
    return compute(features, tables, as_ofs=month_ends(), population=Active(lines, 365)).frame


def duckdb_loop(path: Path) -> Any:
    """The SQL a data team would write: one aggregate a snapshot, the table loaded once."""
    import duckdb
    import pandas as pd

    con = duckdb.connect()
    con.execute(f"CREATE TABLE lines AS SELECT * FROM '{path}'")
    frames = []
    for day in month_ends():
        d = f"DATE '{day}'"
        inside = {days: f"FILTER (issued_on > {d} - {days})" for days in WINDOWS}
        columns = []
        for days in WINDOWS:
            columns.append(f"coalesce(sum(amount) {inside[days]}, 0) AS revenue_{days}")
            columns.append(f"count(*) {inside[days]} AS lines_{days}")
        for days in (90, 365):
            columns.append(f"coalesce(sum(amount - cost) {inside[days]}, 0) AS margin_{days}")
            columns.append(f"count(DISTINCT service_id) {inside[days]} AS services_{days}")
            columns.append(
                f"coalesce(sum(amount) FILTER (issued_on > {d} - {days} AND amount < 0), 0)"
                f" AS credits_{days}"
            )
        columns += [
            f"coalesce(sum(quantity) {inside[365]}, 0) AS quantity_365",
            "sum(amount) AS revenue_ever",
            f"count(DISTINCT issued_on) {inside[365]} AS active_days_365",
            f"{d} - max(issued_on) AS recency",
            f"{d} - min(issued_on) AS tenure",
        ]
        frames.append(
            con.execute(
                f"SELECT client_id, {d} AS as_of, {', '.join(columns)} FROM lines"
                f" WHERE issued_on <= {d} AND known_at <= {d}"
                f" AND (valid_from IS NULL OR valid_from <= {d})"
                f" AND (valid_to IS NULL OR {d} < valid_to)"
                f" GROUP BY client_id HAVING max(issued_on) > {d} - 365 ORDER BY client_id"
            ).df()
        )
    return pd.concat(frames, ignore_index=True)


def polars_loop(path: Path) -> Any:
    """The same in Polars expressions."""
    import pandas as pd
    import polars as pl

    lines = pl.read_parquet(path)
    day = pl.col("issued_on")
    frames = []
    for as_of in month_ends():
        d = pl.lit(as_of)
        inside = {days: day > as_of - timedelta(days=days) for days in WINDOWS}
        amount, cost = pl.col("amount"), pl.col("cost")
        columns = []
        for days in WINDOWS:
            columns.append(amount.filter(inside[days]).sum().alias(f"revenue_{days}"))
            columns.append(inside[days].sum().alias(f"lines_{days}"))
        for days in (90, 365):
            over = inside[days]
            columns.append((amount - cost).filter(over).sum().alias(f"margin_{days}"))
            columns.append(pl.col("service_id").filter(over).n_unique().alias(f"services_{days}"))
            columns.append(amount.filter(over & (amount < 0)).sum().alias(f"credits_{days}"))
        columns += [
            pl.col("quantity").filter(inside[365]).sum().alias("quantity_365"),
            amount.sum().alias("revenue_ever"),
            day.filter(inside[365]).n_unique().alias("active_days_365"),
            (d - day.max()).dt.total_days().alias("recency"),
            (d - day.min()).dt.total_days().alias("tenure"),
        ]
        seen = (
            (day <= d)
            & (pl.col("known_at") <= d)
            & (pl.col("valid_from").is_null() | (pl.col("valid_from") <= d))
            & (pl.col("valid_to").is_null() | (d < pl.col("valid_to")))
        )
        frames.append(
            lines.lazy()
            .filter(seen)
            .group_by("client_id")
            .agg(columns)
            .filter(pl.col("recency") < 365)
            .sort("client_id")
            .with_columns(as_of=d)
            .collect()
            .to_pandas()
        )
    return pd.concat(frames, ignore_index=True)


def pandas_loop(path: Path) -> Any:
    """The same in pandas: one filter and group-by a window."""
    import pandas as pd

    lines = pd.read_parquet(path, dtype_backend="numpy_nullable")
    for name in ("issued_on", "known_at", "valid_from", "valid_to"):
        lines[name] = pd.to_datetime(lines[name])
    for name in ("amount", "cost", "quantity"):
        lines[name] = lines[name].astype("float64")
    for name in ("client_id", "service_id"):
        lines[name] = lines[name].astype("category")
    lines["margin"] = lines["amount"] - lines["cost"]
    lines["credit"] = lines["amount"].clip(upper=0)
    frames = []
    for as_of in map(pd.Timestamp, month_ends()):
        seen = lines[
            (lines["issued_on"] <= as_of)
            & (lines["known_at"] <= as_of)
            & (lines["valid_from"].isna() | (lines["valid_from"] <= as_of))
            & (lines["valid_to"].isna() | (as_of < lines["valid_to"]))
        ]
        every = seen.groupby("client_id", observed=True)
        ends = every["issued_on"].agg(["min", "max"])
        frame = pd.DataFrame(
            {
                "revenue_ever": every["amount"].sum(),
                "recency": (as_of - ends["max"]).dt.days,
                "tenure": (as_of - ends["min"]).dt.days,
            }
        )
        for days in WINDOWS:
            window = seen[seen["issued_on"] > as_of - pd.Timedelta(days=days)]
            groups = window.groupby("client_id", observed=True)
            frame[f"revenue_{days}"] = groups["amount"].sum()
            frame[f"lines_{days}"] = groups.size()
            if days in (90, 365):
                frame[f"margin_{days}"] = groups["margin"].sum()
                frame[f"credits_{days}"] = groups["credit"].sum()
                frame[f"services_{days}"] = groups["service_id"].nunique()
            if days == 365:
                frame["quantity_365"] = groups["quantity"].sum()
                frame["active_days_365"] = groups["issued_on"].nunique()
        frame = frame[frame["recency"] < 365].fillna(0)
        frames.append(frame.sort_index().assign(as_of=as_of).reset_index())
    return pd.concat(frames, ignore_index=True)


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
        ours, *result = isolated(measure, "sevenfold", path)
        for engine, goal in GOALS.items():
            theirs, *other = isolated(measure, engine, path)
            require_same(engine, tuple(result), tuple(other))
            what = f"24 snapshots of features, {size}"
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
