"""Demand series as known by a day: whole weeks of each service, or series as they come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from ml.estimators.times import times_of
from ml.methods.lines import sold_lines

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

SERVICE = "service:"
LEAST_PERIODS = 20
"""Shorter histories leave no origin to judge a forecaster from."""
FREQUENCIES = (("D", 1, 7), ("W", 7, 52), ("MS", 30.44, 12), ("QS", 91.3, 4), ("YS", 365.25, 1))
"""pandas frequency, days and periods of a season, from fine to coarse."""


@dataclass(frozen=True)
class DemandPanel:
    """Long format ``unique_id, ds, y`` on a regular grid, its frequency and season length."""

    frame: pd.DataFrame
    freq: str
    season_length: int
    gaps: Literal["zero", "interpolate"]


def demand_panel(data: Snapshot, as_of: date) -> DemandPanel:
    """Quantities by service and whole week (Monday to Sunday) ended by ``as_of``.

    Quantities come from invoice lines without credits, else from work entries. A week without
    any is a week of none. A source with neither gives its series at their own frequency; several
    values a day are averaged, and a missing period is filled from its neighbours.
    """
    if "invoice_lines" in data.tables:
        sold = sold_lines(data, as_of, ["service_id", "issued_on", "quantity"])
        return DemandPanel(_weekly(sold, "issued_on", as_of), "W-MON", 52, "zero")
    if "work_entries" in data.tables:
        columns = ["service_id", "worked_on", "quantity"]
        work = data.as_of("work_entries", as_of, columns).to_pandas()
        return DemandPanel(_weekly(work, "worked_on", as_of), "W-MON", 52, "zero")
    rows = data.as_of("series", as_of, ["series_id", "observed_at", "value"]).to_pandas()
    return own_frequency(rows)


def _weekly(rows: pd.DataFrame, day: str, as_of: date) -> pd.DataFrame:
    rows = rows[rows["quantity"] > 0]
    if rows.empty:
        return pd.DataFrame(
            {"unique_id": pd.Series(dtype="str"), "ds": pd.to_datetime([]), "y": 0.0}
        )
    days = pd.to_datetime(rows[day])
    start = days - pd.to_timedelta(days.dt.weekday, unit="D")
    # the first week is whole only if the data begins on its Monday, the last if it has ended
    first = days.min().normalize()
    whole_from = first if first.weekday() == 0 else first + pd.Timedelta(days=7 - first.weekday())
    end = pd.Timestamp(as_of) + pd.Timedelta(days=1)
    whole_to = end - pd.Timedelta(days=end.weekday() + 7)
    grid = pd.date_range(whole_from, whole_to, freq="7D")
    names, services = pd.factorize(rows["service_id"], sort=True)
    at = ((start - grid[0]).dt.days // 7).to_numpy() if len(grid) else np.empty(0, dtype=int)
    inside = (at >= 0) & (at < len(grid))
    totals = np.zeros((len(services), len(grid)))
    np.add.at(totals, (names[inside], at[inside]), rows["quantity"].to_numpy(float)[inside])
    # A series begins with the first week that has any, whole or not.
    begun = np.full(len(services), len(grid))
    np.minimum.at(begun, names, np.maximum(at, 0))
    series, week = np.nonzero(np.arange(len(grid))[None, :] >= begun[:, None])
    ids = np.array([f"{SERVICE}{name}" for name in services], dtype=object)
    return pd.DataFrame(
        {
            "unique_id": pd.Series(ids[series], dtype="str"),
            "ds": grid[week],
            "y": totals[series, week],
        }
    )


def own_frequency(rows: pd.DataFrame) -> DemandPanel:
    """Series of columns series_id, observed_at and value on the nearest regular grid."""
    days = times_of(rows["observed_at"]).dt.normalize()
    daily = rows.assign(ds=days).groupby(["series_id", "ds"])["value"].mean().reset_index()
    gaps = daily.groupby("series_id")["ds"].diff().dt.days
    typical = float(gaps.median())
    if not typical > 0:
        raise ValueError("a series needs values of at least two different days")
    freq, _, season = _nearest(typical)
    parts = []
    for name, series in daily.groupby("series_id"):
        regular = series.set_index("ds")["value"].resample(freq).mean().interpolate()
        parts.append(
            pd.DataFrame({"unique_id": name, "ds": regular.index, "y": regular.to_numpy(float)})
        )
    return DemandPanel(pd.concat(parts, ignore_index=True), freq, season, "interpolate")


def _nearest(days: float) -> tuple[str, float, int]:
    return min(FREQUENCIES, key=lambda known: abs(known[1] - days) / known[1])
