"""Drift, performance and value: what is measured again replaces, and figures may be unknown."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from warehouse.database import reading, writing
from warehouse.repositories import drift, performance, value
from warehouse.repositories.drift import OVERALL, DriftVerdict
from warehouse.repositories.performance import Performance
from warehouse.repositories.value import ModelValue

DAY = date(2025, 6, 1)
NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)


def test_a_rerun_replaces_all_drift_verdicts_of_its_day_and_version(engine: Engine) -> None:
    first = [drifted(OVERALL), drifted("recency"), drifted("tenure")]
    second = [drifted(OVERALL, verdict="ok"), drifted("recency", verdict="ok")]
    with writing(engine) as connection:
        drift.replace(connection, "churn", DAY, "churn-1", first)
        drift.replace(connection, "churn", DAY, "churn-1", second)
        assert drift.on_day(connection, "churn", DAY) == second
        drift.replace(connection, "churn", DAY, "churn-1", [])
        assert drift.newest(connection, "churn") == []


def test_overall_drift_is_listed_newest_day_first(engine: Engine) -> None:
    with writing(engine) as connection:
        for number in (1, 0, 2):
            day = DAY + timedelta(days=number)
            verdicts = [drifted(OVERALL, as_of=day), drifted("recency", as_of=day)]
            drift.replace(connection, "churn", day, "churn-1", verdicts)
    with reading(engine) as connection:
        listed = drift.overall(connection, "churn", limit=2)
        assert [one.as_of for one in listed] == [DAY + timedelta(days=2), DAY + timedelta(days=1)]
        assert {one.as_of for one in drift.newest(connection, "churn")} == {listed[0].as_of}
        assert drift.overall(connection, "demand") == []


def test_too_little_data_is_a_verdict_without_a_value(engine: Engine) -> None:
    unknown = drifted(OVERALL, verdict="insufficient_data", value=None, threshold=None)
    with writing(engine) as connection:
        drift.replace(connection, "churn", DAY, "churn-1", [unknown])
        assert drift.newest(connection, "churn") == [unknown]


def test_measuring_performance_again_replaces_it(engine: Engine) -> None:
    with writing(engine) as connection:
        performance.record_all(connection, [figure("auc", 0.7), figure("brier", 0.1)])
        performance.record_all(connection, [figure("auc", 0.8)])
        performance.record_all(connection, [figure("auc", 0.9, basis="backtest")])
        performance.record_all(connection, [])
    with reading(engine) as connection:
        auc = performance.over_time(connection, "churn", "auc")
        assert {(one.basis, one.value) for one in auc} == {("live", 0.8), ("backtest", 0.9)}
        assert len(performance.over_time(connection, "churn")) == 3


def test_a_value_measured_again_is_replaced_and_the_newest_day_is_told(
    engine: Engine,
) -> None:
    with writing(engine) as connection:
        value.write(connection, worth("churn", amount=5.0))
        value.write(connection, worth("churn", amount=20.0))
        value.write(connection, worth("churn", DAY - timedelta(days=1), amount=10.0))
        value.write(connection, worth("demand", reason="no unit cost is known"))
        newest = value.newest(connection)
        assert {name: one.amount for name, one in newest.items()} == {"churn": 20.0, "demand": None}
        assert newest["demand"].reason == "no unit cost is known"
        assert list(value.newest(connection, "churn")) == ["churn"]
        assert [one.amount for one in value.over_time(connection, "churn")] == [20.0, 10.0]


def test_a_value_has_an_amount_or_says_why_not(engine: Engine) -> None:
    with pytest.raises(IntegrityError, match="amount_or_reason"), writing(engine) as connection:
        value.write(connection, worth("churn"))


def drifted(feature: str, **changes: Any) -> DriftVerdict:
    given: dict[str, Any] = {
        "model": "churn",
        "as_of": DAY,
        "model_version": "churn-1",
        "feature": feature,
        "statistic": "psi",
        "value": 0.3,
        "threshold": 0.2,
        "rows": 500,
        "verdict": "drift",
        "decided_at": NOON,
    }
    return DriftVerdict(**given | changes)


def figure(metric: str, measured: float, basis: Any = "live") -> Performance:
    return Performance(
        model="churn",
        as_of=DAY,
        model_version="churn-1",
        metric=metric,
        basis=basis,
        value=measured,
        baseline_value=0.5,
        rows=100,
        in_sample=False,
        verdict="ok",
        measured_at=NOON,
    )


def worth(model: str, as_of: date = DAY, **figures: Any) -> ModelValue:
    return ModelValue(
        model=model,
        as_of=as_of,
        model_version="1",
        basis="backtest",
        currency="EUR",
        assumptions={"save_rate": 0.2},
        measured_at=NOON,
        **figures,
    )
