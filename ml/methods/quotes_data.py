"""Quotes as known by a day: each offer with what was known when it was made, and its answer."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml.methods.price_data import client_segments, service_costs

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

RECENT_DAYS = 90
YEAR = 365
KEYS = ["service_id", "segment"]
_OPTIONAL = ("client_id", "quantity", "unit_cost", "decided_on")


def offers(data: Snapshot, as_of: date) -> pd.DataFrame:
    """One row a quote known by ``as_of``, oldest first.

    ``won`` is 1.0, 0.0, or NaN while open. Known at quoting: ``typical_price`` (median of the
    service's quotes of the year up to the offer), ``relative_price`` (logarithm of the price over
    it), ``relative_quantity`` and ``against_client`` (the same for units, over the service's
    median and over the client's own earlier mean), ``past_quotes`` and ``past_share`` (offers that
    the client had decided before, and the share it took), ``month``.
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
    rows["segment"] = _segments(data, as_of, rows["client_id"])
    for name, default in (("quantity", 1.0), ("unit_cost", np.nan)):
        rows[name] = rows[name].astype("float64") if name in rows else default
    rows["quantity"] = rows["quantity"].where(rows["quantity"] > 0).fillna(1.0)
    costs = service_costs(data, as_of)
    if costs is not None:
        rows["unit_cost"] = rows["unit_cost"].fillna(rows["service_id"].map(costs))
    rows = rows.sort_values(["quoted_on", "service_id", "client_id"], kind="stable")
    return _known_at_quoting(rows.reset_index(drop=True))


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


def _segments(data: Snapshot, day: date, client: pd.Series) -> pd.Series:
    clients = client_segments(data, day)
    if clients is None:
        return pd.Series("all", index=client.index, dtype="str")
    return client.map(clients.set_index("client_id")["segment"]).fillna("all").astype("str")


def _known_at_quoting(rows: pd.DataFrame) -> pd.DataFrame:
    rows["typical_price"] = _trailing(rows, "quoted_price")
    rows["relative_price"] = np.log(rows["quoted_price"] / rows["typical_price"])
    rows["relative_quantity"] = np.log(rows["quantity"] / _trailing(rows, "quantity"))
    own = rows.groupby("client_id")["relative_quantity"]
    count = own.cumcount()
    earlier = (own.cumsum() - rows["relative_quantity"]) / count.where(count > 0)
    rows["against_client"] = rows["relative_quantity"] - earlier
    rows["month"] = rows["quoted_on"].dt.month.astype("str")
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


def _trailing(rows: pd.DataFrame, column: str) -> pd.Series:
    """Median over the service's quotes of the year up to and with each one."""
    indexed = rows.set_index("quoted_on")[["service_id", column]]
    rolled = indexed.groupby("service_id")[column].rolling(f"{YEAR}D").median()
    # Rows come out by service, in the order they went in.
    order = np.argsort(rows["service_id"].to_numpy(dtype=object), kind="stable")
    values = np.empty(len(rows))
    values[order] = rolled.to_numpy()
    return pd.Series(values, index=rows.index)
