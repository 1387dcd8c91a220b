"""Lines, rates and work as known by a day; and copies of lines with known errors planted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from ml.estimators.times import times_of
from warehouse import contract
from warehouse.contract import KNOWN_AT

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.snapshot import Snapshot

UNDERBILLED, ZERO, DOUBLE = 0.005, 0.002, 0.001
"""Shares of lines that the planted errors hit."""
LEAST_PLANTED, MOST_COPIES = 100, 40
"""Three planted errors measure nothing: a short copy is planted again and again."""
_LINES = (
    *("line_id", "client_id", "service_id", "issued_on", "quantity", "unit_price", "invoice_id"),
    *("corrects_line_id", "corrects_entry_id"),
)
_WORK = ("entry_id", "client_id", "service_id", "worked_on", "quantity", "billable", "line_id")


def leak_frames(data: Snapshot, day: date, since: date | None = None) -> dict[str, pd.DataFrame]:
    """``lines`` and, where there are any, ``rates`` and ``work``; dated ``since`` or later."""
    found = {"lines": _dated(data, "invoice_lines", "issued_on", day, since, _LINES)}
    if "rates" in data.tables:
        agreed = [name for name in data.columns("rates") if name != KNOWN_AT]
        found["rates"] = _in_order(data, "rates", day, agreed).to_pandas()
    if "work_entries" in data.tables:
        found["work"] = _dated(data, "work_entries", "worked_on", day, since, _WORK)
    return found


def known_ids(data: Snapshot, day: date, since: date) -> tuple[pd.Series, pd.Series]:
    """Ids of all lines in the books by the end of the day; and of the lines and work entries among
    them that are dated ``since`` or later."""
    lines = data.as_of("invoice_lines", day, ["line_id", "issued_on"]).to_pandas(
        date_as_object=False
    )
    items = lines["line_id"][lines["issued_on"] >= pd.Timestamp(since)]
    if "work_entries" in data.tables:
        work = _dated(data, "work_entries", "worked_on", day, since, ["entry_id", "worked_on"])
        items = pd.concat([items, work["entry_id"]], ignore_index=True)
    return lines["line_id"], items


def injected_copies(
    lines: pd.DataFrame, since: date
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Copies with planted errors, each by a draw of its own, until there are enough to measure."""
    planted = 0
    for seed in range(MOST_COPIES):
        copy, errors = with_injected_errors(lines, since, seed)
        yield copy, errors
        planted += len(errors)
        if planted >= LEAST_PLANTED:
            return


def with_injected_errors(
    lines: pd.DataFrame, since: date, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A copy of the lines with planted errors, and what was planted (item_id, amount).

    Among sales since the day, .5 % are billed at half to nine tenths of their price, .2 % at
    nothing, and of credits a tenth of a percent of the sales are given again, on an invoice of
    their own within twenty days. (Twice on one invoice is two items, as often as not: no one can
    tell from the books.)
    """
    copy = lines.copy()
    rng = np.random.default_rng(seed)
    copy["issued_on"] = times_of(copy["issued_on"])
    last, recent = copy["issued_on"].max(), copy["issued_on"] >= pd.Timestamp(since)
    sales = np.flatnonzero(recent & (copy["quantity"] > 0) & (copy["unit_price"] > 0))
    rng.shuffle(sales)
    low, zero = (max(1, round(share * len(sales))) for share in (UNDERBILLED, ZERO))
    cheap, free = sales[:low], sales[low : low + zero]
    factor = np.ones(len(copy))
    factor[cheap] = rng.uniform(0.5, 0.9, len(cheap))
    factor[free] = 0.0
    before = copy["unit_price"].to_numpy(dtype=float)
    quantity = copy["quantity"].to_numpy(dtype=float)
    copy["unit_price"] = before * factor
    wrong = np.concatenate([cheap, free])
    planted = [
        pd.DataFrame(
            {
                "item_id": copy["line_id"].to_numpy()[wrong],
                "amount": (before * (1 - factor) * quantity)[wrong],
            }
        )
    ]
    credits = np.flatnonzero(recent & (copy["quantity"] < 0))
    rng.shuffle(credits)
    twice = copy.iloc[credits[: round(DOUBLE * len(sales))]].copy()
    twice["line_id"] = twice["line_id"].astype(str) + ":again"
    again = twice["issued_on"] + pd.to_timedelta(rng.integers(1, 21, len(twice)), "D")
    twice["issued_on"] = again.where(again <= last, last)
    if "invoice_id" in twice:
        twice["invoice_id"] = twice["invoice_id"] + ":again"
    value = (twice["quantity"] * twice["unit_price"]).abs()
    planted.append(pd.DataFrame({"item_id": twice["line_id"], "amount": value}))
    return (
        pd.concat([copy, twice], ignore_index=True),
        pd.concat(planted, ignore_index=True),
    )


def _dated(
    data: Snapshot,
    table: str,
    column: str,
    day: date,
    since: date | None,
    columns: Sequence[str],
) -> pd.DataFrame:
    held = data.columns(table)
    shown = [name for name in columns if name in held]
    rows = _in_order(data, table, day, shown, pc.field(column) >= since if since else None)
    return rows.to_pandas(date_as_object=False)


def _in_order(
    data: Snapshot,
    table: str,
    day: date,
    columns: Sequence[str],
    wanted: pc.Expression | None = None,
) -> pa.Table:
    """The wanted rows as known by the day, in the order in which they became known, then by key.

    Delta-rs writes the batches of a large table as its threads finish them. But what is planted is
    drawn by place, and a line's neighbours of a day are told apart by it.
    """
    order = [KNOWN_AT, *contract.table(table).key]
    rows = data.as_of(table, day, list(dict.fromkeys([*columns, *order])))
    if wanted is not None:
        rows = rows.filter(wanted)
    return rows.sort_by([(name, "ascending") for name in order]).select(columns)
