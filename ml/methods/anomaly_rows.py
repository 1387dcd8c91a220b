"""Lines and client days as an anomaly detector reads them: each beside its own past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

USUAL = 2.33
"""Standard deviations around the mean within which 98 of 100 rows lie."""
LEAST_SPREAD = 0.05
"""Logarithms closer together than 5 % are no spread to measure a deviation by."""
SERVICE_LINES, SPREAD_LINES = 300, 1000
"""Latest lines of a service that tell its usual level, and how far lines spread around it."""
CLIENT_PRIOR, OWN_PRIOR = 3.0, 2.0
"""Lines that a client's level, and its level in one service, lean on beside its own."""
SPREAD_PRIOR, STEADY_PRIOR, DAYS_PRIOR = 10.0, 10.0, 4.0
"""Rows that the spread of a service, of a client's lines and of a client's days lean on."""
MOST = float(np.log(4.0))
"""Past values further off than fourfold count as fourfold, so a typo does not become usual."""
MOST_RESTLESS = 25.0
"""One past line makes its client at most so much (in variance) more restless than others."""
ALONE_PRIOR = 5.0
"""Lines of a client day whose shared deviation is half believed."""
TOGETHER = 0.1
"""Deviations by which all quantities of an ordinary client day are off together."""


@dataclass(frozen=True)
class Surprise:
    """How far each row is from what was to be expected, in deviations; 0 where nothing was.

    ``mean`` and ``spread`` are of the logarithm, NaN where nothing was to be expected.
    """

    deviation: pd.Series
    mean: pd.Series
    spread: pd.Series


def row_frames(lines: pd.DataFrame, rows: pd.DataFrame | None = None) -> dict[str, pd.DataFrame]:
    """:func:`line_rows` (``rows``, if at hand) and :func:`client_rows` by kind."""
    rows = line_rows(lines) if rows is None else rows
    return {"line": rows, "client": client_rows(lines, rows)}


def line_rows(lines: pd.DataFrame) -> pd.DataFrame:
    """One row a sale: how its price and quantity deviate from what earlier lines led to expect.

    ``price_own`` and ``quantity_surprise`` are what :func:`surprise` says of them, and
    ``quantity_own`` is the latter less what the client's lines of that day share: where all
    quantities are off together the day is the event, and its lines none of their own.
    """
    rows = _in_order(lines)
    service, client = _codes(rows, ["service_id"]), _codes(rows, ["client_id"])
    own = _codes(rows, ["client_id", "service_id"])
    price, quantity = (
        surprise(_logs(rows[column]), service, client, own) for column in ("unit_price", "quantity")
    )
    alone = quantity.deviation - _shared(quantity.deviation, rows)
    return pd.DataFrame(
        {
            "subject_kind": "line",
            "subject_id": rows["line_id"].astype(str),
            "client_id": rows["client_id"],
            "observed_at": rows["observed_at"],
            "value": rows["unit_price"],
            "price_own": price.deviation,
            "quantity_own": alone,
            "quantity_surprise": quantity.deviation,
            "expected_low": np.exp(price.mean - USUAL * price.spread),
            "expected_high": np.exp(price.mean + USUAL * price.spread),
        }
    )


def surprise(logs: pd.Series, service: pd.Series, client: pd.Series, own: pd.Series) -> Surprise:
    """How odd each logarithm is for this client and service; rows stand in order of time.

    The expectation is the service's level of late, times what this client takes (or pays) more
    than others, times what it does so of this service: each a mean of earlier logarithms that
    leans on the level above it as far as it has few lines itself. The spread is the service's,
    leaning on that of all services, times how restless this client's lines are. So four equal
    lines do not make the fifth, slightly different one, an event, and a client that always buys
    odd quantities does not crowd out the others. A service's first line is no surprise.
    """
    before = logs.groupby(service).cumcount()
    known = before > 0
    level = _lately(logs, service, SERVICE_LINES)
    rest = (logs - level).where(known, 0.0)
    for group, prior in ((client, CLIENT_PRIOR), (own, OWN_PRIOR)):
        rest = rest - _leaning_mean(rest.clip(-MOST, MOST), group, prior)
    rest = rest.where(known, 0.0)
    square = rest.clip(-MOST, MOST) ** 2
    everywhere = _so_far(square, known)
    judged = (before - 1).clip(0, SPREAD_LINES)  # the first line of a service has no square
    spread = (_lately(square, service, SPREAD_LINES).fillna(0.0) * judged) + (
        SPREAD_PRIOR * everywhere
    )
    variance = spread / (judged + SPREAD_PRIOR)
    ratio = (square / (variance + LEAST_SPREAD**2)).clip(upper=MOST_RESTLESS)
    restless = 1.0 + _leaning_mean(ratio - 1.0, client, STEADY_PRIOR)
    uncertain = 1.0 + 1.0 / before.clip(1, SERVICE_LINES)
    deviation = np.sqrt(variance * restless * uncertain + LEAST_SPREAD**2)
    return Surprise(
        (rest / deviation).where(known, 0.0), (logs - rest).where(known), deviation.where(known)
    )


def client_rows(lines: pd.DataFrame, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a client and day with a purchase: its amount and quantities beside its past.

    ``rows`` are the :func:`line_rows` of the lines, if at hand. ``amount_own``: the day's amount
    beside the client's earlier days, with a spread that leans on that of all clients.
    ``quantities_own``: the day's median ``quantity_surprise`` in deviations of a median of so many
    lines. All quantities together are off where the client is; where one line is, that line is.
    """
    rows = line_rows(lines) if rows is None else rows
    keys = ["observed_at", "client_id"]
    amount = lines["quantity"] * lines["unit_price"]
    days = lines[keys].assign(amount=amount).groupby(keys, sort=True)["amount"].sum().reset_index()
    past = _beside_past(_logs(days["amount"]), _codes(days, ["client_id"]))
    grouped = rows.groupby(keys, sort=True)["quantity_surprise"]
    # The median of n normal deviations has a variance of about pi / 2 n.
    off: pd.Series = grouped.median() / np.sqrt(TOGETHER**2 + np.pi / (2.0 * grouped.size()))
    return pd.DataFrame(
        {
            "subject_kind": "client",
            "subject_id": days["client_id"].astype(str),
            "client_id": days["client_id"],
            "observed_at": days["observed_at"],
            "value": days["amount"],
            "amount_own": past.deviation,
            "quantities_own": off.to_numpy(),
            "expected_low": np.exp(past.mean - USUAL * past.spread),
            "expected_high": np.exp(past.mean + USUAL * past.spread),
        }
    )


def largest_deviations(
    lines: pd.DataFrame, frames: dict[str, pd.DataFrame]
) -> dict[str, pd.Series]:
    """The naive baseline by kind: the largest of all deviations, with no say in how rare it is.

    Those of a rolling Gaussian (price beside all earlier lines of the client and service, and of
    the service; quantity beside the service's; amount and lines of a day beside the client's
    earlier days), and the method's own: quantities of a line, and their median on a client day
    times the root of its lines. So the baseline is denied no quantity that the model sees.
    """
    rows, line, day = _in_order(lines), frames["line"], frames["client"]
    service, own = _codes(rows, ["service_id"]), _codes(rows, ["client_id", "service_id"])
    of_line = [
        _gaussian(rows[column], group)
        for column, group in (("unit_price", own), ("unit_price", service), ("quantity", service))
    ]
    grouped = line.groupby(["observed_at", "client_id"], sort=True)["quantity_surprise"]
    count = grouped.size().reset_index(drop=True)
    together = grouped.median().reset_index(drop=True) * np.sqrt(count)
    client = _codes(day, ["client_id"])
    of_day = [_gaussian(values, client) for values in (day["value"], count)]
    return {
        "line": _largest([*of_line, line["quantity_surprise"]]),
        "client": _largest([*of_day, together]),
    }


def _largest(deviations: list[pd.Series]) -> pd.Series:
    largest: pd.Series = pd.concat(deviations, axis=1).abs().max(axis=1)
    return largest


def _gaussian(values: pd.Series, group: pd.Series, least: int = 4) -> pd.Series:
    """Distance of logarithms from the mean of all earlier rows in their deviations; 0 after fewer
    than ``least``."""
    logs = _logs(values)
    frame = pd.DataFrame({"x": logs, "x2": logs**2, "n": 1.0})
    before = frame.groupby(group, sort=False).cumsum() - frame
    count = before["n"].where(before["n"] >= least)
    mean = before["x"] / count
    variance = (before["x2"] / count - mean**2).clip(lower=0.0)
    distance: pd.Series = ((logs - mean) / np.sqrt(variance + LEAST_SPREAD**2)).fillna(0.0)
    return distance


def _shared(deviation: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """The median of the client's lines of the day, as far as there are many; 0 for a single one."""
    grouped = deviation.groupby(_codes(rows, ["observed_at", "client_id"]), sort=False)
    count = grouped.transform("size")
    shared: pd.Series = grouped.transform("median") * ((count - 1) / (count - 1 + ALONE_PRIOR))
    return shared


def _beside_past(logs: pd.Series, group: pd.Series) -> Surprise:
    """Each row beside all earlier rows of its group, from the second on."""
    grouped = logs.groupby(group, sort=False)
    before = grouped.cumcount()
    known = before > 0
    mean = ((grouped.cumsum() - logs) / before.where(known)).fillna(0.0)
    error = (logs - mean).where(known, 0.0)
    # Squares of errors of forecast, brought down to those around the final mean.
    square = error.clip(-MOST, MOST) ** 2 * before / (before + 1.0)
    everywhere = _so_far(square, known)
    summed = square.groupby(group, sort=False).cumsum() - square
    variance = (summed + DAYS_PRIOR * everywhere) / ((before - 1).clip(lower=0) + DAYS_PRIOR)
    spread = np.sqrt(variance * (1.0 + 1.0 / before.clip(lower=1)) + LEAST_SPREAD**2)
    return Surprise((error / spread).where(known, 0.0), mean.where(known), spread.where(known))


def _so_far(square: pd.Series, known: pd.Series) -> pd.Series:
    """Mean square of all earlier rows, begun with one of .1 (a third up or down)."""
    return (square.cumsum() - square + 0.1) / (known.cumsum() - known + 1.0)


def _logs(values: pd.Series) -> pd.Series:
    return pd.Series(np.log(values.to_numpy(dtype=float)), index=values.index)


def _codes(rows: pd.DataFrame, keys: list[str]) -> pd.Series:
    return rows.groupby(keys, sort=False).ngroup()


def _in_order(lines: pd.DataFrame) -> pd.DataFrame:
    return lines.sort_values(["observed_at", "line_id"], kind="stable").reset_index(drop=True)


def _lately(values: pd.Series, group: pd.Series, window: int) -> pd.Series:
    """Mean of the group's latest rows before each row; NaN for its first.

    From sums of each group by itself, so that the rows of another never move it, by a bit.
    """
    grouped = values.groupby(group, sort=False)
    sums = grouped.cumsum()
    keys = sums.groupby(group, sort=False)
    upto, dropped = keys.shift(1), keys.shift(window + 1)
    count = grouped.cumcount().clip(upper=window)
    mean: pd.Series = (upto - dropped.fillna(0.0)) / count.where(count > 0)
    return mean


def _leaning_mean(values: pd.Series, group: pd.Series, prior: float) -> pd.Series:
    """Mean of the group's earlier rows together with ``prior`` rows of value 0."""
    grouped = values.groupby(group, sort=False)
    mean: pd.Series = (grouped.cumsum() - values) / (grouped.cumcount() + prior)
    return mean
