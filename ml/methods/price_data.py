"""Prices and quantities by service and segment, as known by a day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml.estimators.price_panel import price_panel, segments_of
from ml.methods.lines import sold_lines
from ml.methods.price_evidence import KEYS

if TYPE_CHECKING:
    from warehouse.snapshot import Snapshot

RECENT_DAYS = 90
YEAR = 365


def panel(data: Snapshot, as_of: date) -> pd.DataFrame:
    """Client-months of purchases known by ``as_of``, with the client's segment."""
    return price_panel(_lines(data, as_of), client_segments(data, as_of))


def current_prices(data: Snapshot, day: date) -> pd.DataFrame:
    """For each service and segment sold in the last year: price, unit cost, yearly quantity.

    The price is the quantity-weighted mean of the last 90 days with sales; the unit cost comes
    from the lines, else from the services, else it is missing.
    """
    lines = _lines(data, day)
    lines["issued_on"] = pd.to_datetime(lines["issued_on"])
    since = pd.Timestamp(day) - pd.Timedelta(days=YEAR)
    sold = lines[
        (lines["issued_on"] > since) & (lines["quantity"] > 0) & (lines["unit_price"] > 0)
    ].copy()
    sold["segment"] = segments_of(sold["client_id"], client_segments(data, day))
    sold["value"] = sold["quantity"] * sold["unit_price"]
    last_sale = sold.groupby(KEYS)["issued_on"].transform("max")
    recent = sold[sold["issued_on"] > last_sale - timedelta(days=RECENT_DAYS)]
    found = recent.groupby(KEYS)[["value", "quantity"]].sum()
    out = pd.DataFrame({"current_price": found["value"] / found["quantity"]})
    out["yearly_quantity"] = sold.groupby(KEYS)["quantity"].sum()
    if "cost" in sold:
        costed = sold[sold["cost"].notna()].groupby(KEYS)[["cost", "quantity"]].sum()
        out["unit_cost"] = costed["cost"] / costed["quantity"]
    else:
        out["unit_cost"] = np.nan
    out = out.reset_index()
    listed = service_costs(data, day)
    if listed is not None:
        out["unit_cost"] = out["unit_cost"].fillna(out["service_id"].map(listed))
    return out


def _lines(data: Snapshot, day: date) -> pd.DataFrame:
    columns = ["client_id", "service_id", "issued_on", "quantity", "unit_price", "cost"]
    return sold_lines(data, day, columns)


def client_segments(data: Snapshot, day: date) -> pd.DataFrame | None:
    """Columns client_id and segment as known on the day; None where the source has neither."""
    if "clients" not in data.tables or "segment" not in data.columns("clients"):
        return None
    return data.as_of("clients", day, ["client_id", "segment"]).to_pandas()


def service_costs(data: Snapshot, day: date) -> pd.Series | None:
    """Unit cost by service as known on the day; None where the source has none."""
    if "services" not in data.tables or "unit_cost" not in data.columns("services"):
        return None
    services = data.as_of("services", day, ["service_id", "unit_cost"]).to_pandas()
    return services.set_index("service_id")["unit_cost"]
