"""Budget: what each channel brings per period of its own spend frequency, and the best split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml.methods.media_data import MediaPanel, media_panel
from ml.methods.method import (
    Comparison,
    Frames,
    Judged,
    Method,
    Value,
)
from ml.refusals import NotEnoughDataError
from ml.serving.budget import ALL_CHANNELS

if TYPE_CHECKING:
    from ml.estimators.allocation import Bounds
    from warehouse.snapshot import Snapshot

LEAST_PERIODS = 40
"""24 to fit, and as many again as a judged quarter needs beside them."""


class FittedBudget:
    """A media mix with what its panel was about."""

    def __init__(self, mix: Any, facts: Mapping[str, Any]) -> None:
        self.mix = mix
        self.facts = dict(facts)

    def save(self, folder: Path) -> None:
        """The mix's files and ``facts.json``."""
        self.mix.save(folder)
        (folder / "facts.json").write_text(json.dumps(self.facts, indent=2) + "\n")


class BudgetMethod(Method):
    """Contributions with carry-over and saturation; a split within bounds around today's."""

    def learn(self, data: Snapshot, as_of: date) -> FittedBudget:
        panel = self._panel(data, as_of)
        mix = self.spec.estimator_class()()
        mix.fit(panel.spend, panel.outcome, panel.controls)
        return FittedBudget(
            mix,
            {
                "outcome": panel.outcome_name,
                "controls": panel.control_names,
                "frequency": panel.frequency,
                "periods_a_year": panel.periods_a_year,
            },
        )

    def load(self, folder: Path) -> FittedBudget:
        mix = self.spec.estimator_class().load(folder)
        return FittedBudget(mix, json.loads((folder / "facts.json").read_text()))

    def inputs(self, data: Snapshot, days: Sequence[date]) -> dict[date, Frames]:
        found: dict[date, Frames] = {}
        for day in days:
            panel = media_panel(data, day, self.settings.budget_outcome)
            found[day] = {"spend": panel.spend}
        return found

    def decide(self, fitted: FittedBudget, inputs: Frames, day: date, reasons: str) -> pd.DataFrame:
        mix = fitted.mix
        spend = inputs["spend"].reindex(columns=mix.channels_, fill_value=0.0)
        current = current_amounts(spend)
        total = round(float(current.sum()), 2)
        shift = self.settings.max_budget_shift
        bounds = {
            channel: (round(amount * (1 - shift), 2), round(amount * (1 + shift) + 0.01, 2))
            for channel, amount in plain(current).items()
        }
        return split(fitted, current, total, 1, bounds)

    def backtest(
        self, data: Snapshot, as_of: date, fitted: Any = None, after: date | None = None
    ) -> Judged | None:
        panel = self._panel(data, as_of)
        quarter = max(4, round(panel.periods_a_year / 4))
        cut = len(panel.spend) - min(quarter, len(panel.spend) // 4)
        first = panel.spend.index[cut] - pd.Timedelta(days=1)
        if after is not None and after >= first.date():
            later = panel.spend.index[panel.spend.index > pd.Timestamp(after)]
            if len(later) < 4:
                return None
            cut = len(panel.spend) - len(later)
        model = fitted or self.learn(data, (panel.spend.index[cut] - timedelta(days=1)).date())
        return Judged(self._judged(model, panel, cut, as_of), "last quarter of the periods")

    def judge(
        self, fitted: Any, data: Snapshot, decisions: pd.DataFrame, through: date
    ) -> Judged | None:
        panel = self._panel(data, through)
        later = panel.spend.index[panel.spend.index > pd.Timestamp(decisions["as_of"].min())]
        if len(later) < 4:
            return None
        cut = len(panel.spend) - len(later)
        return Judged(self._judged(fitted, panel, cut, through), "periods after the decisions")

    def compare(self, judged: Judged) -> Comparison:
        frame = judged.frame
        errors = {
            name: float(np.sqrt(((frame["outcome"] - frame[name]) ** 2).mean()))
            for name in ("expected", "baseline")
        }
        return Comparison(
            ours={"rmse": errors["expected"]},
            baseline={"rmse": errors["baseline"]},
            rows=len(frame),
            basis=judged.basis,
        )

    def value(self, judged: Judged) -> Value:
        """Gain of the recommended split over the one spent, at equal spend, times margin rate."""
        rate = self.settings.margin_rate
        gain, low, high = (
            rate * float(judged.frame[name].iloc[0]) for name in ("gain", "gain_low", "gain_high")
        )
        return Value(
            amount=gain,
            baseline_amount=0.0,
            low=low,
            high=high,
            assumptions={
                "margin_rate": rate,
                "max_budget_shift": self.settings.max_budget_shift,
                "periods": len(judged.frame),
                "measured_by": "the model's own response to the split, on the judged periods",
            },
        )

    def online(self, inputs: Frames, decisions: pd.DataFrame) -> pd.DataFrame:
        current = plain(current_amounts(inputs["spend"]))
        # A mean over other channels beside it may differ in its last bit: those decided on win.
        current |= plain(decisions.set_index("channel")["current_amount"])
        return pd.DataFrame({"entity": [ALL_CHANNELS], "features": [{"current_amounts": current}]})

    def monitored(self, inputs: Frames) -> pd.DataFrame:
        return inputs["spend"].reset_index(drop=True)

    def _panel(self, data: Snapshot, as_of: date) -> MediaPanel:
        panel = media_panel(data, as_of, self.settings.budget_outcome)
        if len(panel.spend) < LEAST_PERIODS:
            raise NotEnoughDataError(
                f"{self.spec.title} needs at least {LEAST_PERIODS} periods of spend and outcome,"
                f" there are {len(panel.spend)} ({panel.frequency}) up to {as_of}"
            )
        return panel

    def _judged(
        self, fitted: FittedBudget, panel: MediaPanel, cut: int, as_of: date
    ) -> pd.DataFrame:
        mix = fitted.mix
        spend = panel.spend.iloc[cut:].reindex(columns=mix.channels_, fill_value=0.0)
        controls = None if panel.controls is None else panel.controls.iloc[cut:]
        spent = spend.sum()
        shift = self.settings.max_budget_shift
        bounds = {
            name: (round(amount * (1 - shift), 2), round(amount * (1 + shift) + 0.01, 2))
            for name, amount in spent.items()
        }
        best = mix.allocate(round(float(spent.sum()), 2), len(spend), bounds)
        gain, low, high = mix.gain(best, spent, len(spend))
        return pd.DataFrame(
            {
                "as_of": [stamp.date() for stamp in spend.index],
                "outcome": panel.outcome.iloc[cut:].to_numpy(),
                "expected": mix.predict(spend, controls).to_numpy(),
                "baseline": _without_media(panel, cut),
                "gain": gain,
                "gain_low": low,
                "gain_high": high,
            }
        )


def split(
    fitted: FittedBudget,
    current: Mapping[str, float] | pd.Series,
    total: float,
    periods: int,
    bounds: Bounds | None,
) -> pd.DataFrame:
    """One decision a channel: the best split of ``total`` over so many periods.

    ``current`` has what each channel gets a period now. Raises InfeasibleBudgetError where no
    split keeps to the bounds, ValueError on an amount that is none.
    """
    mix = fitted.mix
    best = mix.allocate(total, periods, bounds)
    now = np.array([float(current[name]) for name in mix.channels_])
    return pd.DataFrame(
        {
            "channel": mix.channels_,
            "current_amount": now * periods,
            "recommended_amount": best.reindex(mix.channels_).to_numpy(),
            **{name: values.to_numpy() for name, values in _yearly(fitted).items()},
            "marginal_return": mix.marginal_return(current).reindex(mix.channels_).to_numpy(),
        }
    )


def plain(values: pd.Series) -> dict[str, float]:
    """Numbers by name."""
    return {str(name): float(value) for name, value in values.items()}


def _yearly(fitted: FittedBudget) -> dict[str, pd.Series]:
    """Contribution of the last year by channel, and the whole interval's share of it."""
    mix = fitted.mix
    year = mix.contributions_by_period_.tail(round(fitted.facts["periods_a_year"])).sum()
    whole = mix.contributions_
    share = (year / whole["total"].replace(0.0, np.nan)).fillna(0.0)
    columns = {
        "contribution": year,
        "contribution_low": whole["low"] * share,
        "contribution_high": whole["high"] * share,
    }
    return {name: values.reindex(mix.channels_) for name, values in columns.items()}


def current_amounts(spend: pd.DataFrame) -> pd.Series:
    """Mean spend a period over the last quarter of a year."""
    days = np.diff(spend.index.to_numpy()) / np.timedelta64(1, "D")
    periods = max(1, round(91 / float(np.median(days)))) if len(days) else 1
    return spend.tail(periods).mean()


def _without_media(panel: MediaPanel, cut: int) -> np.ndarray:
    """The same base (trend, season, controls) by ridge regression, media left out."""
    from ml.estimators.media_base import BaseDesign

    seen, later = panel.spend.index[:cut], panel.spend.index[cut:]
    controls = panel.controls
    base = BaseDesign.fit(
        seen, None if controls is None else controls.iloc[:cut], trend=True, season=True
    )
    matrix, _ = base.matrix(seen, None if controls is None else controls.iloc[:cut])
    y = panel.outcome.iloc[:cut].to_numpy()
    ridge = 1e-2 * np.eye(matrix.shape[1])
    weights = np.linalg.solve(matrix.T @ matrix + ridge, matrix.T @ y)
    ahead, _ = base.matrix(later, None if controls is None else controls.iloc[cut:])
    expected: np.ndarray = ahead @ weights
    return expected
