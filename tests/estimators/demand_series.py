"""Series whose truth is known, and a forecaster that is quick to fit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml.estimators.demand import DemandForecaster


def weekly(
    name: str = "A", weeks: int = 160, seed: int = 0, noise: float = 8.0, height: float = 40.0
) -> pd.DataFrame:
    """A yearly wave around 100, with noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(weeks)
    y = 100 + height * np.sin(2 * np.pi * t / 52.18) + noise * rng.normal(size=weeks)
    ds = pd.date_range("2023-01-02", periods=weeks, freq="W-MON")
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": np.maximum(y, 0.0)})


def quick(**settings: object) -> DemandForecaster:
    return DemandForecaster(**{"horizon": 12, "windows": 3, "prophet": False, **settings})
