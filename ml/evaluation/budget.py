"""Media mix on open data: markets, a simulation with known truth, and two without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ml.estimators.budget import MediaMix
from ml.estimators.folds import stratified_folds
from ml.evaluation.result import Result
from ml.evaluation.sets import read_csv

_FOLDS, _SEED = 5, 0


def evaluate(data: Path) -> list[Result]:
    """The figures on all four data sets; ``data`` holds their folders."""
    return [*_advertising(data), *_roas(data), *_robyn(data), *_insurance(data)]


def _r2(truth: pd.Series, predicted: pd.Series) -> float:
    left = truth.to_numpy() - predicted.to_numpy()
    return 1 - float(left @ left) / float(((truth - truth.mean()) ** 2).sum())


def _advertising(data: Path) -> list[Result]:
    rows = read_csv(data, "advertising/advertising.csv")
    spend, sales = rows[["TV", "Radio", "Newspaper"]], rows["Sales"]

    def fitted(chosen: np.ndarray) -> MediaMix:
        model = MediaMix(trend=False, season=False, carry_over=False, seed=_SEED)
        return model.fit(spend[chosen], sales[chosen])

    inside = fitted(np.ones(len(rows), dtype=bool)).predict(spend)
    folds = stratified_folds(sales.to_numpy(np.float64), np.arange(len(rows)), _FOLDS, _SEED)
    outside = pd.Series(0.0, index=rows.index)
    for fold in range(_FOLDS):
        held = folds == fold
        outside[held] = fitted(~held).predict(spend[held]).to_numpy()
    shape = "200 markets, no series: no carry-over, trend or season"
    return [
        Result(
            "advertising",
            "budget",
            "R2",
            _r2(sales, inside),
            0.89,
            ".897 linear (ISLR), in sample",
            f"{shape}; in sample, as published",
        ),
        Result(
            "advertising",
            "budget",
            "R2 out of fold",
            _r2(sales, outside),
            None,
            "-",
            f"{shape}; {_FOLDS} folds spread over sales, seed {_SEED}, pooled",
        ),
    ]


def _roas(data: Path) -> list[Result]:
    rows = read_csv(data, "pymc_mmm_roas/mmm_roas_data.csv")
    rows = rows.set_index(pd.DatetimeIndex(rows["date"]))
    spend = rows[["x1", "x2"]]
    results = []
    for name, controls, floor in (("with z", rows[["z"]], 0.30), ("without z", None, None)):
        model = MediaMix(seed=_SEED).fit(spend, rows["y"], controls)
        base = "131 weeks; trend and season" + ("" if controls is None else "; control z")
        for channel, off in (("x1", "y01"), ("x2", "y02")):
            truth = float((rows["y"] - rows[off]).sum())
            found = float(model.contributions_["total"][channel])
            published = {
                "x1": "+6 % with z, +93 % without",
                "x2": "+27 % with z, +10 % without",
            }[channel]
            results.append(
                Result(
                    "pymc_mmm_roas",
                    "budget",
                    f"abs relative error of {channel}'s contribution, {name}",
                    abs(found / truth - 1),
                    floor,
                    published,
                    f"{base}; truth: sum of y - {off}, {truth:,.0f}; found {found:,.0f}; in sample",
                    higher_is_better=False,
                )
            )
    return results


def _robyn(data: Path) -> list[Result]:
    rows = read_csv(data, "robyn_simulated_weekly/dt_simulated_weekly.csv")
    rows = rows.set_index(pd.DatetimeIndex(rows["DATE"]))
    spend = rows[["tv_S", "ooh_S", "print_S", "search_S", "facebook_S"]]
    controls = rows[["competitor_sales_B", "newsletter", "events"]].fillna({"events": "na"})
    model = MediaMix(seed=_SEED).fit(spend, rows["revenue"], controls)
    predicted = model.predict(spend, controls)
    spread = float(rows["revenue"].max() - rows["revenue"].min())
    nrmse = float(np.sqrt(((rows["revenue"] - predicted) ** 2).mean())) / spread
    protocol = "208 weeks, 5 channels of spend; controls: competitor sales, newsletter, events"
    return [
        Result(
            "robyn_simulated_weekly",
            "budget",
            metric,
            ours,
            None,
            published,
            f"{protocol}; in sample, as published",
            higher_is_better=metric == "R2",
        )
        for metric, ours, published in (
            ("R2", _r2(rows["revenue"], predicted), ".85-.92 (Robyn), .924"),
            ("NRMSE", nrmse, ".05-.08 (Robyn), .0625"),
        )
    ]


def _insurance(data: Path) -> list[Result]:
    rows = read_csv(data, "insurance_quotes_tv/insurance.csv")
    rows.index = pd.DatetimeIndex(pd.to_datetime(rows["Month"], format="%Y %b"))
    spend = rows[["TVadverts"]]
    model = MediaMix(seed=_SEED).fit(spend, rows["Quotes"])
    slope = float(model.marginal_return(spend.mean())["TVadverts"])
    return [
        Result(
            "insurance_quotes_tv",
            "budget",
            "quotes of one more unit of TV",
            slope,
            None,
            "1.25 at once and .15 a month later (fpp3)",
            "40 months, no controls; slope at mean spend with its carry-over; in sample",
        )
    ]
