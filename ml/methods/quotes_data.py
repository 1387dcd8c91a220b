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

ANSWER_DAYS = 90
"""An answer without a date counts as known so many days after the offer."""
_OPTIONAL = ("client_id", "quantity", "unit_cost", "decided_on")


def offers(data: Snapshot, as_of: date) -> pd.DataFrame:
    """One row a quote known by ``as_of``, oldest first.

    ``won`` is 1.0, 0.0, or NaN while open; an answer without a date is open for ``ANSWER_DAYS``,
    since nobody can say when it came. Known at quoting: ``typical_price`` (the rate for everyone
    that was known and held on that day; without one the median of the service's quotes of the year
    up to the offer), ``relative_price`` and ``relative_cost`` (logarithms over it),
    ``relative_quantity`` and ``against_client`` (the same for units, over the service's median and
    over the client's own earlier mean), ``past_price`` (mean relative price of the client's earlier
    offers), ``past_quotes`` and ``past_share`` (offers that the client had decided before, by a
    date, and the share it took), ``month``, ``period`` (month and year) and ``day`` (in years since
    2000).
    """
    held = data.columns("quotes")
    columns = ["quote_id", "service_id", "quoted_on", "quoted_price", "won"]
    columns += [name for name in _OPTIONAL if name in held]
    rows: pd.DataFrame = data.as_of("quotes", as_of, columns).to_pandas()
    rows = rows[rows["quoted_price"] > 0].copy()
    rows["quoted_on"] = pd.to_datetime(rows["quoted_on"])
    rows["decided_on"] = _days(rows, "decided_on", like="quoted_on")
    recent = rows["quoted_on"] > pd.Timestamp(as_of) - pd.Timedelta(days=ANSWER_DAYS)
    rows["won"] = rows["won"].astype("float64").mask(recent & rows["decided_on"].isna())
    rows["decided_on"] = rows["decided_on"].where(rows["won"].notna())
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
    rows = rows.sort_values(["quoted_on", "service_id", "client_id", "quote_id"], kind="stable")
    rows = rows.reset_index(drop=True)
    rows["typical_price"] = _listed(data, rows).fillna(_trailing(rows, "quoted_price"))
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
    answers = rows.loc[rows["decided_on"].notna(), ["client_id", "decided_on", "won"]]
    if answers.empty:  # pandas cannot join on texts of which there are none
        return rows.assign(past_quotes=0.0, past_share=np.nan)
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


def _days(rows: pd.DataFrame, name: str, like: str) -> pd.Series:
    """A column of days, empty where the source has none; of one type, or they cannot be joined."""
    if name in rows:
        return pd.to_datetime(rows[name]).astype(rows[like].dtype)
    return pd.Series(pd.NaT, index=rows.index, dtype=rows[like].dtype)


def _listed(data: Snapshot, rows: pd.DataFrame) -> pd.Series:
    """The rate for everyone that was known and held on the day of each offer, else NaN."""
    none = pd.Series(np.nan, index=rows.index)
    if "rates" not in data.tables:
        return none
    held = data.columns("rates")
    columns = ["service_id", "valid_from", "unit_price"]
    columns += [name for name in ("client_id", "valid_to") if name in held]
    # Every version of a rate: an offer saw the one that counted on its own day.
    rates: pd.DataFrame = data.read("rates", columns).to_pandas()
    if "client_id" in rates:
        rates = rates[rates["client_id"].isna()]
    rates = rates[(rates["unit_price"] > 0) & rates["service_id"].isin(rows["service_id"])].copy()
    if rates.empty:
        return none
    rates["valid_from"] = pd.to_datetime(rates["valid_from"]).astype(rows["quoted_on"].dtype)
    for name in ("valid_to", "known_at", "version_from", "version_to"):
        rates[name] = _days(rates, name, like="valid_from")
    offered = rows[["service_id", "quoted_on"]].drop_duplicates()
    found = offered.merge(rates, on="service_id")
    on = found["quoted_on"]
    counted = (
        (found["valid_from"] <= on)
        & (found["known_at"] <= on)
        & ~(found["version_from"] > on)
        & ~(found["version_to"] <= on)
    )
    # The newest rate replaces those before it, even once it has ended itself.
    if not counted.any():
        return none
    newest = found[counted].sort_values("valid_from", kind="stable")
    newest = newest.drop_duplicates(["service_id", "quoted_on"], keep="last")
    price = newest["unit_price"].mask(newest["valid_to"] < newest["quoted_on"])
    looked_up = rows[["service_id", "quoted_on"]].merge(
        newest[["service_id", "quoted_on"]].assign(unit_price=price),
        on=["service_id", "quoted_on"],
        how="left",
    )
    return looked_up["unit_price"].set_axis(rows.index)


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
