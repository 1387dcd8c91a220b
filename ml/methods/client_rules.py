"""From what an estimator says of clients to the columns of their decisions, in numpy alone.

Batch scoring and on-demand answers both go through these functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ml.estimators.churn import ChurnClassifier
from ml.estimators.profitability import MarginRegressor, ends
from ml.estimators.tabular import TabularEncoder

HIGH_RISK = 0.2
COVERAGE = 0.8
HORIZON_OF_USUAL = 90
"""Days of the margin at risk; that of a usual quarter is a quarter of the year's."""
YEAR_COLUMNS = ("margin_365d", "revenue_365d")
_BANDS = np.array(["low", "medium", "high"], dtype=object)


def churn_columns(
    estimator: ChurnClassifier, facts: Mapping[str, Any], matrix: np.ndarray
) -> dict[str, np.ndarray]:
    """churn_probability, risk_band and margin_at_risk, (rows,) each, of an encoded matrix."""
    probability = estimator.probability(matrix)
    base = facts["base_rate"]
    bounds = [base, max(2 * base, HIGH_RISK)]
    return {
        "churn_probability": probability,
        "risk_band": _BANDS[np.searchsorted(bounds, probability, side="right")],
        "margin_at_risk": probability * usual_margin(estimator.encoder_, matrix),
    }


def margin_columns(
    estimator: MarginRegressor, facts: Mapping[str, Any], matrix: np.ndarray
) -> dict[str, np.ndarray]:
    """expected_margin, margin_low, margin_high and basis, (rows,) each, of an encoded matrix."""
    expected, interval = estimator.expected(matrix, ends(COVERAGE))
    return {
        "expected_margin": expected,
        "margin_low": interval[:, 0],
        "margin_high": interval[:, 1],
        "basis": np.full(len(matrix), facts["basis"], dtype=object),
    }


def usual_margin(encoder: TabularEncoder, matrix: np.ndarray) -> np.ndarray:
    """Margin (revenue without cost) of a usual quarter, at least 0; 0 without invoice lines."""
    for name in YEAR_COLUMNS:
        if name in encoder.columns:
            year = matrix[:, encoder.columns.index(name)]
            return np.asarray(np.fmax(year, 0.0) * HORIZON_OF_USUAL / 365)  # 0 for NaN too
    return np.zeros(len(matrix))
