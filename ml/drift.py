"""Drift statistics with thresholds that know how many rows they rest on.

PSI follows (1/n + 1/m) times a chi-square of bins - 1 degrees of freedom where nothing drifted
(Yurdakul 2018) as long as no bin is almost empty, so thin bins are pooled. KS has its usual
asymptotic bound, the share of missing values its exact hypergeometric one, and that of new
categories one from Good and Turing's estimate of what the reference has not seen. A column has
drifted when a statistic is beyond both chance, at a level shared out over all statistics, and a
size worth acting on. With too few rows the verdict is ``insufficient_data``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

Verdict = Literal["ok", "drift", "insufficient_data"]

BINS = 10
ROWS_A_BIN = 10
"""Rows that the smaller sample must expect in a bin, or it is pooled with its neighbour."""
MOST_BINS = 20
STATISTICS_A_COLUMN = 3
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
    level = false_alarm / max(1, STATISTICS_A_COLUMN * reference.shape[1])
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
    numeric = pd.api.types.is_numeric_dtype(reference)
    if numeric and not pd.api.types.is_numeric_dtype(current):
        # What is no number counts as missing, which the share of missing values then shows.
        current = pd.to_numeric(current, errors="coerce")
    out = [_missing(name, reference, current, level)]
    known, seen = reference.dropna(), current.dropna()
    if min(len(known), len(seen)) < min_rows:
        out.append(DriftRow(name, "psi", None, None, len(seen), "insufficient_data"))
        return out
    if numeric:
        old, new = known.to_numpy(np.float64), seen.to_numpy(np.float64)
        out.append(_psi(name, *_numeric_counts(old, new), level))
        out.append(_ks(name, old, new, level))
        return out
    counts = [text.astype(str).value_counts() for text in (known, seen)]
    both = pd.concat(counts, axis=1, keys=["old", "new"]).fillna(0.0).sort_index()
    both = both.loc[(-both.sum(axis=1)).sort_values(kind="stable").index]
    out.append(_psi(name, both["old"].to_numpy(), both["new"].to_numpy(), level))
    out.append(_new_categories(name, both["old"].to_numpy(), both["new"].to_numpy(), level))
    return out


def numeric_shares(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of both samples in the reference's decile bins, thin ones pooled."""
    old, new = pooled(*_numeric_counts(reference, current))
    return old / old.sum(), new / new.sum()


def _numeric_counts(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    old, new = (
        np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
        for values in (reference, current)
    )
    return old, new


def pooled(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts with neighbouring bins added up until each may expect ``ROWS_A_BIN`` rows.

    The expectation is that of the smaller sample if both came from one distribution. However
    many categories there are, at most ``MOST_BINS`` bins are left.
    """
    rows = min(old.sum(), new.sum())
    smaller = rows / (old.sum() + new.sum())
    enough = max(ROWS_A_BIN, rows / MOST_BINS)
    groups, group, expected = [], 0, 0.0
    for both in old + new:
        expected += both * smaller
        groups.append(group)
        if expected >= enough:
            group, expected = group + 1, 0.0
    last = max(0, group - 1)  # what is left over at the end joins the last full bin
    index = np.minimum(groups, last)
    return np.bincount(index, weights=old), np.bincount(index, weights=new)


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


def _psi(name: str, old: np.ndarray, new: np.ndarray, level: float) -> DriftRow:
    from scipy.stats import chi2

    old, new = pooled(old, new)
    n, m = int(old.sum()), int(new.sum())
    chance = (1 / n + 1 / m) * float(chi2.ppf(1 - level, max(1, len(old) - 1)))
    return _row(name, "psi", psi(old / n, new / m, n, m), chance, m)


def _ks(name: str, old: np.ndarray, new: np.ndarray, level: float) -> DriftRow:
    n, m = len(old), len(new)
    chance = float(np.sqrt(-np.log(level / 2) / 2 * (n + m) / (n * m)))
    return _row(name, "ks", ks(old, new), chance, m)


def _missing(name: str, old: pd.Series, new: pd.Series, level: float) -> DriftRow:
    from scipy.stats import hypergeom

    before, now = int(old.isna().sum()), int(new.isna().sum())
    n, m = len(old), len(new)
    apart = now / m - before / n
    # Given how many are missing in both, how many of them fall into one sample is a draw of lots.
    tail = 1 - level / 2 if apart > 0 else level / 2
    bound = float(hypergeom.ppf(tail, n + m, before + now, m))
    chance = abs(bound / m - (before + now - bound) / n)
    return _row(name, "missing_share", abs(apart), chance, m)


def _new_categories(name: str, old: np.ndarray, new: np.ndarray, level: float) -> DriftRow:
    from scipy.stats import binom, norm

    n, m = int(old.sum()), int(new.sum())
    once, twice = int((old == 1).sum()), int((old == 2).sum())
    spread = float(norm.ppf(1 - level)) * np.sqrt(once + 2 * twice)
    unseen = min(1.0, (once + spread - np.log(level)) / n)
    chance = float(binom.ppf(1 - level, m, unseen)) / m
    return _row(name, "new_category_share", float(new[old == 0].sum()) / m, chance, m)


def _row(name: str, statistic: str, value: float, chance: float, rows: int) -> DriftRow:
    threshold = max(chance, SMALLEST_EFFECT[statistic])
    verdict: Verdict = "drift" if value > threshold else "ok"
    return DriftRow(name, statistic, value, threshold, rows, verdict)
