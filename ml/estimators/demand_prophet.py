"""Prophet as one more candidate: quiet, seeded, kept as JSON, only where a year shows twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd

from ml.estimators.demand_candidates import LONGEST, Window, plausible

_LEAST_ROWS = 36
_SPANS = ((8, 730), (31, 3 * 365))
"""Longest step and shortest span in days: two years of weeks or finer, three years of months."""


def suits(window: Window) -> bool:
    """Whether the history is dated and long enough for its step."""
    periods = window.history.periods
    if not isinstance(periods, pd.DatetimeIndex) or len(periods) < _LEAST_ROWS:
        return False
    step, span = (periods[-1] - periods[-2]).days, (periods[-1] - periods[0]).days
    return any(step <= longest and span >= shortest for longest, shortest in _SPANS)


def fit_json(window: Window, seed: int) -> str:
    """A fitted Prophet as its own JSON text."""
    from prophet.serialize import model_to_json

    history = window.history
    periods, y = history.periods[-2 * LONGEST :], history.y[-2 * LONGEST :]
    with _quiet():
        from prophet import Prophet

        model = Prophet(
            seasonality_mode="multiplicative" if y.min() > 0 else "additive",
            uncertainty_samples=0,  # our bands come from the backtest
        )
        model.fit(pd.DataFrame({"ds": periods, "y": y}), seed=seed)
        return str(model_to_json(model))


def forecast_json(text: str, window: Window, h: int) -> np.ndarray:
    """``h`` values after the window from the JSON text of a Prophet fitted on it."""
    with _quiet():
        from prophet.serialize import model_from_json

        ahead = window.grid.after(window.history.periods[-1], h)
        values = model_from_json(text).predict(pd.DataFrame({"ds": ahead}))["yhat"]
    return plausible(values.to_numpy(dtype=np.float64), window)


@contextmanager
def _quiet() -> Iterator[None]:
    """Prophet and cmdstanpy report each fit; the levels that others set come back afterwards."""
    loggers = [logging.getLogger(name) for name in ("prophet", "cmdstanpy")]
    before = [(logger.level, logger.disabled) for logger in loggers]
    try:
        # disabled as well, since cmdstanpy sets its own level while it is imported
        for logger in loggers:
            logger.setLevel(logging.ERROR)
            logger.disabled = True
        yield
    finally:
        for logger, (level, disabled) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.disabled = disabled
