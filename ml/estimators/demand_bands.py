"""Prediction bands from backtest errors by horizon: conformal, nested, wider further ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

_POWERS = (0.0, 0.125, 0.25, 0.375, 0.5)  # constant errors to those of a random walk


@dataclass(frozen=True)
class Bands:
    """Errors grow as horizon ** ``power``; ``errors`` are their sorted sizes at horizon 1.

    Split conformal prediction (Vovk et al. 2005) on rolling-origin errors: the half-width is
    the conformal rank of the errors, so it grows with the level and the bands are nested.
    """

    power: float
    errors: np.ndarray

    @classmethod
    def fit(cls, residuals: np.ndarray) -> Bands:
        """From signed errors by window and horizon, (windows, horizon)."""
        sizes = np.abs(residuals)
        steps = np.arange(1, sizes.shape[1] + 1, dtype=float)[None, :]
        best, power = np.inf, 0.0
        for tried in _POWERS:
            # Laplace likelihood of errors whose scale is steps ** tried.
            scaled = float((sizes / steps**tried).mean())
            score = np.log(max(scaled, 1e-300)) + tried * float(np.log(steps).mean())
            if score < best - 1e-12:
                best, power = score, tried
        return cls(power, np.sort((sizes / steps**power).ravel()))

    def half_width(self, h: int, level: float) -> np.ndarray:
        """Half the band of ``level`` percent for the horizons 1 … h, (h,)."""
        n = len(self.errors)
        share = level / 100
        rank = share * (n + 1) - 1
        if rank <= n - 1:
            size = float(np.interp(rank, np.arange(n), self.errors))
        else:
            # Beyond the largest error seen: stretched as a normal tail would.
            seen = NormalDist().inv_cdf(0.5 + n / (n + 1) / 2)
            size = float(self.errors[-1]) * NormalDist().inv_cdf(0.5 + share / 2) / seen
        return size * np.arange(1, h + 1, dtype=float) ** self.power

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"power": self.power, "errors": self.errors.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Bands:
        """The bands that ``to_dict`` described."""
        return cls(float(state["power"]), np.array(state["errors"], dtype=np.float64))
