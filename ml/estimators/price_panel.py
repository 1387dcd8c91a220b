"""Invoice lines to the panel that :class:`ml.estimators.pricing.PriceResponse` learns from.

Level: client, service and period. A firm's price differs between clients (agreements) and moves
over time (lists, promotions); comparing a client with itself takes out who buys much, and effects
of each service's quarter and season take out when much is bought. What is left is how a client's
quantity answers to its own price. Quantity is per line (geometric mean): how much is asked for
when the client buys. How often it buys is driven by much else (trouble, need, season).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ml.estimators.partial_out import residuals
from ml.estimators.pricing import PriceResponse

_OWN_PRICES = 0.015  # deviation of log price between clients of a period
_NEIGHBOURS = 5
_MISTAKE = 0.07


def price_panel(
    lines: pd.DataFrame, clients: pd.DataFrame | None = None, freq: str = "MS"
) -> pd.DataFrame:
    """One row a client, service and period with a purchase.

    ``lines`` needs client_id, service_id, issued_on, quantity, unit_price; ``clients`` client_id
    and segment (``all`` where missing). Columns: service_id, segment, client_id, period (start),
    price (median of the lines), quantity (sum), quantity_per_line (geometric mean), lines, cost
    (sum; NaN where unknown). Credits, free lines and prices that look like billing mistakes are
    left out; counts in ``attrs["excluded"]``.
    """
    needed = ["client_id", "service_id", "issued_on", "quantity", "unit_price"]
    missing = [name for name in needed if name not in lines.columns]
    if missing:
        raise ValueError(f"lines lack the columns {missing}; given are {list(lines.columns)}")
    frame = lines[needed].assign(cost=lines["cost"] if "cost" in lines.columns else np.nan)
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
    cells = kept.groupby(keys, sort=True, observed=True)
    panel = cells.agg(
        price=("unit_price", "median"),
        quantity=("quantity", "sum"),
        quantity_per_line=("log_quantity", "mean"),
        lines=("quantity", "size"),
    )
    panel["cost"] = cells["cost"].sum(min_count=1)
    panel["quantity_per_line"] = np.exp(panel["quantity_per_line"])
    panel = panel.reset_index()
    panel.insert(1, "segment", segments_of(panel["client_id"], clients))
    panel.attrs["excluded"] = {
        "credits and free lines": int((~usable).sum()),
        "prices that look like mistakes": int(wrong.sum()),
    }
    return panel


def panel_controls(panel: pd.DataFrame) -> pd.DataFrame:
    """Controls for the panel: each client's level in a service, and the time.

    Where clients of a service pay different prices in the same period, each period is an effect
    of its own, so that nothing that moves over time can be mistaken for the price. Where all pay
    one list, that would leave nothing: then each quarter is an effect, beside a season.
    """
    period = pd.DatetimeIndex(panel["period"])
    quarter = (period.year * 4 + period.quarter).astype(str).to_numpy(dtype=object)
    month = panel["period"].astype(str).to_numpy(dtype=object)
    time = quarter.copy()
    turn = 2 * np.pi * (period.dayofyear.to_numpy() + 14) / 365.25
    listed = np.ones(len(panel), dtype=bool)
    for rows in panel.groupby("service_id", observed=True).indices.values():
        own = panel.iloc[rows]
        effects = [pd.factorize(own["client_id"])[0], pd.factorize(own["period"])[0]]
        price = np.log(own["price"].to_numpy(np.float64))[:, None]
        left = residuals(price, np.empty((len(own), 0)), effects, np.ones(len(own)))
        if left.std() >= _OWN_PRICES:
            time[rows], listed[rows] = month[rows], False
    controls = pd.DataFrame({"client": panel["client_id"].astype(str)}, index=panel.index)
    controls["time"] = pd.Series(time, index=panel.index, dtype="str")
    for order in (1, 2):
        controls[f"season_sin{order}"] = np.where(listed, np.sin(order * turn), 0.0)
        controls[f"season_cos{order}"] = np.where(listed, np.cos(order * turn), 0.0)
    return controls


def panel_arguments(panel: pd.DataFrame) -> dict[str, Any]:
    """What PriceResponse learns from and is scored on; each service and segment is a group."""
    return {
        "price": panel["price"],
        "quantity": panel["quantity_per_line"],
        "controls": panel_controls(panel),
        "groups": panel[["service_id", "segment"]],
        "weights": panel["lines"],
    }


def learn_from_panel(panel: pd.DataFrame, **parameters: Any) -> PriceResponse:
    """A :class:`PriceResponse` by service and segment; errors of a client may go together."""
    response = PriceResponse(**parameters)
    return response.fit(**panel_arguments(panel), clusters=panel["client_id"])


def segments_of(client: pd.Series, clients: pd.DataFrame | None) -> pd.Series:
    """The segment of each client named (rows,), ``all`` where there is none.

    ``clients`` has client_id and segment; a later row of a client replaces an earlier one.
    """
    if clients is None or "segment" not in clients.columns:
        return pd.Series("all", index=client.index, dtype="str")
    known = clients.drop_duplicates("client_id", keep="last").set_index("client_id")["segment"]
    return client.map(known).fillna("all").astype("str")


def _period_code(freq: str) -> str:
    codes = {"MS": "M", "M": "M", "W": "W", "W-MON": "W", "D": "D", "QS": "Q"}
    if freq not in codes:
        raise ValueError(f"freq is {freq!r}; expected one of {sorted(codes)}")
    return codes[freq]


def _mistakes(frame: pd.DataFrame) -> pd.Series:
    """Lines whose price leaves the client's own neighbouring prices and that nobody else paid.

    A promotion or a new list moves others too and a new agreement stays: a lone price does
    neither, and the quantity never answered to a price that nobody agreed.
    """
    if frame.empty:
        return pd.Series(False, index=frame.index)
    pair = frame.groupby(["service_id", "client_id"], sort=False, observed=True).ngroup()
    price = frame["log_price"].to_numpy(np.float64)
    lone = np.abs(price - _rolling_median(price, pair.to_numpy())) > _MISTAKE
    # Only lone prices are looked up, since there are few.
    offers = ["service_id", "period", "unit_price"]
    asked = frame.loc[lone, offers].drop_duplicates()
    paid = frame[[*offers, "client_id"]].drop_duplicates().merge(asked, on=offers)
    payers = paid.groupby(offers, observed=True).size().rename("payers").reset_index()
    found = frame.loc[lone, offers].merge(payers, on=offers, how="left")
    again = pair.groupby([pair, frame["unit_price"]]).transform("size").to_numpy()
    alone = np.zeros(len(frame), dtype=bool)
    alone[lone] = (found["payers"] < 2).to_numpy()
    return pd.Series(alone & (again < 2), index=frame.index)


def _rolling_median(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Centred median of up to ``_NEIGHBOURS`` values around each, groups being runs of rows."""
    half, rows = _NEIGHBOURS // 2, len(values)
    around = np.full((rows, _NEIGHBOURS), np.inf)
    for column, offset in enumerate(range(-half, half + 1)):
        here = np.arange(max(0, -offset), min(rows, rows - offset))
        same = here[group[here] == group[here + offset]]
        around[same, column] = values[same + offset]
    count = np.isfinite(around).sum(axis=1)
    around.sort(axis=1)
    at = np.arange(rows)
    return np.asarray((around[at, (count - 1) // 2] + around[at, count // 2]) / 2)
