"""Invoice lines to the panel that :class:`ml.estimators.pricing.PriceResponse` learns from.

Level: client, service and period. A firm's price differs between clients (agreements) and moves
over time (lists, promotions); comparing a client with itself takes out who buys much, and effects
of each service's quarter and season take out when much is bought. What is left is how a client's
quantity answers to its own price. Quantity is per line (geometric mean): how much is asked for
when the client buys. How often it buys is driven by much else (trouble, need, season).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

_NEIGHBOURS = 5
_MISTAKE = 0.06


def price_panel(
    lines: pd.DataFrame, clients: pd.DataFrame | None = None, freq: str = "MS"
) -> pd.DataFrame:
    """One row a client, service and period with a purchase.

    ``lines`` needs client_id, service_id, issued_on, quantity, unit_price; ``clients`` client_id
    and segment (``all`` where missing). Columns: service_id, segment, client_id, period (start),
    price (median of the lines), quantity (sum), quantity_per_line (geometric mean), lines.
    Credits, free lines and prices that look like billing mistakes are left out; counts in
    ``attrs["excluded"]``.
    """
    needed = ["client_id", "service_id", "issued_on", "quantity", "unit_price"]
    missing = [name for name in needed if name not in lines.columns]
    if missing:
        raise ValueError(f"lines lack the columns {missing}; given are {list(lines.columns)}")
    frame = lines[needed]
    usable = (frame["quantity"] > 0) & (frame["unit_price"] > 0)
    frame = frame[usable].copy()
    frame["issued_on"] = pd.to_datetime(frame["issued_on"])
    period = frame["issued_on"].dt.to_period(_period_code(freq))
    frame["period"] = period.dt.start_time
    frame["log_price"] = np.log(frame["unit_price"])
    frame["log_quantity"] = np.log(frame["quantity"])
    frame = frame.sort_values(["service_id", "client_id", "issued_on"], kind="stable")
    wrong = _mistakes(frame)
    kept = frame[~wrong]
    keys = ["service_id", "client_id", "period"]
    panel = kept.groupby(keys, sort=True, observed=True).agg(
        price=("unit_price", "median"),
        quantity=("quantity", "sum"),
        quantity_per_line=("log_quantity", "mean"),
        lines=("quantity", "size"),
    )
    panel["quantity_per_line"] = np.exp(panel["quantity_per_line"])
    panel = panel.reset_index()
    panel.insert(1, "segment", _segments(panel["client_id"], clients))
    panel.attrs["excluded"] = {
        "credits and free lines": int((~usable).sum()),
        "prices that look like mistakes": int(wrong.sum()),
    }
    return panel


def panel_controls(panel: pd.DataFrame) -> pd.DataFrame:
    """Controls for the panel: each client's level in a service, each service's quarter, season."""
    period = pd.DatetimeIndex(panel["period"])
    turn = 2 * np.pi * (period.dayofyear - 1 + 15) / 365.25
    controls = pd.DataFrame(index=panel.index)
    controls["client"] = pd.Categorical(panel["client_id"])
    controls["quarter"] = pd.Categorical(
        (period.year * 4 + period.quarter).astype(str), ordered=False
    )
    for order in (1, 2):
        controls[f"season_sin{order}"] = np.sin(order * turn)
        controls[f"season_cos{order}"] = np.cos(order * turn)
    return controls


def _period_code(freq: str) -> str:
    codes = {"MS": "M", "M": "M", "W": "W", "W-MON": "W", "D": "D", "QS": "Q"}
    if freq not in codes:
        raise ValueError(f"freq is {freq!r}; expected one of {sorted(codes)}")
    return codes[freq]


def _segments(client: pd.Series, clients: pd.DataFrame | None) -> pd.Series:
    if clients is None or "segment" not in clients.columns:
        return pd.Series("all", index=client.index, dtype="str")
    known = clients.drop_duplicates("client_id", keep="last").set_index("client_id")["segment"]
    return client.map(known).fillna("all").astype("str")


def _mistakes(frame: pd.DataFrame) -> pd.Series:
    """Lines whose price leaves both the client's own neighbouring prices and the month's others.

    A promotion moves a whole month, a new agreement stays: a lone line does neither, and a
    quantity never answered to a price that nobody agreed.
    """
    own = frame.groupby(["service_id", "client_id"], sort=False, observed=True)["log_price"]
    relative = frame["log_price"] - own.transform("median")
    months = [frame["service_id"], frame["period"]]
    relative = relative - relative.groupby(months, observed=True).transform("median")
    pair = [frame["service_id"], frame["client_id"]]
    around = (
        relative.groupby(pair, sort=False, observed=True)
        .rolling(_NEIGHBOURS, center=True, min_periods=1)
        .median()
    )
    lone = relative.to_numpy() - around.to_numpy()
    return pd.Series(np.abs(lone) > _MISTAKE, index=frame.index)
