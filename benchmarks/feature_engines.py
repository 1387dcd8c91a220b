"""24 monthly snapshots of client features by four engines, each from Parquet to a frame."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

WINDOWS = (30, 60, 90, 180, 365)
LAST = date(2025, 12, 31)


def month_ends(months: int = 24) -> list[date]:
    """The last ``months`` month ends up to ``LAST``."""
    firsts = [(LAST.year * 12 + LAST.month - back) for back in range(months)]
    return sorted(date(m // 12, m % 12 + 1, 1) - timedelta(days=1) for m in firsts)


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

    con = duckdb.connect().execute("SET enable_progress_bar = false")
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
