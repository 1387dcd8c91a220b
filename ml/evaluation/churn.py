"""Churn on open data: how well those who leave are told apart, and how honest the chance is."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from ml.estimators.churn import ChurnClassifier
from ml.evaluation.client_data import FOLDS, SEED, held_out, online_retail, ta_feng, telco
from ml.evaluation.result import Result
from ml.metrics import auc, brier, expected_calibration_error

_CV = f"{FOLDS} stratified folds over clients, seed {SEED}, out-of-fold predictions pooled"
_BINS = 10
_RECENCY = "days_since_purchase"


def evaluate(data: Path) -> list[Result]:
    """The figures on all three data sets; ``data`` holds their folders."""
    return [*_telco(data), *_online_retail(data), *_ta_feng(data)]


def _telco(data: Path) -> list[Result]:
    X, left = telco(data)
    chance = held_out(X, left, _fit_and_score)
    protocol = f"{_CV}; calibration inside each training part; an AUC above .87 would mean a leak"
    return [
        _auc("telco_churn", left, chance, 0.84, "logistic .8453, LightGBM small .8489", protocol),
        _brier("telco_churn", left, chance, 0.138, "LightGBM small .1337", protocol),
        _ece("telco_churn", left, chance, 0.03, protocol),
    ]


def _online_retail(data: Path) -> list[Result]:
    train = online_retail(data, date(2010, 6, 12), 90)
    test = online_retail(data, date(2010, 9, 10), 90)
    chance = _fit_and_score(train.X, train.inactive, test.X)
    recency = auc(test.inactive, test.X[_RECENCY].to_numpy())
    protocol = (
        "inactive = no line (credits count) in 90 days; fitted on as_of 2010-06-12, whose labels"
        " end on 2010-09-10; tested on as_of 2010-09-10, labels to 2010-12-09;"
        f" recency alone {recency:.3f} on the same rows"
    )
    return [
        _auc("online_retail", test.inactive, chance, 0.73, ".737 (recency .670)", protocol),
        _brier("online_retail", test.inactive, chance, None, "-", protocol),
        _ece(
            "online_retail", test.inactive, chance, None, f"{protocol}; the season shifts the rate"
        ),
    ]


def _ta_feng(data: Path) -> list[Result]:
    clients = ta_feng(data, date(2001, 1, 31), 28)
    chance = held_out(clients.X, clients.inactive, _fit_and_score)
    recency = auc(clients.inactive, clients.X[_RECENCY].to_numpy())
    protocol = (
        "inactive = no line from 2001-02-01 to 02-28; features to 2001-01-31;"
        f" {len(clients.X):,} clients; {_CV}; recency alone {recency:.3f} on the same rows"
    )
    return [
        _auc("ta_feng", clients.inactive, chance, None, ".749 (recency .656)", protocol),
        _ece("ta_feng", clients.inactive, chance, None, protocol),
    ]


def _fit_and_score(X: pd.DataFrame, y: np.ndarray, unseen: pd.DataFrame) -> np.ndarray:
    return ChurnClassifier().fit(X, y).predict_proba(unseen)[:, 1]


def _auc(
    dataset: str, y: np.ndarray, chance: np.ndarray, floor: float | None, known: str, protocol: str
) -> Result:
    return Result(dataset, "churn", "auc", auc(y, chance), floor, known, protocol)


def _brier(
    dataset: str, y: np.ndarray, chance: np.ndarray, floor: float | None, known: str, protocol: str
) -> Result:
    error = brier(y, chance)
    return Result(dataset, "churn", "brier", error, floor, known, protocol, higher_is_better=False)


def _ece(
    dataset: str, y: np.ndarray, chance: np.ndarray, floor: float | None, protocol: str
) -> Result:
    error = expected_calibration_error(y, chance, _BINS)
    how = f"{protocol}; {_BINS} bins of equal size"
    return Result(dataset, "churn", "ece", error, floor, "-", how, higher_is_better=False)
