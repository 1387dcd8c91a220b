"""Series, client days and lines as an anomaly detector reads them: each beside its own past."""

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
USUAL = 2.33
"""Standard deviations around the mean within which 98 of 100 rows lie."""
LEAST_SPREAD = 0.05
"""Logarithms closer together than 5 % are no spread to measure a deviation by."""
LINE_FEATURES = ["price_own", "price_service", "quantity_own", "quantity_service"]
CLIENT_FEATURES = ["amount_own", "lines_own", "quantities_own"]
SERVICE_LINES, SPREAD_LINES = 300, 1000
"""Latest lines of a service that tell its usual quantity, and how far quantities spread."""
CLIENT_PRIOR, OWN_PRIOR = 3.0, 2.0
"""Lines that a client's level, and its level in one service, lean on beside its own."""
MOST = float(np.log(4.0))
"""Past quantities further off than fourfold count as fourfold, so a typo does not become usual."""


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


def line_rows(lines: pd.DataFrame) -> pd.DataFrame:
    """One row a sale: how its price and quantity deviate from what came before.

    ``…_own`` compares with the same client and service, ``…_service`` with the service, both in
    standard deviations of the logarithm over earlier lines; 0 where there are too few of them.
    ``quantity_own`` is what :func:`quantity_surprise` says.
    """
    rows = _in_order(lines)
    own = [rows["client_id"], rows["service_id"]]
    service = [rows["service_id"]]
    out = pd.DataFrame(
        {
            "subject_kind": "line",
            "subject_id": rows["line_id"].astype(str),
            "client_id": rows["client_id"],
            "observed_at": rows["observed_at"],
            "value": rows["unit_price"],
        }
    )
    for name, column in (("price", "unit_price"), ("quantity", "quantity")):
        logs = np.log(rows[column])
        for kind, keys in (("own", own), ("service", service)):
            mean, spread, deviation = _against_past(logs, keys)
            out[f"{name}_{kind}"] = deviation
            if (name, kind) == ("price", "service"):
                out["expected_low"] = np.exp(mean - USUAL * spread)
                out["expected_high"] = np.exp(mean + USUAL * spread)
    out["quantity_own"] = quantity_surprise(rows)
    return out


def quantity_surprise(rows: pd.DataFrame) -> pd.Series:
    """How far each quantity is from what was to be expected, in deviations of its service.

    ``rows`` are sales in order of time. The expectation is the service's level of late, times
    what this client takes more than others, times what it takes more of this service: each a
    mean of earlier logarithms that leans on the level above it as far as it has few lines itself.
    0 where the service is new.
    """
    service, client = rows["service_id"], rows["client_id"]
    logs = np.log(rows["quantity"])
    level = _lately(logs, service, SERVICE_LINES, least=4)
    rest = (logs - level).fillna(0.0)
    for keys, prior in (([client], CLIENT_PRIOR), ([client, service], OWN_PRIOR)):
        rest = rest - _leaning_mean(rest.clip(-MOST, MOST), keys, prior)
    variance = _lately(rest.clip(-MOST, MOST) ** 2, service, SPREAD_LINES, least=20)
    surprise: pd.Series = rest / np.sqrt(variance + LEAST_SPREAD**2)
    return surprise.where(level.notna()).fillna(0.0)


def client_rows(lines: pd.DataFrame) -> pd.DataFrame:
    """One row a client and day with a purchase: its amount and lines beside the client's past.

    ``quantities_own``: the day's median :func:`quantity_surprise`, times the root of its lines. All
    quantities together are off where the client is; where one line is, that line is.
    """
    rows = _in_order(lines)
    surprise = quantity_surprise(rows).groupby([rows["observed_at"], rows["client_id"]], sort=True)
    together = (surprise.median() * np.sqrt(surprise.size())).to_numpy()
    amount = lines["quantity"] * lines["unit_price"]
    grouped = lines.assign(amount=amount).groupby(["observed_at", "client_id"], sort=True)
    days = grouped.agg(amount=("amount", "sum"), lines=("line_id", "size")).reset_index()
    mean, spread, deviation = _against_past(np.log(days["amount"]), [days["client_id"]])
    _, _, lines_deviation = _against_past(np.log(days["lines"]), [days["client_id"]])
    return pd.DataFrame(
        {
            "subject_kind": "client",
            "subject_id": days["client_id"].astype(str),
            "client_id": days["client_id"],
            "observed_at": days["observed_at"],
            "value": days["amount"],
            "amount_own": deviation,
            "lines_own": lines_deviation,
            "quantities_own": together,
            "expected_low": np.exp(mean - USUAL * spread),
            "expected_high": np.exp(mean + USUAL * spread),
        }
    )


def rolling_gaussian(values: pd.Series, window: int = 28) -> np.ndarray:
    """The naive baseline of a series: distance from the rolling mean in rolling deviations."""
    past = values.shift(1).rolling(window, min_periods=7)
    spread = past.std().replace(0.0, np.nan)
    distance: np.ndarray = ((values - past.mean()).abs() / spread).fillna(0.0).to_numpy()
    return distance


def _against_past(
    logs: pd.Series, keys: list[pd.Series], least: int = 4
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Mean and deviation of earlier rows of the group, and the row's distance in deviations.

    NaN mean and 0 distance where fewer than ``least`` rows came before.
    """
    frame = pd.DataFrame({"x": logs, "x2": logs**2, "n": 1.0})
    grouped = frame.groupby(keys, sort=False)
    before = grouped.cumsum() - frame
    count = before["n"].where(before["n"] >= least)
    mean = before["x"] / count
    variance = (before["x2"] / count - mean**2).clip(lower=0.0)
    spread = np.sqrt(variance + LEAST_SPREAD**2)
    return mean, spread, ((logs - mean) / spread).fillna(0.0)


def _in_order(lines: pd.DataFrame) -> pd.DataFrame:
    return lines.sort_values(["observed_at", "line_id"], kind="stable").reset_index(drop=True)


def _lately(values: pd.Series, group: pd.Series, window: int, least: int) -> pd.Series:
    """Mean of the group's latest rows before each row; NaN where fewer than ``least`` were."""
    rolling = values.groupby(group, sort=False).rolling(window, min_periods=least, closed="left")
    found: pd.Series = rolling.mean().droplevel(0).sort_index()
    return found


def _leaning_mean(values: pd.Series, keys: list[pd.Series], prior: float) -> pd.Series:
    """Mean of the group's earlier rows together with ``prior`` rows of value 0."""
    grouped = values.groupby(keys, sort=False)
    mean: pd.Series = (grouped.cumsum() - values) / (grouped.cumcount() + prior)
    return mean


def _sales(data: Snapshot, day: date, since: date) -> pd.DataFrame:
    columns = ["line_id", "client_id", "service_id", "issued_on", "quantity", "unit_price"]
    if "invoice_lines" not in data.tables:
        return pd.DataFrame(columns=[*columns[:3], "observed_at", *columns[4:]])
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
