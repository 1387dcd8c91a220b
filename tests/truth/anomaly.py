"""Anomalies: how many of the planted ones are among five alerts a day?

All subjects share the five: series, client days and lines. A year of days is judged, since few
are planted in a month, by a model that learned before it. The spec's horizon, 30 days in
production, is all that differs. Every day of a flat line counts, and the first of a level shift.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pandas as pd

from ml.estimators.alerts import alerts
from ml.methods.anomaly import AnomalyMethod
from tests.truth.firms import Firm, Firms
from tests.truth.lines import Figures
from warehouse.snapshot import Snapshot

DAYS = 365
BUDGET = 5
SUBJECT = ["subject_kind", "subject_id", "observed_at"]


def model(firms: Firms, seed: int) -> Figures:
    """The method as production wires it."""
    firm = firms.get(seed)
    return _figures(firm, _decisions(firm, firm.data))


def oracle(firms: Firms, seed: int) -> Figures:
    """The planted anomalies, at most five a day."""
    firm = firms.get(seed)
    planted = _planted(firm).assign(score=1.0)
    return _figures(firm, planted.assign(is_alert=alerts(planted, BUDGET)))


def shuffled(firms: Firms, seed: int) -> Figures:
    """The method on lines whose prices and quantities, and series whose days changed places."""
    firm = firms.get(seed)
    labels = {"invoice_lines": ["unit_price", "quantity"], "series": ["value"]}
    return _figures(firm, _decisions(firm, firm.shuffled(labels)))


def _decisions(firm: Firm, data: Snapshot) -> pd.DataFrame:
    usual = firm.method("anomaly")
    settings = usual.settings.model_copy(update={"alert_budget": BUDGET})
    method = AnomalyMethod(replace(usual.spec, horizon_days=DAYS), settings)
    fitted = method.learn(data, firm.end - dt.timedelta(days=DAYS))
    return method.decide(fitted, method.inputs(data, [firm.end])[firm.end], firm.end, "none")


def _planted(firm: Firm) -> pd.DataFrame:
    rows = firm.truth["anomalies"]
    rows = rows[rows["observed_at"] > firm.end - dt.timedelta(days=DAYS)]
    return rows.assign(observed_at=pd.to_datetime(rows["observed_at"])).reset_index(drop=True)


def _figures(firm: Firm, decided: pd.DataFrame) -> Figures:
    raised = decided.loc[decided["is_alert"], SUBJECT]
    assert raised.groupby("observed_at").size().max() <= BUDGET
    planted = _planted(firm)
    hits = planted.merge(raised, on=SUBJECT)
    return {
        "recall": len(hits) / len(planted),
        "planted": len(planted),
        "alerts_a_day": len(raised) / DAYS,
    }
