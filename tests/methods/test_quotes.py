"""Pricing from quotes alone: what is learned from offers that were taken or not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.lifecycle.workspace import Workspace
from ml.methods import quotes_data
from ml.methods.price_evidence import FittedPrices
from ml.methods.pricing import PricingMethod
from ml.models import default_registry
from ml.serving.base import Answer, Asked, QueryError
from tests.serving.asking import of_fitted
from tests.small_firm import Firm, write_csv
from warehouse.snapshot import Snapshot

LAST = dt.date(2025, 6, 30)
SLOPE = -6.0  # of the log odds with log price, for every service
COST = 80  # so dear that a higher price earns more, whatever the quotes leave open


def offers(rows: int = 2400) -> list[dict[str, object]]:
    """Two services in plenty and one hardly ever; every tenth offer of the rest stays open."""
    rng = np.random.default_rng(3)
    found: list[dict[str, object]] = []
    for number in range(rows):
        day = dt.date(2024, 1, 1) + dt.timedelta(days=int(rng.integers(0, 540)))
        service = "rare" if number % 200 == 0 else ("audit", "advice")[number % 2]
        ratio = rng.normal(0.0, 0.15)
        chance = 1 / (1 + np.exp(-(0.2 + SLOPE * ratio)))
        decided = day + dt.timedelta(days=int(rng.integers(1, 30)))
        known = decided <= LAST and number % 10 != 7
        found.append(
            {
                "quote_id": f"Q{number:05d}",
                "client_id": f"c{int(rng.integers(0, 60)):02d}",
                "service_id": service,
                "quoted_on": day,
                "quoted_price": round(100 * float(np.exp(ratio)), 2),
                "quantity": 10,
                "unit_cost": COST,
                "won": ("true" if rng.random() < chance else "false") if known else "",
                "decided_on": decided if known else "",
            }
        )
    return found


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    made = Firm(tmp_path_factory.mktemp("quotes"))
    write_csv(made.export_folder, "quotes", offers())
    workspace = made.on(LAST, registry=default_registry())
    workspace.ingest("ingest")
    yield workspace
    workspace.engine.dispose()


@pytest.fixture(scope="module")
def data(firm: Workspace) -> Snapshot:
    return firm.snapshot()


@pytest.fixture(scope="module")
def method(firm: Workspace) -> PricingMethod:
    return PricingMethod(firm.registry["pricing"], firm.ml)


@pytest.fixture(scope="module")
def fitted(method: PricingMethod, data: Snapshot) -> FittedPrices:
    return method.learn(data, LAST)


@pytest.fixture(scope="module")
def decided(method: PricingMethod, data: Snapshot, fitted: FittedPrices) -> pd.DataFrame:
    return method.decide(fitted, method.inputs(data, [LAST])[LAST], LAST, "none")


def test_an_offer_is_open_until_the_day_of_its_answer(data: Snapshot) -> None:
    day = dt.date(2025, 1, 15)
    known = quotes_data.offers(data, day)
    later = quotes_data.offers(data, LAST)
    answered = later[later["decided_on"] <= pd.Timestamp(day)]
    assert known["won"].notna().sum() == len(answered)
    assert known["won"].isna().sum() > 0


def test_what_is_known_at_quoting_does_not_change_later(data: Snapshot) -> None:
    columns = ["quoted_on", "relative_price", "past_quotes", "past_share", "against_client"]
    known = quotes_data.offers(data, dt.date(2025, 1, 15))[columns]
    later = quotes_data.offers(data, LAST)[columns].iloc[: len(known)]
    pd.testing.assert_frame_equal(known, later)


def test_a_past_share_counts_answers_before_the_offer_alone(data: Snapshot) -> None:
    found = quotes_data.offers(data, LAST)
    for row in found.sample(40, random_state=1).itertuples():
        own = found[found["client_id"] == row.client_id]
        before = own[own["decided_on"] < row.quoted_on]
        assert row.past_quotes == len(before)
        if len(before):
            assert row.past_share == pytest.approx(before["won"].mean())


def test_a_rate_for_everyone_is_the_reference_while_it_holds(tmp_path: Path) -> None:
    made = Firm(tmp_path)
    days = [dt.date(2025, month, 15) for month in (1, 2, 3, 4)]
    quoted = [
        {"quote_id": f"Q{n}", "client_id": "c1", "service_id": "audit", "quoted_on": day}
        | {"quoted_price": 110.0, "won": "true", "decided_on": day}
        for n, day in enumerate(days)
    ]
    rates = [
        {"service_id": "audit", "client_id": client, "valid_from": first, "valid_to": last}
        | {"unit_price": price}
        for client, first, last, price in (
            ("", dt.date(2025, 2, 1), dt.date(2025, 2, 28), 100.0),
            ("", dt.date(2025, 3, 1), dt.date(2025, 3, 31), 120.0),
            ("c1", dt.date(2025, 1, 1), "", 50.0),
        )
    ]
    write_csv(made.export_folder, "quotes", quoted)
    write_csv(made.export_folder, "rates", rates)
    workspace = made.on(dt.date(2025, 4, 30), registry=default_registry())
    workspace.ingest("ingest")
    found = quotes_data.offers(workspace.snapshot(), dt.date(2025, 4, 30))
    workspace.engine.dispose()
    assert found["typical_price"].tolist() == [110.0, 100.0, 120.0, 110.0]
    assert found["past_price"].iloc[2] == pytest.approx(np.log(1.1) / 2)


def test_elasticity_is_that_of_winning_and_few_offers_are_thin_evidence(
    decided: pd.DataFrame,
) -> None:
    rows = decided.set_index("service_id")
    assert rows.loc["rare", "status"] == "thin_evidence"
    assert pd.isna(rows.loc["rare", "recommended_price"])
    for service in ("audit", "advice"):
        row = rows.loc[service]
        assert row["current_price"] == pytest.approx(100, rel=0.05)
        # d ln P / d ln price of a logistic curve is its slope times the chance to lose.
        truth = SLOPE / (1 + np.exp(0.2 + SLOPE * np.log(row["current_price"] / 100)))
        assert row["elasticity"] == pytest.approx(truth, rel=0.35)
        assert row["elasticity_low"] < row["elasticity"] < row["elasticity_high"] < 0


def test_recommended_price_moves_towards_the_best_within_the_guardrail(
    decided: pd.DataFrame, method: PricingMethod
) -> None:
    prices = np.linspace(90, 110, 401)
    chance = 1 / (1 + np.exp(-(0.2 + SLOPE * np.log(prices / 100))))
    best = prices[int(np.argmax(chance * (prices - COST)))]
    found = decided[decided["status"] == "recommended"]
    assert len(found) == 2
    change = found["recommended_price"] / found["current_price"] - 1
    assert (change.abs() <= method.settings.max_price_change + 1e-9).all()
    assert np.abs(found["recommended_price"] - best).max() < 6
    assert (found["expected_margin_change"] >= 0).all()


def test_later_quotes_judge_the_curve_against_a_model_without_price(
    method: PricingMethod, data: Snapshot
) -> None:
    judged = method.backtest(data, LAST)
    assert judged is not None
    compared = method.compare(judged)
    assert compared.ours["squared_error"] < compared.baseline["squared_error"] - 0.01
    assert (judged.frame["log_loss"] < judged.frame["log_loss_without_price"]).all()
    value = method.value(judged)
    assert value.amount is not None
    assert value.low is not None
    assert value.high is not None
    assert value.low < value.amount < value.high


def test_saved_and_loaded_decides_the_same_to_the_bit(
    method: PricingMethod,
    data: Snapshot,
    fitted: FittedPrices,
    decided: pd.DataFrame,
    tmp_path: Path,
) -> None:
    fitted.save(tmp_path)
    again = method.decide(method.load(tmp_path), method.inputs(data, [LAST])[LAST], LAST, "none")
    pd.testing.assert_frame_equal(again, decided, check_exact=True)


def test_an_answer_has_the_chance_to_win_at_each_price(
    method: PricingMethod, data: Snapshot, fitted: FittedPrices
) -> None:
    inputs = method.inputs(data, [LAST])[LAST]
    stored = method.online(inputs, pd.DataFrame()).set_index("entity")
    query = method.spec.Query(service_id="audit", prices=[90.0, 100.0, 110.0])
    asking = of_fitted(method.spec, fitted)

    def ask(query: Any) -> Answer:
        return asking.answer(Asked(query, stored.loc[asking.entity_of(query), "features"], LAST))

    answer = ask(query)
    assert answer.detail is not None
    chances = [point["win_probability"] for point in answer.detail["curve"]]
    assert 1 > chances[0] > chances[1] > chances[2] > 0
    rare = method.spec.Query(service_id="rare", prices=[100.0])
    with pytest.raises(QueryError, match="30 are needed"):
        ask(rare)
