"""Quotes as known by a day: each offer with what was known when it was made, and its answer."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml.estimators.price_panel import segments_of
from ml.methods.price_data import RECENT_DAYS, YEAR, client_segments, service_costs
from ml.methods.price_evidence import KEYS

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

_OPTIONAL = ("client_id", "quantity", "unit_cost", "decided_on")


def offers(data: Snapshot, as_of: date) -> pd.DataFrame:
    """One row a quote known by ``as_of``, oldest first.

    ``won`` is 1.0, 0.0, or NaN while open. Known at quoting: ``typical_price`` (the rate for
    everyone on that day; without one the median of the service's quotes of the year up to the
    offer), ``relative_price`` and ``relative_cost`` (logarithms over it), ``relative_quantity`` and
    ``against_client`` (the same for units, over the service's median and over the client's own
    earlier mean), ``past_price`` (mean relative price of the client's earlier offers),
    ``past_quotes`` and ``past_share`` (offers that the client had decided before, and the share it
    took), ``month``, ``period`` (month and year) and ``day`` (in years since 2000).
    """
    held = data.columns("quotes")
    columns = ["service_id", "quoted_on", "quoted_price", "won"]
    columns += [name for name in _OPTIONAL if name in held]
    rows: pd.DataFrame = data.as_of("quotes", as_of, columns).to_pandas()
    rows = rows[rows["quoted_price"] > 0].copy()
    for name in ("quoted_on", "decided_on"):
        rows[name] = pd.to_datetime(rows[name]) if name in rows else pd.NaT
    rows["won"] = rows["won"].astype("float64")
    # An answer without a date cannot have come before the offer.
    rows["decided_on"] = rows["decided_on"].fillna(rows["quoted_on"]).where(rows["won"].notna())
    if "client_id" not in rows:
        rows["client_id"] = None
    rows["client_id"] = rows["client_id"].astype("str")
    rows["segment"] = segments_of(rows["client_id"], client_segments(data, as_of))
    for name, default in (("quantity", 1.0), ("unit_cost", np.nan)):
        rows[name] = rows[name].astype("float64") if name in rows else default
    rows["quantity"] = rows["quantity"].where(rows["quantity"] > 0).fillna(1.0)
    costs = service_costs(data, as_of)
    if costs is not None:
        rows["unit_cost"] = rows["unit_cost"].fillna(rows["service_id"].map(costs))
    rows = rows.sort_values(["quoted_on", "service_id", "client_id"], kind="stable")
    rows = rows.reset_index(drop=True)
    rows["typical_price"] = _listed(data, as_of, rows).fillna(_trailing(rows, "quoted_price"))
    return _known_at_quoting(rows)


def current_quotes(found: pd.DataFrame, day: date) -> pd.DataFrame:
    """For each service and segment quoted in the last year: price, cost and units offered.

    ``current_price`` is the median of the last 90 days with quotes; ``yearly_quantity`` counts
    the units of every quote of the year, won or not; ``typical_price`` is the service's.
    """
    year = found[found["quoted_on"] > pd.Timestamp(day) - pd.Timedelta(days=YEAR)]
    newest = year.groupby(KEYS)["quoted_on"].transform("max")
    recent = year[year["quoted_on"] > newest - timedelta(days=RECENT_DAYS)]
    out = pd.DataFrame({"current_price": recent.groupby(KEYS)["quoted_price"].median()})
    out["yearly_quantity"] = year.groupby(KEYS)["quantity"].sum()
    out["unit_cost"] = year.groupby(KEYS)["unit_cost"].last()
    out = out.reset_index()
    typical = year.groupby("service_id")["typical_price"].last()
    out["typical_price"] = out["service_id"].map(typical)
    return out


def _known_at_quoting(rows: pd.DataFrame) -> pd.DataFrame:
    rows["relative_price"] = np.log(rows["quoted_price"] / rows["typical_price"])
    cost = rows["unit_cost"].where(rows["unit_cost"] > 0)
    rows["relative_cost"] = np.log(cost / rows["typical_price"])
    rows["relative_quantity"] = np.log(rows["quantity"] / _trailing(rows, "quantity"))
    rows["against_client"] = rows["relative_quantity"] - _earlier_mean(rows, "relative_quantity")
    rows["past_price"] = _earlier_mean(rows, "relative_price")
    rows["month"] = rows["quoted_on"].dt.month.astype("str")
    rows["period"] = rows["quoted_on"].dt.to_period("M").astype("str")
    rows["day"] = (rows["quoted_on"] - pd.Timestamp(2000, 1, 1)).dt.days / 365.25
    answers = rows.loc[rows["won"].notna(), ["client_id", "decided_on", "won"]]
    answers = answers.sort_values("decided_on", kind="stable")
    by_client = answers.groupby("client_id")["won"]
    answers["past_quotes"] = by_client.cumcount() + 1.0
    answers["past_won"] = by_client.cumsum()
    rows = pd.merge_asof(
        rows,
        answers.drop(columns="won"),
        left_on="quoted_on",
        right_on="decided_on",
        by="client_id",
        allow_exact_matches=False,
        suffixes=("", "_of_past"),
    ).drop(columns="decided_on_of_past")
    rows["past_quotes"] = rows["past_quotes"].fillna(0.0)
    rows["past_share"] = rows.pop("past_won") / rows["past_quotes"].where(rows["past_quotes"] > 0)
    return rows


def _listed(data: Snapshot, day: date, rows: pd.DataFrame) -> pd.Series:
    """The rate for everyone that held on the day of each offer; NaN where there is none."""
    none = pd.Series(np.nan, index=rows.index)
    if "rates" not in data.tables:
        return none
    held = data.columns("rates")
    columns = ["service_id", "valid_from", "unit_price"]
    columns += [name for name in ("client_id", "valid_to") if name in held]
    rates: pd.DataFrame = data.as_of("rates", day, columns).to_pandas()
    if "client_id" in rates:
        rates = rates[rates["client_id"].isna()]
    rates = rates[rates["unit_price"] > 0]
    if rates.empty:
        return none
    for name in ("valid_from", "valid_to"):
        rates[name] = pd.to_datetime(rates[name]) if name in rates else pd.NaT
    found = pd.merge_asof(
        rows[["quoted_on", "service_id"]],
        rates.sort_values("valid_from", kind="stable").drop(columns="client_id", errors="ignore"),
        left_on="quoted_on",
        right_on="valid_from",
        by="service_id",
    )
    over = (found["valid_to"] < found["quoted_on"]).to_numpy()
    return found["unit_price"].mask(over).set_axis(rows.index)


def _earlier_mean(rows: pd.DataFrame, column: str) -> pd.Series:
    """Mean over the client's earlier offers; NaN for the first, and where no client is named."""
    own = rows.groupby("client_id")[column]
    count = own.cumcount()
    return (own.cumsum() - rows[column]) / count.where(count > 0)


def _trailing(rows: pd.DataFrame, column: str) -> pd.Series:
    """Median over the service's quotes of the year up to and with each one."""
    indexed = rows.set_index("quoted_on")[["service_id", column]]
    rolled = indexed.groupby("service_id")[column].rolling(f"{YEAR}D").median()
    # Rows come out by service, in the order they went in.
    order = np.argsort(rows["service_id"].to_numpy(dtype=object), kind="stable")
    values = np.empty(len(rows))
    values[order] = rolled.to_numpy()
    return pd.Series(values, index=rows.index)
