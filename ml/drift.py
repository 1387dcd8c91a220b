"""Drift statistics with thresholds that know how many rows they rest on.

PSI follows (1/n + 1/m) times a chi-square of bins - 1 degrees of freedom where nothing drifted
(Yurdakul 2018), KS has its usual asymptotic bound, and shares have a normal one. A column has
drifted when a statistic is beyond both chance, at a level shared out over all columns, and a
size worth acting on. With too few rows the verdict is ``insufficient_data``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

Verdict = Literal["ok", "drift", "insufficient_data"]

BINS = 10
SMALLEST_EFFECT = {"psi": 0.1, "ks": 0.1, "missing_share": 0.05, "new_category_share": 0.02}
DRIFTED_SHARE = 1 / 3
"""Share of columns that must drift before the model is said to: one column moves every day."""


@dataclass(frozen=True)
class DriftRow:
    """One statistic of one column; column "" is the model as a whole."""

    column: str
    statistic: str
    value: float | None
    threshold: float | None
    rows: int
    verdict: Verdict


def check(
    reference: pd.DataFrame, current: pd.DataFrame, *, min_rows: int, false_alarm: float
) -> list[DriftRow]:
    """Verdicts for each column of ``reference`` against ``current``, the model's first.

    ``false_alarm`` is the chance that any column of an undrifted batch is called drifted.
    """
    rows = min(len(reference), len(current))
    if rows < min_rows:
        return [DriftRow("", "drifted_share", None, None, len(current), "insufficient_data")]
    level = false_alarm / max(1, reference.shape[1])
    found = [
        row
        for column in reference.columns
        for row in _column(str(column), reference[column], current, level, min_rows)
    ]
    drifted = {row.column for row in found if row.verdict == "drift"}
    share = len(drifted) / max(1, reference.shape[1])
    overall: Verdict = "drift" if share >= DRIFTED_SHARE else "ok"
    return [
        DriftRow("", "drifted_share", share, DRIFTED_SHARE, len(current), overall),
        *found,
    ]


def _column(
    name: str, reference: pd.Series, frame: pd.DataFrame, level: float, min_rows: int
) -> list[DriftRow]:
    if name not in frame:
        return [DriftRow(name, "missing_share", 1.0, 0.0, len(frame), "drift")]
    current = frame[name]
    out = [_missing(name, reference, current, level)]
    known, seen = reference.dropna(), current.dropna()
    if min(len(known), len(seen)) < min_rows:
        out.append(DriftRow(name, "psi", None, None, len(seen), "insufficient_data"))
        return out
    if pd.api.types.is_numeric_dtype(reference) or pd.api.types.is_bool_dtype(reference):
        old, new = known.to_numpy(np.float64), seen.to_numpy(np.float64)
        out.append(_psi(name, *numeric_shares(old, new), len(old), len(new), level))
        out.append(_ks(name, old, new, level))
        return out
    old_text, new_text = known.astype(str), seen.astype(str)
    categories = old_text.value_counts().index
    shares = [
        text.value_counts(normalize=True).reindex(categories).fillna(0.0).to_numpy()
        for text in (old_text, new_text)
    ]
    out.append(_psi(name, shares[0], shares[1], len(known), len(seen), level))
    unknown = float((~new_text.isin(categories)).mean())
    # a category of share s is absent from the reference with chance (1 - s)^m
    chance = -np.log(level) / len(known)
    out.append(_row(name, "new_category_share", unknown, float(chance), len(seen)))
    return out


def numeric_shares(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of both samples in the reference's decile bins (ties collapse bins)."""
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
        for values in (reference, current)
    ]
    return counts[0] / len(reference), counts[1] / len(current)


def psi(reference: np.ndarray, current: np.ndarray, n: int, m: int) -> float:
    """Population stability index of two share vectors; empty bins count half a row."""
    a, b = np.maximum(reference, 0.5 / n), np.maximum(current, 0.5 / m)
    return float(np.sum((b - a) * np.log(b / a)))


def ks(reference: np.ndarray, current: np.ndarray) -> float:
    """Two-sample Kolmogorov-Smirnov distance, right with ties."""
    old, new = np.sort(reference), np.sort(current)
    points = np.concatenate([old, new])
    return float(
        np.max(
            np.abs(
                np.searchsorted(old, points, side="right") / len(old)
                - np.searchsorted(new, points, side="right") / len(new)
            )
        )
    )


def _psi(name: str, old: np.ndarray, new: np.ndarray, n: int, m: int, level: float) -> DriftRow:
    from scipy.stats import chi2

    chance = (1 / n + 1 / m) * float(chi2.ppf(1 - level, max(1, len(old) - 1)))
    return _row(name, "psi", psi(old, new, n, m), chance, m)


def _ks(name: str, old: np.ndarray, new: np.ndarray, level: float) -> DriftRow:
    n, m = len(old), len(new)
    chance = float(np.sqrt(-np.log(level / 2) / 2 * (n + m) / (n * m)))
    return _row(name, "ks", ks(old, new), chance, m)


def _missing(name: str, old: pd.Series, new: pd.Series, level: float) -> DriftRow:
    from scipy.stats import norm

    before, now = float(old.isna().mean()), float(new.isna().mean())
    pooled = (old.isna().sum() + new.isna().sum()) / (len(old) + len(new))
    spread = np.sqrt(pooled * (1 - pooled) * (1 / len(old) + 1 / len(new)))
    chance = float(norm.ppf(1 - level / 2) * spread)
    return _row(name, "missing_share", abs(now - before), chance, len(new))


def _row(name: str, statistic: str, value: float, chance: float, rows: int) -> DriftRow:
    threshold = max(chance, SMALLEST_EFFECT[statistic])
    verdict: Verdict = "drift" if value > threshold else "ok"
    return DriftRow(name, statistic, value, threshold, rows, verdict)
