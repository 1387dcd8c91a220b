"""Rolling-origin backtest of one series: which candidates to trust, and how far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ml.estimators import demand_prophet
from ml.estimators.demand_bands import Bands
from ml.estimators.demand_candidates import Window, costly_for, forecast, names_for
from ml.estimators.demand_grid import SHOWN

PROPHET = "prophet"
_POWER = 3.0  # weights are error ** -3, steeper than Bates and Granger's (1969) variances
_WORST = 2.0  # times the best candidate's error, beyond which a candidate has no weight
_ANCHOR = 0.2  # least weight of seasonal naive, so that far fewer series lose against it
_ANCHORED = 1.5  # times the best candidate's error, up to which seasonal naive is that anchor
_DECAY = 0.85  # how much less an origin counts than the next later one
_RETREATS = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of seasonal naive, where the mix loses against it
_LEAST_TRAIN = 4


@dataclass(frozen=True)
class SeriesModel:
    """What the backtest of one series chose: weights by candidate, bands, and its errors.

    ``mase`` and ``mase_naive`` are ours and the seasonal naive forecast's over all windows; ours
    uses in each window only weights learned from the others. NaN where there was no window.
    """

    weights: dict[str, float]
    bands: Bands
    windows: int
    horizon: int
    mase: float
    mase_naive: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self) | {"bands": self.bands.to_dict()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> SeriesModel:
        """The model that ``to_dict`` described."""
        return cls(**{**state, "bands": Bands.from_dict(state["bands"])})


@dataclass(frozen=True)
class _Tried:
    """Errors of the candidates, (candidates, windows, horizon), and MASE's scale by window."""

    names: list[str]
    errors: np.ndarray
    scale: np.ndarray


def choose(
    window: Window, horizon: int, windows: int, prophet: bool | str, seed: int
) -> SeriesModel:
    """Backtest on the last ``windows`` non-overlapping horizons that leave enough to learn from."""
    n, season = window.n, window.season_length
    if n < _LEAST_TRAIN + 1:
        spread = np.abs(np.diff(window.history.y)) if n > 1 else np.abs(window.history.y)
        bands = Bands.fit(spread[None, :])
        return SeriesModel({"seasonal_naive": 1.0}, bands, 0, 0, np.nan, np.nan)
    h = min(horizon, max(1, n // 4))
    count = _window_count(n, h, season, windows)
    tried = _try(window, h, count, prophet, seed)
    sizes = np.abs(tried.errors).mean(axis=2) / tried.scale  # (candidates, windows)
    naive = tried.names.index("seasonal_naive")
    combined = np.stack(
        [
            np.tensordot(_weights(sizes, naive, left_out=k), tried.errors[:, k], 1)
            for k in range(count)
        ]
    )
    mase_naive = float(sizes[naive].mean())
    for share in _RETREATS:
        residuals = (1 - share) * combined + share * tried.errors[naive]
        mase = float((np.abs(residuals).mean(axis=1) / tried.scale).mean())
        if mase <= mase_naive:
            break
    weights = (1 - share) * _weights(sizes, naive)
    weights[naive] += share
    kept = {name: float(w) for name, w in zip(tried.names, weights, strict=True) if w > 0}
    return SeriesModel(kept, Bands.fit(residuals), count, h, min(mase, mase_naive), mase_naive)


def combine(model: SeriesModel, window: Window, h: int, prophet_json: str | None) -> np.ndarray:
    """The weighted forecast of ``h`` periods after the window."""
    total = np.zeros(h)
    for name, weight in model.weights.items():
        if name == PROPHET:
            assert prophet_json is not None
            total += weight * demand_prophet.forecast_json(prophet_json, window, h)
        else:
            total += weight * forecast(name, window, h)
    return total


def mase_scale(y: np.ndarray, season: int) -> float:
    """Mean absolute error of the seasonal naive forecast within ``y`` (Hyndman and Koehler 2006).

    Where that is zero or undefined: the same with season 1, else the mean size of y, else 1.
    """
    for lag in (season, 1):
        if len(y) > lag:
            scale = float(np.abs(y[lag:] - y[:-lag]).mean())
            if scale > 0:
                return scale
    return float(np.abs(y).mean()) or 1.0


def _window_count(n: int, h: int, season: int, most: int) -> int:
    """As many windows as leave two seasons to learn from, else fewer, as long as they are three."""
    for least in (2 * season + 4, round(SHOWN * season) + 1, season + 1, n // 2):
        count = (n - max(least, _LEAST_TRAIN)) // h
        if count >= min(3, most):
            return min(most, count)
    return max(1, min(most, (n - _LEAST_TRAIN) // h))


def _try(window: Window, h: int, count: int, prophet: bool | str, seed: int) -> _Tried:
    n = window.n
    cuts = [n - h * k for k in range(count, 0, -1)]
    parts = [Window(window.history.until(cut), window.grid, window.season_length) for cut in cuts]
    actual = [window.history.y[cut : cut + h] for cut in cuts]
    names = names_for(parts[0])
    errors = [
        np.stack([y - forecast(name, part, h) for part, y in zip(parts, actual, strict=True)])
        for name in names
    ]
    bar = min(float(np.abs(error[-1]).mean()) for error in errors)
    extra = costly_for(parts[0]) if len(names) > 3 else []
    if prophet is not False and demand_prophet.suits(parts[0]) and len(names) > 3:
        extra = [*extra, PROPHET]

    def run(name: str, part: Window) -> np.ndarray:
        if name == PROPHET:
            return demand_prophet.forecast_json(demand_prophet.fit_json(part, seed), part, h)
        return forecast(name, part, h)

    for name in extra:
        last = actual[-1] - run(name, parts[-1])
        if float(np.abs(last).mean()) > bar and not (name == PROPHET and prophet is True):
            continue
        before = [y - run(name, part) for part, y in zip(parts[:-1], actual[:-1], strict=True)]
        names, errors = [*names, name], [*errors, np.stack([*before, last])]
    scale = np.array([mase_scale(part.history.y, window.season_length) for part in parts])
    return _Tried(names, np.stack(errors), scale)


def _weights(sizes: np.ndarray, naive: int, left_out: int | None = None) -> np.ndarray:
    """Weights from scaled mean errors, (candidates, windows) from the oldest -> (candidates,).

    ``naive`` is seasonal naive's position, which keeps its anchor where it is near the best.
    Equal weights where no window is left.
    """
    trust = _DECAY ** np.arange(sizes.shape[1], dtype=float)[::-1]
    if left_out is not None:
        trust[left_out] = 0.0
    if trust.sum() == 0:
        return np.full(len(sizes), 1 / len(sizes))
    mean = sizes @ trust / trust.sum()
    steady = mean + 0.02 * float(np.median(mean)) + 1e-9  # no candidate is right by 1 in 50
    raw = np.where(steady <= _WORST * steady.min(), steady**-_POWER, 0.0)
    weights = np.asarray(raw / raw.sum())
    if weights[naive] < _ANCHOR and steady[naive] <= _ANCHORED * steady.min():
        weights *= (1 - _ANCHOR) / (1 - weights[naive])
        weights[naive] = _ANCHOR
    return weights
