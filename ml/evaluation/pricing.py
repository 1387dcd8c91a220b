"""Pricing on open data: the known elasticity of orange juice, and who buys which at what price."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ml.estimators.folds import stratified_folds
from ml.estimators.pricing import PriceResponse, WinProbability
from ml.evaluation.result import Result
from ml.evaluation.sets import read_csv

_FOLDS, _SEED = 5, 0
_PUBLISHED_ELASTICITY = -3.14
_OTHER_COLUMNS = ("WeekofPurchase", "StoreID", "SpecialCH", "SpecialMM", "LoyalCH", "SalePriceMM")
_PRICE = "SalePriceCH"


def evaluate(data: Path) -> list[Result]:
    """The figures on both data sets; ``data`` holds their folders."""
    return [*_dominicks(read_csv(data, "dominicks_oj/oj.csv")), *_purchase(data)]


def _dominicks(rows: pd.DataFrame) -> list[Result]:
    brand = PriceResponse().fit(rows["price"], rows["sales"], rows[["brand"]])
    feat = rows[["brand", "feat"]].astype({"feat": str})
    featured = PriceResponse().fit(rows["price"], rows["sales"], feat)
    elasticity, (low, high) = brand.elasticity_, brand.elasticity_interval_
    stated = (
        f"log sales on log price, {len(rows):,} rows, in sample as published; elasticity "
        f"{elasticity:.3f}, 80 % interval {low:.3f} to {high:.3f} (HC3)"
    )
    return [
        Result(
            dataset="dominicks_oj",
            model="pricing",
            metric="abs deviation from -3.14",
            ours=abs(elasticity - _PUBLISHED_ELASTICITY),
            floor=0.10,
            published="-3.14 (Taddy), -3.139 reproduced",
            protocol=f"controls: brand alone; {stated}",
            higher_is_better=False,
        ),
        Result(
            dataset="dominicks_oj",
            model="pricing",
            metric="elasticity with feat",
            ours=float(featured.elasticity_),
            floor=None,
            published="-1.99 to -3.57 by brand and feat (Taddy)",
            protocol=f"controls: brand, feat (featured that week); {len(rows):,} rows, in sample",
            higher_is_better=False,
        ),
    ]


def _purchase(data: Path) -> list[Result]:
    from sklearn.metrics import log_loss, roc_auc_score

    rows = read_csv(data, "oj_purchase/oj_purchase.csv")
    X = rows[[*_OTHER_COLUMNS, _PRICE]].astype({"StoreID": str})
    bought = (rows["Purchase"] == "CH").to_numpy(np.int64)
    folds = stratified_folds(bought.astype(np.float64), np.arange(len(rows)), _FOLDS, _SEED)
    chance = np.empty(len(rows))
    for fold in range(_FOLDS):
        held = folds == fold
        model = WinProbability(seed=_SEED).fit(X[~held], bought[~held], price=_PRICE)
        chance[held] = model.predict_proba(X[held])[:, 1]
    protocol = (
        f"won = bought CH; price = {_PRICE}, monotone; beside it {', '.join(_OTHER_COLUMNS)}, no "
        f"column computed from the price; {_FOLDS} stratified folds, seed {_SEED}, out-of-fold "
        "predictions pooled; blend and calibration inside each training part"
    )

    def result(metric: str, ours: float, floor: float | None, published: str) -> Result:
        higher = metric == "AUC"
        return Result("oj_purchase", "pricing", metric, ours, floor, published, protocol, higher)

    return [
        result("AUC", float(roc_auc_score(bought, chance)), 0.89, ".898 (prices only .661)"),
        result("log loss", float(log_loss(bought, chance)), None, ".390"),
        result("error", float(((chance >= 0.5) != bought).mean()), None, ".172 (ISLR .15-.19)"),
    ]
