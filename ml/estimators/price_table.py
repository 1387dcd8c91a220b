"""Elasticities of groups as published: pooled, with intervals, or refused with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from ml.estimators.shrinkage import pool

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Label = tuple[Any, ...]
#: Intervals are this much wider than the sampling error says: prices hold some billing mistakes,
#: and the spread between groups is itself estimated. Set on simulated firms (seeds 1 to 10).
_CAUTION = 1.15


@dataclass(frozen=True)
class Rules:
    """Coverage of the intervals, and the least evidence of a group."""

    coverage: float
    least_rows: int
    least_price_spread: float
    widest: float

    def reason(self, rows: int, spread: float, low: float, high: float) -> str:
        """Why a group gets no answer, empty where it gets one."""
        if rows < self.least_rows:
            return f"only {rows} purchases to compare; {self.least_rows} are needed"
        if spread < self.least_price_spread:
            return (
                f"the price hardly changes: {spread:.1%} once the controls are taken out, "
                f"{self.least_price_spread:.1%} is needed"
            )
        if not np.isfinite(low):
            return "the price cannot be told apart from the controls"
        if high - low > self.widest:
            return f"the interval {low:.2f} to {high:.2f} is too wide to act on"
        if high >= 0:
            return f"the interval {low:.2f} to {high:.2f} does not exclude that price has no effect"
        return ""


def elasticity_table(
    rules: Rules,
    slopes: Floats,
    covariance: Floats,
    spread: Floats,
    counts: Ints,
    labels: Sequence[Label],
) -> tuple[pd.DataFrame, tuple[float, float, float] | None]:
    """One row a group, in order, and the elasticity of all with its interval (None without any).

    ``slopes`` (groups,) as estimated, with their ``covariance``; ``spread``: deviation of log price
    that the controls leave; ``counts``: rows. Columns: elasticity, low, high, status, reason, rows,
    price_spread, raw, raw_error.
    """
    error = np.sqrt(np.diag(covariance))
    enough = (counts >= rules.least_rows) & (spread >= rules.least_price_spread)
    # One purchase that the controls leave free is met exactly: no error is no certainty.
    enough &= np.isfinite(slopes) & (error > 1e-6)
    wide = ndtri(0.5 + rules.coverage / 2)
    mean, deviation = np.full((2, len(slopes)), np.nan)
    overall = None
    if enough.any():
        codes = [
            pd.factorize(pd.Series([label[part] for label in labels]))[0][enough]
            for part in range(len(labels[0]))
        ]
        pooled = pool(slopes[enough], covariance[np.ix_(enough, enough)], codes)
        mean[enough], deviation[enough] = pooled.mean, _CAUTION * pooled.deviation
        reach = wide * _CAUTION * pooled.centre_deviation
        overall = (pooled.centre, pooled.centre - reach, pooled.centre + reach)
    low, high = mean - wide * deviation, mean + wide * deviation
    reasons = [
        rules.reason(int(counts[g]), float(spread[g]), float(low[g]), float(high[g]))
        for g in range(len(slopes))
    ]
    table = pd.DataFrame(
        {
            "elasticity": mean,
            "low": low,
            "high": high,
            "status": ["thin_evidence" if reason else "ok" for reason in reasons],
            "reason": reasons,
            "rows": counts,
            "price_spread": spread,
            "raw": slopes,
            "raw_error": error,
        }
    )
    return table, overall
