"""Known anomalies planted into a copy of recent data, and lines that the firm corrected later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml.methods.anomaly_data import REVENUE

if TYPE_CHECKING:
    from ml.methods.method import Frames
    from warehouse.snapshot import Snapshot

LINES, CLIENT_DAYS, A_SERIES = 60, 45, 2
"""How many lines, client days and days of each series are changed: a gate that rests on 35 of
them would go up or down by .08 with the draw."""
MOST_SHARE = 0.02
"""Of the lines at hand at most so many are changed, but a third of the numbers above at least."""
CORRECTS = "corrects_line_id"


def with_injected_anomalies(
    frames: Frames,
    start: pd.Timestamp,
    series_since: Mapping[str, pd.Timestamp],
    seed: int = 0,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """A copy with anomalies since ``start``, and their subjects (outcome 1).

    A series has its own start, and none is planted where ``series_since`` names none.

    Lines get a tenfold or tenth price or a tenfold quantity, client days four to eight times
    their quantities, series a spike or drop of five to nine times what usually lies between a
    value and the seventh before it (the same weekday's, where there is one a day).
    """
    rng = np.random.default_rng(seed)
    lines, planted = _lines(frames["lines"], start, rng)
    series, in_series = _series(frames["series"], series_since, rng)
    subjects = pd.concat([planted, in_series], ignore_index=True)
    return {"series": series, "lines": lines}, subjects.assign(outcome=1.0)


def corrected_lines(data: Snapshot, as_of: date) -> Mapping[str, float]:
    """Amount of each line that a later line says it corrects; empty where none says so."""
    held = data.columns("invoice_lines") if "invoice_lines" in data.tables else []
    if CORRECTS not in held:
        return {}
    columns = ["line_id", "quantity", "unit_price", CORRECTS]
    lines = data.as_of("invoice_lines", as_of, columns).to_pandas()
    named = lines.loc[lines[CORRECTS].notna(), CORRECTS].unique()
    hit = lines[lines["line_id"].isin(named)]
    amounts = (hit["quantity"] * hit["unit_price"]).abs()
    return dict(zip(hit["line_id"].astype(str), amounts, strict=True))


def _lines(
    lines: pd.DataFrame, start: pd.Timestamp, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    copy = lines.reset_index(drop=True).copy()
    copy["quantity"] = copy["quantity"].astype(float)
    recent = np.flatnonzero(copy["observed_at"] >= start)
    rng.shuffle(recent)
    part = min(max(MOST_SHARE * len(recent) / (LINES + CLIENT_DAYS), 1.0 / 3.0), 1.0)
    count, days = int(part * LINES), int(part * CLIENT_DAYS)
    chosen = recent[:count]
    factor = rng.choice([0.1, 10.0], len(chosen))
    is_price = rng.random(len(chosen)) < 0.5
    price, quantity = copy["unit_price"].to_numpy().copy(), copy["quantity"].to_numpy().copy()
    price[chosen] *= np.where(is_price, factor, 1.0)
    quantity[chosen] *= np.where(is_price, 1.0, 10.0)
    spots = copy.iloc[recent[count : count + days]][["client_id", "observed_at"]]
    for spot in spots.itertuples():
        same = (copy["client_id"] == spot.client_id) & (copy["observed_at"] == spot.observed_at)
        quantity[same.to_numpy()] *= rng.uniform(4.0, 8.0)
    copy["unit_price"], copy["quantity"] = price, quantity
    hit = copy.iloc[chosen]
    return copy, pd.concat(
        [
            pd.DataFrame(
                {
                    "subject_kind": "line",
                    "subject_id": hit["line_id"].astype(str),
                    "observed_at": hit["observed_at"],
                }
            ),
            pd.DataFrame(
                {
                    "subject_kind": "client",
                    "subject_id": spots["client_id"].astype(str),
                    "observed_at": spots["observed_at"],
                }
            ).drop_duplicates(),
        ],
        ignore_index=True,
    )


def _series(
    series: pd.DataFrame,
    since: Mapping[str, pd.Timestamp],
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    copy = series.reset_index(drop=True).copy()
    values = copy["value"].to_numpy(dtype=float).copy()
    found = []
    for name, rows in copy.groupby("series_id"):
        if name == REVENUE or str(name) not in since:
            continue
        recent = rows.index[rows["observed_at"] >= since[str(name)]].to_numpy()
        if len(recent) < 4 * A_SERIES:
            continue
        step = float(rows["value"].diff(7).abs().median()) or float(rows["value"].std()) or 1.0
        chosen = rng.choice(recent, A_SERIES, replace=False)
        values[chosen] += rng.choice([-1.0, 1.0], A_SERIES) * rng.uniform(5, 9, A_SERIES) * step
        found.append(copy.loc[chosen, ["series_id", "observed_at"]])
    copy["value"] = values
    planted = pd.concat(found) if found else copy.iloc[:0][["series_id", "observed_at"]]
    return copy, pd.DataFrame(
        {
            "subject_kind": "series",
            "subject_id": planted["series_id"].astype(str),
            "observed_at": planted["observed_at"],
        }
    )
