"""Media mix: what each channel brought, and how a total is split best over the channels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.estimators.allocation import Bounds, bounds_in_cents, split, to_cents
from ml.estimators.media_base import BaseDesign
from ml.estimators.media_chain import Priors, steady_before
from ml.estimators.media_curves import mixed_slopes
from ml.estimators.media_input import check_amounts, checked
from ml.estimators.media_posterior import Draws, effects, mean_effects, sample, steady
from ml.estimators.media_store import load_arrays, save_arrays
from ml.estimators.media_tuning import autocorrelation, rough_media, tune

Floats = NDArray[np.float64]
_PARAMETERS = (
    *("trend", "season", "carry_over", "max_order", "media_share"),
    *("coverage", "draws", "sweeps", "seed"),
)


class MediaMix:
    """Outcome = base (level, trend, season, controls) + carried-over, saturating channel effects.

    Parameters: ``trend`` and ``season`` of the base; ``carry_over`` false for rows that are no
    time series (markets); ``max_order`` of the carry-over (higher: acts later); ``media_share``
    of the outcome that media bring a priori; ``coverage`` of the intervals; ``draws`` kept of the
    posterior; ``sweeps`` of the sampler; ``seed``.

    After ``fit``: ``channels_``; ``contributions_`` (index channel; total, low, high, share: the
    outcome that the channel brought over the fitted periods); ``contributions_by_period_``
    (periods x channels); ``current_`` mean spend a period over the last quarter of a year;
    ``marginal_return_`` outcome of one more unit of money a period there, kept up (Series);
    ``evidence_`` (Series: ``ok``, or why a channel's figures are thin).
    """

    def __init__(
        self,
        *,
        trend: bool = True,
        season: bool = True,
        carry_over: bool = True,
        max_order: int = 3,
        media_share: float = 0.35,
        coverage: float = 0.8,
        draws: int = 300,
        sweeps: int = 3000,
        seed: int = 0,
    ) -> None:
        self.trend, self.season, self.carry_over = trend, season, carry_over
        self.max_order, self.coverage = max_order, coverage
        self.media_share = media_share
        self.draws, self.sweeps, self.seed = draws, sweeps, seed

    def fit(
        self, spend: pd.DataFrame, outcome: pd.Series, controls: pd.DataFrame | None = None
    ) -> MediaMix:
        """Learn from spend (periods x channels, money, >= 0), outcome (periods,) and controls.

        Rows are periods in order of time, of equal spacing; a DatetimeIndex on ``spend`` gives
        the season. ``outcome`` and ``controls`` are matched by position. Raises ValueError for
        missing, negative or too few values.
        """
        y = checked(spend, outcome, controls)
        self.channels_ = [str(name) for name in spend.columns]
        self.history_ = spend.astype(np.float64).set_axis(self.channels_, axis=1)
        self.mean_outcome_ = float(y.mean())
        self.base_ = BaseDesign.fit(spend.index, controls, trend=self.trend, season=self.season)
        self.active_ = [name for name in self.channels_ if (self.history_[name] > 0).any()]
        money = self.history_[self.active_].to_numpy()
        base, groups = self.base_.matrix(spend.index, controls)
        spread = float(y.std()) or 1.0
        priors = Priors(
            size=self._prior_sizes(money, max(abs(self.mean_outcome_), spread) / spread),
            max_order=self.max_order,
            carry=self.carry_over,
        )
        # A first short look finds the media's rough part, so that neither the base nor the
        # noise's autocorrelation is tuned on what is theirs.
        rough = rough_media(money, self.carry_over)
        skip = len(y) // 12 if self.carry_over else 0
        penalty, _ = tune(y[skip:] / spread, base[skip:], groups, rough[skip:])
        first = sample(
            money, y / spread, base, penalty, groups, 0.0, priors,
            skip=skip, sweeps=self.sweeps // 4, keep=60, seed=self.seed,
        )  # fmt: skip
        seen = mean_effects(first, money)
        penalty, residual = tune(y[skip:] / spread, base[skip:], groups, seen[skip:])
        self.rho_ = autocorrelation(residual) if self.carry_over else 0.0
        drawn = sample(
            money, y / spread, base, penalty, groups, self.rho_, priors,
            skip=skip, sweeps=self.sweeps, keep=self.draws, seed=self.seed,
        )  # fmt: skip
        self.draws_ = Draws(
            size=drawn.size * spread,
            amplitude=drawn.amplitude * spread,
            decay=drawn.decay,
            order=drawn.order,
            scale=drawn.scale,
            family=drawn.family,
            base=drawn.base * spread,
            sigma=drawn.sigma * spread,
        )
        self._summarise()
        return self

    def _prior_sizes(self, money: Floats, outcome: float) -> Floats:
        """Prior scale of each channel's effect: between equal sizes and equal returns."""
        share = np.sqrt(money.mean(axis=0))
        return np.asarray(self.media_share * outcome / 0.8 * share / share.sum())

    def _summarise(self) -> None:
        periods = len(self.history_)
        tail = (1 - self.coverage) / 2
        rows, by_period, evidence = [], {}, {}
        for name in self.channels_:
            effect = self._effects(name, self.history_[name].to_numpy())
            totals = effect.sum(axis=1)
            low, high = np.quantile(totals, [tail, 1 - tail])
            total = float(totals.mean())
            rows.append((total, float(low), float(high)))
            by_period[name] = effect.mean(axis=0)
            evidence[name] = _evidence(name in self.active_, total, float(high - low))
        table = pd.DataFrame(rows, columns=["total", "low", "high"], index=self.channels_)
        table.index.name = "channel"
        table["share"] = table["total"] / (self.mean_outcome_ * periods or 1.0)
        self.contributions_ = table
        self.contributions_by_period_ = pd.DataFrame(by_period, index=self.history_.index)
        self.evidence_ = pd.Series(evidence)
        self.current_ = self.history_.tail(self._recent()).mean()
        self.marginal_return_ = self.marginal_return(self.current_)

    def _recent(self) -> int:
        """Periods in a quarter of a year, where the index has dates; else a quarter of all."""
        step = self.base_.step_days
        return max(1, round(91 / step) if step else len(self.history_) // 4)

    def _effects(self, channel: str, spend: Floats) -> Floats:
        """Effect of a channel by draw and period, (draws, periods)."""
        if channel not in self.active_:
            return np.zeros((len(self.draws_.sigma), len(spend)))
        before = steady_before(self.history_[channel].to_numpy())
        return effects(self.draws_, self.active_.index(channel), spend, before)

    def predict(self, spend: pd.DataFrame, controls: pd.DataFrame | None = None) -> pd.Series:
        """Expected outcome for these periods; spend of fitted periods before them carries over.

        Channels must be the fitted ones, in any order.
        """
        missing = [name for name in self.channels_ if name not in map(str, spend.columns)]
        if missing:
            raise ValueError(f"spend lacks the fitted channels {missing}")
        given = spend.set_axis([str(name) for name in spend.columns], axis=1)[self.channels_]
        check_amounts(given)
        matrix, _ = self.base_.matrix(spend.index, controls)
        result = matrix @ self.draws_.base.mean(axis=0)
        earlier = self.history_
        earlier = earlier[earlier.index < spend.index[0]] if self.carry_over else earlier.iloc[:0]
        for name in self.active_:
            path = np.concatenate([earlier[name].to_numpy(), given[name].to_numpy(np.float64)])
            result = result + self._effects(name, path).mean(axis=0)[len(earlier) :]
        return pd.Series(result, index=spend.index, name="expected_outcome")

    def response(self, channel: str, amounts: Any) -> pd.DataFrame:
        """Effect a period of steady spend: amount, expected, low, high, marginal_return."""
        amounts = np.asarray(amounts, dtype=np.float64)
        if channel not in self.channels_:
            raise ValueError(f"unknown channel {channel!r}; fitted are {self.channels_}")
        level, steep = self._steady(amounts[:, None], [channel])
        tail = (1 - self.coverage) / 2
        low, high = np.quantile(level[:, :, 0], [tail, 1 - tail], axis=0)
        return pd.DataFrame(
            {
                "amount": amounts,
                "expected": level.mean(axis=0)[:, 0],
                "low": low,
                "high": high,
                "marginal_return": steep.mean(axis=0)[:, 0],
            }
        )

    def _steady(self, amounts: Floats, channels: list[str]) -> tuple[Floats, Floats]:
        """Response and slope of steady spend (rows, channels), as (draws, rows, channels)."""
        places = [self.active_.index(n) if n in self.active_ else None for n in channels]
        return steady(self.draws_, amounts, places)

    def marginal_return(self, amounts: Mapping[str, float] | pd.Series) -> pd.Series:
        """Outcome of one more unit of money a period in each channel, at these amounts a period."""
        row = np.array([[float(amounts[name]) for name in self.channels_]])
        _, steep = self._steady(row, self.channels_)
        return pd.Series(steep.mean(axis=0)[0], index=self.channels_, name="marginal_return")

    def expected(self, amounts: Mapping[str, float] | pd.Series, periods: int = 1) -> float:
        """Outcome that media brings if the amounts (totals over all periods) are spent evenly."""
        row = np.array([[float(amounts[name]) for name in self.channels_]]) / periods
        level, _ = self._steady(row, self.channels_)
        return float(level.sum(axis=2).mean() * periods)

    def gain(
        self, amounts: Mapping[str, float] | pd.Series, against: Mapping[str, float], periods: int
    ) -> tuple[float, float, float]:
        """Expected difference in outcome between two splits, with its interval (low, high)."""
        rows = np.array([[float(a[name]) for name in self.channels_] for a in (amounts, against)])
        level, _ = self._steady(rows / periods, self.channels_)
        change = (level[:, 0].sum(axis=1) - level[:, 1].sum(axis=1)) * periods
        tail = (1 - self.coverage) / 2
        low, high = np.quantile(change, [tail, 1 - tail])
        return float(change.mean()), float(low), float(high)

    def allocate(self, total: float, periods: int = 1, bounds: Bounds | None = None) -> pd.Series:
        """The split of ``total`` over the channels that brings most, in money over all periods.

        Spend is even over the periods and valued with its whole carry-over (steady state). Sums
        to ``total`` to the cent. ``bounds`` maps a channel to (least, most) over all periods,
        None for open. Never worse than the current mix scaled to the total, by its own response.
        Raises InfeasibleBudgetError where no split keeps to the bounds.
        """
        if periods < 1:
            raise ValueError(f"periods is {periods}; expected 1 or more")
        cents = to_cents(total, "total")
        low, high = bounds_in_cents(self.channels_, cents, bounds)

        draws = self.draws_
        places = [self.channels_.index(name) for name in self.active_]
        steepness = draws.amplitude / draws.scale

        def slopes(amounts: Floats) -> Floats:
            load = amounts[places] / 100 / periods / draws.scale
            result = np.zeros(len(amounts))
            result[places] = (steepness * mixed_slopes(load, draws.family)).mean(axis=0)
            return result

        best = split(slopes, cents, low, high) / 100
        return pd.Series(best, index=pd.Index(self.channels_, name="channel"), name="amount")

    def save(self, folder: Path) -> None:
        """Write budget.json and budget.npz into an existing or new folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "parameters": {name: getattr(self, name) for name in _PARAMETERS},
            "channels": self.channels_,
            "active": self.active_,
            "base": self.base_.to_dict(),
            "rho": self.rho_,
            "mean_outcome": self.mean_outcome_,
            "dated": isinstance(self.history_.index, pd.DatetimeIndex),
        }
        (folder / "budget.json").write_text(json.dumps(state, indent=1, sort_keys=True))
        save_arrays(folder / "budget.npz", self.history_, self.draws_)

    @classmethod
    def load(cls, folder: Path) -> MediaMix:
        """What ``save`` wrote; predictions and splits are the same to the last bit."""
        folder = Path(folder)
        state = json.loads((folder / "budget.json").read_text())
        model = cls(**state["parameters"])
        model.channels_, model.active_ = state["channels"], state["active"]
        model.base_ = BaseDesign.from_dict(state["base"])
        model.rho_, model.mean_outcome_ = state["rho"], state["mean_outcome"]
        model.history_, model.draws_ = load_arrays(
            folder / "budget.npz", model.channels_, state["dated"]
        )
        model._summarise()
        return model


def _evidence(active: bool, total: float, width: float) -> str:
    if not active:
        return "never spent"
    if width > 1.5 * total:
        return "thin: the interval is wider than 1.5 times the contribution"
    return "ok"
