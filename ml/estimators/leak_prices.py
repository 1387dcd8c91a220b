"""What each billed line should have cost, and in how many ways it looks cheaper than its like.

The expected price is the contracted rate of the day (the client's own, else everyone's); where
there is none it is what the lines themselves say: the client's own price of the item, else the
price of the item in that quantity around that day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.estimators.leak_neighbours import (
    Neighbours,
    group_codes,
    nearby_count,
    neighbours,
    others_mean,
)

_NEAR_DAYS = 30
_CLEARLY = 1.02


@dataclass(frozen=True)
class Rates:
    """Contracted prices of lines: the price (NaN: none) and the row of ``rates`` it is from."""

    price: np.ndarray
    row: np.ndarray
    own: np.ndarray

    @classmethod
    def none(cls, rows: int) -> Rates:
        """No contracted price for any of ``rows`` lines."""
        return cls(np.full(rows, np.nan), np.full(rows, -1), np.zeros(rows, dtype=bool))


def contracted(lines: pd.DataFrame, rates: pd.DataFrame | None) -> Rates:
    """The rate valid on each line's day: the client's own, else everyone's.

    ``lines`` has client_id, service_id and day (int); ``rates`` service_id, client_id (missing or
    empty: everyone), valid_from, unit_price and valid_to (the last day; missing: open).
    """
    if rates is None or rates.empty:
        return Rates.none(len(lines))
    table = pd.DataFrame(
        {
            "service_id": rates["service_id"].astype(str).to_numpy(),
            "client_id": _client_or_all(rates),
            "day": _days(rates["valid_from"], -(1 << 30)),
            "last": _days(rates["valid_to"], 1 << 30)
            if "valid_to" in rates
            else np.full(len(rates), 1 << 30),
            "rate": pd.to_numeric(rates["unit_price"]).to_numpy(dtype=np.float64),
            "row": np.arange(len(rates)),
        }
    ).sort_values(["day", "row"], kind="stable")
    own = _latest(lines, table[table["client_id"] != ""], ["service_id", "client_id"])
    all_ = _latest(lines, table[table["client_id"] == ""], ["service_id"])
    has_own = np.isfinite(own[0])
    return Rates(np.where(has_own, own[0], all_[0]), np.where(has_own, own[1], all_[1]), has_own)


def _client_or_all(rates: pd.DataFrame) -> np.ndarray:
    if "client_id" not in rates:
        return np.full(len(rates), "", dtype=object)
    column = rates["client_id"]
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy()


def _days(column: pd.Series, missing: int) -> np.ndarray:
    stamps = pd.to_datetime(column).to_numpy(dtype="datetime64[D]")
    return np.where(np.isnat(stamps), missing, stamps.astype(np.int64))


def _latest(
    lines: pd.DataFrame, table: pd.DataFrame, keys: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    price, row = np.full(len(lines), np.nan), np.full(len(lines), -1)
    if table.empty or lines.empty:
        return price, row
    left = lines[[*keys, "day"]].astype(dict.fromkeys(keys, str))
    left = left.assign(at=np.arange(len(lines))).sort_values("day", kind="stable")
    found = pd.merge_asof(
        left, table.drop(columns=[c for c in ("client_id",) if c not in keys]), on="day", by=keys
    )
    valid = (found["last"] >= found["day"]).to_numpy()
    at = found["at"].to_numpy()[valid]
    price[at] = found["rate"].to_numpy()[valid]
    row[at] = found["row"].to_numpy()[valid].astype(np.int64)
    return price, row


#: Features of a positive line, in the order of the matrix.
FEATURES = (
    "to_rate",
    "own_rate",
    "to_client",
    "to_client_least",
    "client_same",
    "client_count",
    "to_tier",
    "to_tier_least",
    "tier_lower",
    "tier_same",
    "tier_count",
    "to_quantity",
    "quantity_same",
    "to_item",
    "item_lower",
    "item_same",
    "item_count",
    "same_price_near",
    "same_price_ever",
    "same_price_clients",
    "to_level_above",
    "to_level_below",
    "invoice_others",
    "log_quantity",
    "log_item_price",
    "item_spread",
)


@dataclass(frozen=True)
class PriceView:
    """Features of shape (rows, len(FEATURES)) beside the expected price and where it is from."""

    features: np.ndarray
    expected: np.ndarray
    source: np.ndarray
    shared_by: np.ndarray
    zero_is_wrong: np.ndarray


SOURCES = (
    "none",
    "client_rate",
    "list_rate",
    "client_history",
    "item_and_quantity",
    "item",
    "price_level",
)


def price_view(lines: pd.DataFrame, rates: Rates) -> PriceView:
    """Compare positive lines with each other and with their rates.

    ``lines`` has the integer columns client, service, invoice, day and the floats quantity,
    unit_price; every row is compared with all other rows given.
    """
    client, service = lines["client"].to_numpy(), lines["service"].to_numpy()
    day, price = lines["day"].to_numpy(), lines["unit_price"].to_numpy(dtype=np.float64)
    quantity = lines["quantity"].to_numpy(dtype=np.float64)
    paid = price > 0
    tier = np.floor(np.log2(np.maximum(quantity, 1e-6))).astype(np.int64)
    exact = np.unique(quantity, return_inverse=True)[1]
    cents = np.unique(np.round(price * 1e4).astype(np.int64), return_inverse=True)[1]

    by_client = neighbours(group_codes(client, service), day, price, paid, 3)
    by_tier = neighbours(group_codes(service, tier), day, price, paid, 8)
    by_quantity = neighbours(group_codes(service, exact), day, price, paid, 5)
    by_item = neighbours(service, day, price, paid, 12)

    same = group_codes(service, cents)
    clients = _distinct(same, client) - 1.0
    above, below = _levels(same, service, price, clients)
    expected, source = _expected(price, rates, by_client.middle, by_tier, by_item.middle, above)
    with np.errstate(divide="ignore", invalid="ignore"):
        safe = np.where(paid, price, np.nan)
        usual = np.where(np.isfinite(rates.price), rates.price, by_tier.middle)
        relative = np.log(safe / usual)
        spread = np.log(by_item.middle / by_item.least)
        columns = {
            "to_rate": np.log(safe / rates.price),
            "own_rate": np.where(np.isfinite(rates.price), rates.own, np.nan),
            "to_client": np.log(safe / by_client.middle),
            "to_client_least": np.log(safe / by_client.least),
            "client_same": by_client.share_same,
            "client_count": by_client.count,
            "to_tier": np.log(safe / by_tier.middle),
            "to_tier_least": np.log(safe / by_tier.least),
            "tier_lower": by_tier.share_lower,
            "tier_same": by_tier.share_same,
            "tier_count": by_tier.count,
            "to_quantity": np.log(safe / by_quantity.middle),
            "quantity_same": by_quantity.share_same,
            "to_item": np.log(safe / by_item.middle),
            "item_lower": by_item.share_lower,
            "item_same": by_item.share_same,
            "item_count": np.bincount(service)[service].astype(np.float64)
            if len(service)
            else price,
            "same_price_near": nearby_count(same, day, _NEAR_DAYS),
            "same_price_ever": np.bincount(same)[same] - 1.0 if len(same) else price,
            "same_price_clients": clients,
            "to_level_above": np.log(safe / above),
            "to_level_below": np.log(safe / below),
            "invoice_others": others_mean(lines["invoice"].to_numpy(), relative),
            "log_quantity": np.log(np.maximum(quantity, 1e-6)),
            "log_item_price": np.log(by_item.middle),
            "item_spread": spread,
        }
    matrix = np.column_stack([columns[name] for name in FEATURES])
    return PriceView(matrix, expected, source, clients, _zero_is_wrong(lines, paid))


def _zero_is_wrong(lines: pd.DataFrame, paid: np.ndarray) -> np.ndarray:
    """Chance that a line at no price is a mistake, 0 for priced lines.

    It falls with the share of the item's and of the client's other lines at no price, and halves
    where the same invoice bills the same item at a price (goods added free).
    """
    free = (~paid).astype(np.float64)
    client, service = lines["client"].to_numpy(), lines["service"].to_numpy()
    item_habit = np.nan_to_num(others_mean(service, free))
    client_habit = np.nan_to_num(others_mean(client, free))
    beside = group_codes(lines["invoice"].to_numpy(), service)
    paid_beside = np.nan_to_num(others_mean(beside, 1.0 - free)) > 0
    chance = 0.99 * (1 - item_habit) * (1 - client_habit) * np.where(paid_beside, 0.5, 1.0)
    return np.where(paid, 0.0, chance)


def _expected(
    price: np.ndarray,
    rates: Rates,
    client: np.ndarray,
    tier: Neighbours,
    item: np.ndarray,
    level: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """A contracted rate has the last word; else the nearest witness of a price above the line's
    own, or, where none is, the nearest witness."""
    witnesses = (
        (3, client),
        (4, np.where(tier.count >= 3, tier.middle, np.nan)),
        (5, item),
        (6, level),
    )
    expected, source = np.full(len(price), np.nan), np.zeros(len(price), dtype=np.int64)
    for least in (price * _CLEARLY, np.zeros(len(price))):
        for code, values in witnesses:
            take = ~np.isfinite(expected) & (values > least)
            expected, source = np.where(take, values, expected), np.where(take, code, source)
    agreed = np.isfinite(rates.price)
    expected = np.where(agreed, rates.price, expected)
    return expected, np.where(agreed, np.where(rates.own, 1, 2), source)


def _distinct(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """How many distinct values each row's group has."""
    if not len(group):
        return np.zeros(0)
    width = int(value.max()) + 1
    if value.min() < 0:
        raise ValueError("codes must not be negative")
    pairs = np.unique(group.astype(np.int64) * width + value) // width
    return np.bincount(pairs, minlength=int(group.max()) + 1)[group].astype(np.float64)


def _levels(
    same: np.ndarray, service: np.ndarray, price: np.ndarray, clients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The item's next price at or above, and next below, that two clients or more have paid.

    The row's own price counts as a level where another client paid it too.
    """
    above, below = np.full(len(price), np.nan), np.full(len(price), np.nan)
    shared = (clients >= 1) & (price > 0)
    if not shared.any():
        return above, below
    top = float(price.max()) * 2 + 1
    first = np.unique(same[shared], return_index=True)[1]
    at = np.nonzero(shared)[0][first]
    level_key = service[at] * top + price[at]
    order = np.argsort(level_key)
    level_key, level_price, level_service = level_key[order], price[at][order], service[at][order]
    key = service * top + price
    up = np.searchsorted(level_key, key - 1e-9, side="left")
    inside = np.minimum(up, len(level_key) - 1)
    found = (up < len(level_key)) & (level_service[inside] == service)
    above[found] = level_price[inside[found]]
    down = np.maximum(up - 1, 0)
    found = (up > 0) & (level_service[down] == service)
    below[found] = level_price[down[found]]
    return above, below
