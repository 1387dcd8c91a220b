"""Spend, outcome and controls by period of the spend's own frequency, as known by a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml.estimators.times import times_of
from ml.refusals import NotEnoughDataError

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

OUTCOME_SERIES = ("new_business_revenue", "revenue", "sales")
"""Series taken as the outcome where settings name none, the first that is there."""
FREQUENCIES = {"day": 1, "week": 7, "month": 30.44, "quarter": 91.3}


@dataclass(frozen=True)
class MediaPanel:
    """Rows are periods in order of time, indexed by their first day."""

    spend: pd.DataFrame
    outcome: pd.Series
    controls: pd.DataFrame | None
    outcome_name: str
    frequency: str

    @property
    def control_names(self) -> list[str]:
        """Names of the controls."""
        return [] if self.controls is None else list(self.controls.columns)

    @property
    def periods_a_year(self) -> float:
        """How many periods a year has."""
        return 365.25 / FREQUENCIES[self.frequency]


def media_panel(data: Snapshot, as_of: date, outcome: str | None) -> MediaPanel:
    """The panel of whole periods known by ``as_of``.

    Daily spend is summed by week: a day's response cannot be told from its weekday. The outcome
    is the series that settings name, else one called like an outcome, else revenue from invoice
    lines; every other series of the same or a finer frequency is a control (mean by period).
    """
    spent = data.as_of("channel_spend", as_of).to_pandas()
    if spent.empty:
        raise NotEnoughDataError(f"there is no channel spend up to {as_of}")
    spent["spent_on"] = pd.to_datetime(spent["spent_on"])
    step = _typical_step(spent["spent_on"])
    frequency = _frequency(step)
    anchor = spent["spent_on"].min()
    last = pd.Timestamp(as_of)
    spend = _by_period(
        spent.pivot_table(index="spent_on", columns="channel", values="amount", aggfunc="sum"),
        frequency,
        anchor,
        "sum",
    ).fillna(0.0)
    series = _series(data, as_of)
    name, values = _outcome(data, as_of, series, outcome)
    target = _by_period(values.to_frame("outcome"), frequency, anchor, "sum")["outcome"]
    others = series.drop(columns=[name], errors="ignore")
    controls = _by_period(others, frequency, anchor, "mean") if not others.empty else None
    whole = _whole_periods(pd.DatetimeIndex(spend.index), frequency, last)
    index = spend.index[whole].intersection(target.dropna().index)
    if controls is not None:
        controls = controls.reindex(index).dropna(axis=1)
        controls = None if controls.empty else controls
    return MediaPanel(spend.loc[index], target.loc[index], controls, name, frequency)


def _series(data: Snapshot, as_of: date) -> pd.DataFrame:
    """All series side by side, by day (mean of a day's values)."""
    if "series" not in data.tables:
        return pd.DataFrame()
    long = data.as_of("series", as_of, ["series_id", "observed_at", "value"]).to_pandas()
    long["observed_at"] = times_of(long["observed_at"]).dt.normalize()
    return long.pivot_table(index="observed_at", columns="series_id", values="value")


def _outcome(
    data: Snapshot, as_of: date, series: pd.DataFrame, named: str | None
) -> tuple[str, pd.Series]:
    if named is not None:
        if named not in series:
            raise NotEnoughDataError(
                f"SEVENFOLD_BUDGET_OUTCOME names the series {named!r}, which the source lacks;"
                f" there are {sorted(series.columns)}"
            )
        return named, series[named].dropna()
    for name in OUTCOME_SERIES:
        if name in series:
            return name, series[name].dropna()
    if "invoice_lines" not in data.tables:
        raise NotEnoughDataError(
            "there are no invoice lines, and no series is named as the outcome: set"
            f" SEVENFOLD_BUDGET_OUTCOME to one of {sorted(series.columns)}"
        )
    held = data.columns("invoice_lines")
    wanted = [c for c in ("issued_on", "quantity", "unit_price", "amount") if c in held]
    lines = data.as_of("invoice_lines", as_of, wanted).to_pandas()
    billed = lines["quantity"] * lines["unit_price"]
    amount = lines["amount"].fillna(billed) if "amount" in lines else billed
    return "revenue from invoice lines", amount.groupby(pd.to_datetime(lines["issued_on"])).sum()


def _typical_step(days: pd.Series) -> float:
    unique = np.sort(days.unique())
    if len(unique) < 2:
        return 7.0
    return float(np.median(np.diff(unique)) / np.timedelta64(1, "D"))


def _frequency(step: float) -> str:
    """The frequency by its typical step in days; daily data is taken by week."""
    if step < 10:
        return "week"
    return "month" if step < 60 else "quarter"


def _by_period(frame: pd.DataFrame, frequency: str, anchor: pd.Timestamp, how: str) -> pd.DataFrame:
    """Rows of one period summed or averaged, indexed by the period's first day.

    Weeks begin on the weekday of ``anchor``, the first day of spend.
    """
    days = pd.DatetimeIndex(frame.index)
    if frequency == "week":
        start = anchor + pd.to_timedelta((days - anchor).days // 7 * 7, unit="D")
    else:
        start = days.to_period("M" if frequency == "month" else "Q").start_time
    grouped = frame.groupby(pd.DatetimeIndex(start, name="period"))
    return grouped.sum(min_count=1) if how == "sum" else grouped.mean()


def _whole_periods(index: pd.DatetimeIndex, frequency: str, last: pd.Timestamp) -> np.ndarray:
    """Periods that have ended by ``last``."""
    if frequency == "week":
        ends = index + pd.Timedelta(days=6)
    else:
        ends = index + (
            pd.offsets.MonthEnd(1) if frequency == "month" else pd.offsets.QuarterEnd(1)
        )
    whole: np.ndarray = np.asarray(ends <= last)
    return whole
