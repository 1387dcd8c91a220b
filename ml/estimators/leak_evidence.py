"""What a person needs to check a suspicion: the expected price, its source, the twin credit."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from ml.estimators.leak_credits import CreditView
from ml.estimators.leak_frames import CORRECTS_LINE, places
from ml.estimators.leak_groups import Codes
from ml.estimators.leak_prices import SOURCES, PriceView
from ml.estimators.leak_work import WorkView

Found = list[dict[str, Any] | None]


def price_evidence(
    found: Found,
    at: np.ndarray,
    flagged: np.ndarray,
    lines: Codes,
    view: PriceView,
    rates: pd.DataFrame | None,
) -> None:
    """Fill ``found`` at the positions ``at`` of the flagged lines of a view, whose ``lines`` these
    are; ``flagged`` are positions in it."""
    for position, row in zip(at, flagged, strict=True):
        expected = float(view.expected[row])
        entry: dict[str, Any] = {
            "unit_price": float(lines.price[row]),
            "expected_price": round(expected, 4),
            "expected_from": SOURCES[view.source[row]],
            "quantity": float(lines.quantity[row]),
            "below_expected": round(1.0 - float(lines.price[row]) / expected, 4),
            "other_clients_at_this_price": int(max(view.shared_by[row], 0)),
        }
        if view.agreed.row[row] >= 0 and rates is not None:
            entry["rate"] = _rate(rates, int(view.agreed.row[row]))
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
    found: Found,
    at: np.ndarray,
    chosen: np.ndarray,
    lines: Codes,
    line_ids: pd.Series,
    credit: CreditView,
) -> None:
    """Fill ``found`` at ``at`` for the ``chosen`` credits, which have an identical one before."""
    twins = line_ids.iloc[credit.twin[chosen]].tolist()
    for position, row, twin_id in zip(at, chosen, twins, strict=True):
        found[position] = {
            "twin_line_id": twin_id,
            "twin_issued_on": _from_day(int(lines.day[credit.twin[row]])),
            "days_after_twin": int(credit.days[row]),
            "quantity": float(lines.quantity[credit.at[row]]),
            "unit_price": float(lines.price[credit.at[row]]),
            "identical_sales_before": int(credit.sales[row]),
        }


def work_evidence(
    found: Found,
    at: np.ndarray,
    chosen: np.ndarray,
    entries: pd.DataFrame,
    line_ids: pd.Series,
    view: WorkView,
    prices: tuple[np.ndarray, np.ndarray],
) -> None:
    """Fill ``found`` at ``at`` for the ``chosen`` entries, whose expected prices, and where they
    are from, are given in their order."""
    quantity, days = entries["quantity"].to_numpy(), entries["day"].to_numpy()
    for position, row, expected, source in zip(at, chosen, *prices, strict=True):
        entry: dict[str, Any] = {
            "quantity": float(quantity[row]),
            "expected_price": round(float(expected), 4) if np.isfinite(expected) else None,
            "expected_from": SOURCES[source],
            "worked_on": _from_day(int(days[row])),
            "days_unbilled": int(view.waiting[row]),
        }
        for name, where in (
            ("maybe_in_line", view.covered_by),
            ("maybe_billed_by", view.billed_by),
        ):
            if where[row] >= 0:
                entry[name] = line_ids.iloc[where[row]]
        found[position] = entry


def _from_day(day: int) -> str:
    return str(dt.date(1970, 1, 1) + dt.timedelta(days=day))


def corrections(
    lines: pd.DataFrame, codes: Codes, double: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Of each line asked for, the id of the line that put it right, else None.

    Where the lines name what they correct, that counts; else a line is put right by one that bills
    the same again at a higher price, on the invoice of a later credit that takes it back whole.
    ``double`` are positions of suspected second credits, ``asked`` positions of lines.
    """
    out = np.full(len(lines), None, dtype=object)
    if CORRECTS_LINE in lines and lines[CORRECTS_LINE].notna().any():
        again = lines[lines[CORRECTS_LINE].notna() & (lines["quantity"] > 0)]
        again = again.drop_duplicates(CORRECTS_LINE)
        by = places(lines["line_id"], pd.Index(again[CORRECTS_LINE]))
        at = np.nonzero(by >= 0)[0]
        out[at] = again["line_id"].iloc[by[at]].to_numpy(dtype=object)
    else:
        at, by_line = _taken_back(codes, double)
        out[at] = lines["line_id"].iloc[by_line].to_numpy(dtype=object)
    return out[asked]


def _taken_back(lines: Codes, double: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the lines put right, and of those that did it."""
    keys = ["client", "service", "quantity"]
    credit = lines.quantity < 0
    credit[double] = False
    credits = _table(lines, np.nonzero(credit)[0])
    credits = credits.assign(quantity=-credits["quantity"])
    sale = lines.quantity > 0
    on_invoice = np.isin(lines.invoice, credits["invoice"])
    again = credits.merge(
        _table(lines, np.nonzero(sale & on_invoice)[0]),
        on=[*keys, "invoice"],
        suffixes=("", "_again"),
    )
    again = again[again["unit_price_again"] > again["unit_price"]]
    sales = _table(lines, np.nonzero(sale & np.isin(lines.client, again["client"]))[0])
    pairs = sales.merge(again, on=[*keys, "unit_price"], suffixes=("", "_back"))
    pairs = pairs[pairs["day_back"] >= pairs["day"]]
    pairs = pairs[pairs["at_again"] != pairs["at"]].sort_values(["day_back", "at_again"])
    first = pairs.drop_duplicates("at")
    return first["at"].to_numpy(), first["at_again"].to_numpy()


def _table(lines: Codes, at: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "client": lines.client[at],
            "service": lines.service[at],
            "quantity": lines.quantity[at],
            "unit_price": lines.price[at],
            "day": lines.day[at],
            "invoice": lines.invoice[at],
            "at": at,
        }
    )
