"""Questions that cannot be answered are refused in words that point at the value at fault."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.models.parts import ClientQuery
from ml.serving.base import Asked, QueryError
from tests.serving.cases import comparable
from tests.serving.conftest import SPECS, Learned


def test_a_client_nobody_knows_needs_features(learned: Learned) -> None:
    error = learned(SPECS["churn"]).refused(client_id="nobody")
    assert error.pointer == "/client_id"
    assert "give features" in str(error)


def test_a_text_is_no_number(learned: Learned) -> None:
    case = learned(SPECS["churn"])
    error = case.refused(client_id=case.rows[0]["client_id"], features={"revenue_90d": "12"})
    assert error.pointer == "/features/revenue_90d"
    assert "is a number, got '12'" in str(error)


@pytest.mark.parametrize("value", [3, 1.5, True])
def test_a_category_must_be_a_text(learned: Learned, value: Any) -> None:
    case = learned(SPECS["churn"])
    encoder: Any = case.serving.estimator.encoder_
    name = next(iter(encoder.categories))
    error = case.refused(features={name: value})
    assert error.pointer == f"/features/{name}"
    assert "is a text" in str(error)


def test_unknown_features_are_named_and_pointed_at(learned: Learned) -> None:
    error = learned(SPECS["profitability"]).refused(features={"a/b~c": 1, "zzz": 2})
    assert "unknown features ['a/b~c', 'zzz']" in str(error)
    assert error.pointer == "/features/a~1b~0c"


MOST = 10**12
"""What a query lets through."""
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-MOST, MOST),
    st.floats(-MOST, MOST),
    st.text(max_size=20),
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_features_are_given_the_answer_is_finite_or_a_refusal(
    learned: Learned, data: Any
) -> None:
    case = learned(SPECS[data.draw(st.sampled_from(["churn", "profitability"]))])
    columns = list(case.serving.estimator.encoder_.columns)
    names = st.one_of(st.sampled_from(columns), st.text(max_size=8))
    features = data.draw(st.dictionaries(names, SCALARS, min_size=1, max_size=5))
    known = data.draw(st.sampled_from([None, *sorted(case.stored)]))
    query = ClientQuery(client_id=known, features=features)
    asked = Asked(query, case.stored.get(known or ""), case.day)
    try:
        answer = case.serving.answer(asked)
    except QueryError as error:
        named = error.pointer.removeprefix("/features/").replace("~1", "/").replace("~0", "~")
        assert named in features
        return
    decision = comparable(answer.decisions[0])
    case.method.spec.Decision.model_validate({**decision, "reasons": None})
    json.dumps(answer.decisions[0], allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(
    prices=st.lists(st.floats(0, 1e9, exclude_min=True), max_size=4),
    unit_cost=st.none() | st.floats(0, 1e9),
    max_change=st.none() | st.floats(0, 1, exclude_min=True),
    min_price=st.none() | st.floats(0, 1e9, exclude_min=True),
)
def test_whatever_prices_are_asked_about_the_answer_is_finite_or_a_refusal(
    learned: Learned,
    prices: list[float],
    unit_cost: float | None,
    max_change: float | None,
    min_price: float | None,
) -> None:
    case = learned(SPECS["pricing"])
    for row in case.rows[:3]:
        asked = case.asked(
            service_id=row["service_id"],
            segment=row["segment"],
            prices=prices,
            unit_cost=unit_cost,
            max_change=max_change,
            min_price=min_price,
        )
        try:
            answer = case.serving.answer(asked)
        except QueryError as error:
            assert error.pointer.startswith("/prices")  # noqa: PT017
            continue
        json.dumps([answer.decisions, answer.detail], allow_nan=False)


def test_a_service_never_sold_has_no_current_price(learned: Learned) -> None:
    error = learned(SPECS["pricing"]).refused(service_id="nothing")
    assert error.pointer == "/service_id"
    assert "its current price is unknown" in str(error)


@pytest.mark.parametrize(
    ("observed_at", "says"),
    [
        ("yesterday", "ISO 8601"),
        ("2026-06-30T12:00:00+02:00", "without a zone"),
        ("0001-01-01", "between 1900 and 2200"),
    ],
)
def test_an_observation_has_a_local_time(learned: Learned, observed_at: str, says: str) -> None:
    given_ = [
        {"observed_at": "2026-06-29", "value": 1.0},
        {"observed_at": observed_at, "value": 1.0},
    ]
    error = learned(SPECS["anomaly"]).refused(observations=given_)
    assert error.pointer == "/observations/1/observed_at"
    assert says in str(error)


def test_observations_must_ascend_and_be_there(learned: Learned) -> None:
    case = learned(SPECS["anomaly"])
    given_ = [{"observed_at": f"2026-06-{day}", "value": 1.0} for day in (20, 10, 5, 2)]
    with pytest.raises(ValueError, match="8 characters"):
        case.asked(observations=[{"observed_at": "", "value": 1.0}])
    assert case.refused(observations=[]).pointer == "/observations"
    late = [{"observed_at": f"2026-06-{day:02d}", "value": 1.0} for day in (20, 10, 5, 2)]
    error = case.refused(observations=late)
    assert error.pointer == "/observations"
    assert "must ascend" in str(error)
    assert case.refused(series_id="nothing", observations=given_[:1]).pointer == "/series_id"


def test_features_must_be_those_of_a_row(learned: Learned) -> None:
    case = learned(SPECS["anomaly"])
    assert case.refused(features={"price_own": 1.0}).pointer == "/features"
    for wrong in (None, "1"):
        error = case.refused(features={"price_own": 1.0, "quantity_own": wrong})
        assert error.pointer == "/features/quantity_own"


@settings(max_examples=100, deadline=None)
@given(st.floats(-MOST, MOST), st.floats(-MOST, MOST))
def test_any_deviation_has_a_finite_score(learned: Learned, price: float, quantity: float) -> None:
    answer = learned(SPECS["anomaly"]).answer(
        features={"price_own": price, "quantity_own": quantity}
    )
    decision = answer.decisions[0]
    assert 0 <= decision["score"] <= 1
    assert all(math.isfinite(reason["contribution"]) for reason in decision["reasons"])


def test_a_budget_says_which_bound_or_total_is_at_fault(learned: Learned) -> None:
    case = learned(SPECS["budget"])
    channel = case.rows[0]["channel"]
    assert case.refused(total=100, bounds={"a/b": {"low": 1}}).pointer == "/bounds/a~1b"
    assert case.refused(total=100, bounds={channel: {"low": 200}}).pointer == "/bounds"
    assert case.refused(total=100.001).pointer == "/total"
    assert case.refused(total=100, bounds={channel: {"low": 0.001}}).pointer == "/bounds"


def test_demand_needs_a_series_it_knows_or_a_history_it_can_read(learned: Learned) -> None:
    case = learned(SPECS["demand"])
    assert case.refused(series_id="nothing").pointer == "/series_id"
    two = [{"observed_at": f"2026-06-{day}", "value": 1.0} for day in (10, 11)]
    assert case.refused(history=[two[0], two[0]]).pointer == "/history"
    wrong = [*two, {"observed_at": "tomorrow", "value": 1.0}]
    assert case.refused(history=wrong).pointer == "/history/2/observed_at"


def test_a_day_that_is_none_is_pointed_at(learned: Learned) -> None:
    case = learned(SPECS["revenue_leak"])
    line = {
        "client_id": "C1",
        "service_id": "S1",
        "issued_on": "2026-06-01",
        "quantity": 1,
        "unit_price": 5,
    }
    assert case.refused(line={**line, "issued_on": "sometime"}).pointer == "/line/issued_on"
    rate = {"service_id": "S1", "valid_from": "one day soon", "unit_price": 5}
    assert case.refused(line=line, rates=[rate]).pointer == "/rates/0/valid_from"
