"""What a person needs to check a suspicion: the expected price, its source, the twin credit."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from ml.estimators.leak_credits import CreditView
from ml.estimators.leak_frames import CORRECTS_LINE
from ml.estimators.leak_prices import SOURCES, PriceView, Rates
from ml.estimators.leak_work import WorkView

Found = list[dict[str, Any] | None]


def price_evidence(
    found: Found,
    flagged: np.ndarray,
    sale: np.ndarray,
    sales: pd.DataFrame,
    view: PriceView,
    agreed: Rates,
    rates: pd.DataFrame | None,
) -> None:
    """Fill ``found`` for the flagged positions among all lines; ``sale`` are those of ``sales``."""
    price, quantity = sales["unit_price"].to_numpy(), sales["quantity"].to_numpy()
    for position, at in zip(flagged, np.searchsorted(sale, flagged), strict=True):
        expected = float(view.expected[at])
        entry: dict[str, Any] = {
            "unit_price": float(price[at]),
            "expected_price": round(expected, 4),
            "expected_from": SOURCES[view.source[at]],
            "quantity": float(quantity[at]),
            "below_expected": round(1.0 - float(price[at]) / expected, 4),
            "other_clients_at_this_price": int(max(view.shared_by[at], 0)),
        }
        if agreed.row[at] >= 0 and rates is not None:
            entry["rate"] = _rate(rates, int(agreed.row[at]))
        found[position] = entry


def _rate(rates: pd.DataFrame, row: int) -> dict[str, Any]:
    names = ("service_id", "client_id", "valid_from", "unit_price", "valid_to")
    values = {name: rates[name].iloc[row] for name in names}
    return {
        "service_id": values["service_id"],
        "client_id": None if pd.isna(values["client_id"]) else values["client_id"],
        "valid_from": _date(values["valid_from"]),
        "unit_price": float(values["unit_price"]),
        "valid_to": _date(values["valid_to"]),
    }


def _date(value: Any) -> str | None:
    return None if pd.isna(value) else str(pd.Timestamp(value).date())


def credit_evidence(
    found: Found, lines: pd.DataFrame, credit: CreditView, double: np.ndarray
) -> None:
    """Fill ``found`` for the credits that have an identical one before them."""
    ids, days = lines["line_id"].to_numpy(), lines["day"].to_numpy()
    quantity, price = lines["quantity"].to_numpy(), lines["unit_price"].to_numpy()
    for at in np.nonzero(double)[0]:
        position, twin = credit.at[at], credit.twin[at]
        found[position] = {
            "twin_line_id": str(ids[twin]),
            "twin_issued_on": _from_day(int(days[twin])),
            "days_after_twin": int(credit.days[at]),
            "quantity": float(quantity[position]),
            "unit_price": float(price[position]),
            "identical_sales_before": int(credit.sales[at]),
        }


def work_evidence(
    found: Found,
    entries: pd.DataFrame,
    lines: pd.DataFrame,
    view: WorkView,
    expected: np.ndarray,
    source: np.ndarray,
) -> None:
    """Fill ``found`` for the entries that may be unbilled."""
    ids = lines["line_id"].to_numpy()
    quantity, days = entries["quantity"].to_numpy(), entries["day"].to_numpy()
    for at in np.nonzero(view.score > 0)[0]:
        known = bool(np.isfinite(expected[at]))
        entry: dict[str, Any] = {
            "quantity": float(quantity[at]),
            "expected_price": round(float(expected[at]), 4) if known else None,
            "expected_from": SOURCES[source[at]],
            "worked_on": _from_day(int(days[at])),
            "days_unbilled": int(view.waiting[at]),
        }
        for name, where in (
            ("maybe_in_line", view.covered_by),
            ("maybe_billed_by", view.billed_by),
        ):
            if where[at] >= 0:
                entry[name] = str(ids[where[at]])
        found[at] = entry


def _from_day(day: int) -> str:
    return str(dt.date(1970, 1, 1) + dt.timedelta(days=day))


def corrections(lines: pd.DataFrame, double: np.ndarray) -> np.ndarray:
    """Of each line, the id of the line that put it right, else None; shape (rows,).

    Where the lines name what they correct, that counts; else a line is put right by one that bills
    the same again at a higher price, on the invoice of a later credit that takes it back whole.
    ``double`` marks suspected second credits.
    """
    named = lines[lines[CORRECTS_LINE].notna()] if CORRECTS_LINE in lines else lines.iloc[:0]
    if len(named):
        again = named[named["quantity"] > 0].drop_duplicates(CORRECTS_LINE)
        by = again.set_index(CORRECTS_LINE)["line_id"]
        out = lines["line_id"].map(by)
        return out.astype(object).where(out.notna(), None).to_numpy(dtype=object)
    return _taken_back(lines, double)


def _taken_back(lines: pd.DataFrame, double: np.ndarray) -> np.ndarray:
    out = np.full(len(lines), None, dtype=object)
    keys = ["client", "service", "quantity"]
    columns = [*keys, "unit_price", "day", "invoice", "line_id"]
    table = lines[columns].assign(at=np.arange(len(lines)))
    credits = table[(table["quantity"] < 0) & ~double]
    credits = credits.assign(quantity=-credits["quantity"])
    sales = table[table["quantity"] > 0]
    again = credits.merge(sales, on=[*keys, "invoice"], suffixes=("", "_again"))
    again = again[again["unit_price_again"] > again["unit_price"]]
    if again.empty:
        return out
    pairs = sales.merge(again, on=[*keys, "unit_price"], suffixes=("", "_back"))
    pairs = pairs[pairs["day_back"] >= pairs["day"]]
    pairs = pairs[pairs["at_again"] != pairs["at"]].sort_values(["day_back", "at_again"])
    first = pairs.drop_duplicates("at")
    out[first["at"].to_numpy()] = first["line_id_again"].to_numpy(dtype=object)
    return out
