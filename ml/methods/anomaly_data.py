"""Series and sales as the anomaly method reads them, and the rolling Gaussian of a series."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

REVENUE = "revenue:all"
"""The series of each day's billed amount, made from invoice lines."""
HISTORY_DAYS = 540
JUDGED_DAYS, JUDGED_VALUES = 90, 24


def anomaly_frames(data: Snapshot, day: date) -> dict[str, pd.DataFrame]:
    """``series`` (series_id, observed_at, value) and ``lines`` (sales), known by ``day``."""
    since = day - timedelta(days=HISTORY_DAYS)
    lines = _sales(data, day, since)
    parts = [_revenue(lines)] if len(lines) else []
    if "series" in data.tables:
        rows = data.as_of("series", day, ["series_id", "observed_at", "value"]).to_pandas()
        rows["observed_at"] = pd.to_datetime(rows["observed_at"])
        parts.append(rows)
    series = pd.concat(parts, ignore_index=True) if parts else _no_series()
    return {"series": series.sort_values(["series_id", "observed_at"]), "lines": lines}


def judged_since(series: pd.DataFrame, start: pd.Timestamp) -> dict[str, pd.Timestamp]:
    """From when on each series is judged: ``start``, or earlier where too little came since.

    A series that ended long ago is judged on its own last ``JUDGED_DAYS``, one told monthly on its
    last ``JUDGED_VALUES``, neither on its first third, which is the past that the rest is compared
    with. The detector learns nothing beforehand, so no value is too old for that.
    """
    found = {}
    for name, times in series.groupby("series_id")["observed_at"]:
        times = times.sort_values()
        days_back = times.iloc[-1] - pd.Timedelta(days=JUDGED_DAYS - 1)
        values_back = times.iloc[-min(JUDGED_VALUES, len(times))]
        found[str(name)] = max(min(start, days_back, values_back), times.iloc[len(times) // 3])
    return found


def rolling_gaussian(values: pd.Series, window: int = 28) -> np.ndarray:
    """The naive baseline of a series: distance from the rolling mean in rolling deviations."""
    past = values.shift(1).rolling(window, min_periods=7)
    spread = past.std().replace(0.0, np.nan)
    distance: np.ndarray = ((values - past.mean()).abs() / spread).fillna(0.0).to_numpy()
    return distance


def _sales(data: Snapshot, day: date, since: date) -> pd.DataFrame:
    columns = ["line_id", "client_id", "service_id", "issued_on", "quantity", "unit_price"]
    if "invoice_lines" not in data.tables:
        empty = pd.DataFrame(columns=[*columns[:3], "observed_at", *columns[4:]])
        numbers = {"quantity": float, "unit_price": float}
        return empty.astype({"observed_at": "datetime64[us]", **numbers})
    lines = data.as_of("invoice_lines", day, columns).to_pandas()
    lines["observed_at"] = pd.to_datetime(lines.pop("issued_on"))
    kept = (lines["observed_at"] >= pd.Timestamp(since)) & (lines["quantity"] > 0)
    return lines[kept & (lines["unit_price"] > 0)].reset_index(drop=True)


def _revenue(lines: pd.DataFrame) -> pd.DataFrame:
    amount = (lines["quantity"] * lines["unit_price"]).groupby(lines["observed_at"]).sum()
    days = pd.date_range(amount.index.min(), amount.index.max(), freq="D")
    daily = amount.reindex(days, fill_value=0.0)
    return pd.DataFrame(
        {"series_id": REVENUE, "observed_at": daily.index, "value": daily.to_numpy()}
    )


def _no_series() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "series_id": pd.Series(dtype="str"),
            "observed_at": pd.Series(dtype="datetime64[ns]"),
            "value": pd.Series(dtype=float),
        }
    )
