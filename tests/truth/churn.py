"""Churn: how much of what can be known of leaving does the model know?

Judged as production judges a candidate: the last three month ends with a known outcome, by a
model that knew nothing after the first of them. Clients are those active in the year before who
have not ended. 2,000 of them: among 1,000 the share moves by .02 from seed to seed, by chance of
who leaves, which is as much as the line leaves room for.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml.methods.client_data import client_frame
from ml.methods.clients import KEYS, ClientMethod
from ml.metrics import auc
from tests.truth.firms import Firm, Firms
from tests.truth.lines import Figures

CLIENTS = 2000


def model(firms: Firms, seed: int) -> Figures:
    """The method as production wires it."""
    firm = firms.get(seed, CLIENTS)
    judged = firm.method("churn").backtest(firm.data, firm.end)
    assert judged is not None
    return _figures(firm, judged.frame, judged.frame["churn_probability"])


def oracle(firms: Firms, seed: int) -> Figures:
    """The true probabilities."""
    firm = firms.get(seed, CLIENTS)
    method = _method(firm)
    frame = client_frame(firm.data, method.labelled_days(firm.data, firm.end)[-3:])
    frame["outcome"] = method.label(firm.data, frame, firm.end).to_numpy()
    return _figures(firm, frame, _true(firm, frame))


def shuffled(firms: Firms, seed: int) -> Figures:
    """The estimator, trained on outcomes in another row's place."""
    firm = firms.get(seed, CLIENTS)
    method = _method(firm)
    judged = method.labelled_days(firm.data, firm.end)[-3:]
    early = client_frame(firm.data, method.labelled_days(firm.data, judged[0]))
    label = method.label(firm.data, early, judged[0])
    late = client_frame(firm.data, judged)
    late["outcome"] = method.label(firm.data, late, firm.end).to_numpy()
    drawn = np.random.default_rng(seed).permutation(label)
    estimator = method.spec.estimator_class()()
    estimator.fit(early.drop(columns=KEYS), drawn, groups=early["client_id"])
    features = late.drop(columns=[*KEYS, "outcome"])
    return _figures(firm, late, estimator.predict_proba(features)[:, 1])


def _method(firm: Firm) -> ClientMethod:
    method = firm.method("churn")
    assert isinstance(method, ClientMethod)
    return method


def _true(firm: Firm, frame: pd.DataFrame) -> np.ndarray:
    chances = np.empty(len(frame))
    for as_of, rows in frame.reset_index(drop=True).groupby("as_of"):
        chances[rows.index] = firm.oracle.churn_probability(list(rows["client_id"]), as_of)
    return chances


def _figures(firm: Firm, frame: pd.DataFrame, said: pd.Series | np.ndarray) -> Figures:
    outcome = frame["outcome"].to_numpy(dtype=float)
    ours, attainable = auc(outcome, np.asarray(said)), auc(outcome, _true(firm, frame))
    return {
        "share_of_attainable": (ours - 0.5) / (attainable - 0.5),
        "auc": ours,
        "attainable_auc": attainable,
    }
