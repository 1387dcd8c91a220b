"""Slopes of winning from quotes: planted confounding, noise, and what hidden reasons leave open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from ml.estimators.price_quotes import QuoteResponse
from ml.estimators.price_selection import Hidden, Logit, local_levels
from ml.estimators.price_slopes import WinSlopes

SLOPE = -5.0
CIRCUMSTANCES = ["units", "history"]


def _quotes(
    seed: int, *, follows: float = 0.0, slope: float = SLOPE, rows: int = 4000
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
    """Offers whose price ``follows`` a need that buyers pay for, of which the units tell a part."""
    rng = np.random.default_rng(seed)
    need = rng.normal(size=rows)
    service = rng.choice(["audit", "tax"], rows)
    month = rng.integers(0, 24, rows)
    list_move = np.random.default_rng(7).normal(0, 0.08, 24)[month]
    price = 0.1 * rng.normal(size=rows) + 0.1 * follows * need
    chance = expit(-0.2 + slope * price + 0.6 * need)
    X = pd.DataFrame(
        {
            "relative_price": price + list_move,
            "period": month.astype(str),
            "service_id": service,
            "units": need + rng.normal(size=rows),
            "history": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)),
        }
    )
    groups = pd.DataFrame({"service_id": service, "segment": "all"})
    won = (rng.random(rows) < chance).astype(np.int64)
    return X, won, groups, rng.integers(0, 400, rows)


def _slopes(seed: int, *, hidden: float, follows: float, **options: float) -> WinSlopes:
    X, won, groups, clients = _quotes(seed, follows=follows, **options)
    return WinSlopes(hidden=hidden).fit(X, won, groups, clients, CIRCUMSTANCES)


@pytest.mark.parametrize("seed", [0, 1])
def test_prices_set_at_random_give_the_slope_whatever_the_list_does(seed: int) -> None:
    found = _slopes(seed, hidden=0.0, follows=0.0)
    # A level that is not in the model (a need that no column shows) draws log odds to 0 a little.
    assert np.abs(found.slopes_ / SLOPE - 0.93).max() < 0.17


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_prices_that_follow_a_hidden_need_mislead_the_columns_and_not_the_interval(
    seed: int,
) -> None:
    """The case that makes a dear offer look harmless."""
    blind = _slopes(seed, hidden=0.0, follows=0.6)
    assert (blind.slopes_ > SLOPE + 1.0).all()
    wide = _slopes(seed, hidden=1.0, follows=0.6)
    np.testing.assert_array_equal(wide.slopes_, blind.slopes_)
    reach = 1.2816 * wide.deviation_
    assert wide.hidden_.lift > 0.5
    assert (wide.middle_ < blind.middle_ - 0.5).all()
    assert ((wide.middle_ - reach < SLOPE) & (wide.middle_ + reach > SLOPE)).all()


def test_a_price_that_nobody_minds_is_no_evidence() -> None:
    X, won, groups, clients = _quotes(3, slope=0.0)
    model = QuoteResponse().fit(X, won, groups, clients, circumstances=CIRCUMSTANCES)
    advice = model.recommend(1.0, 0.5, ("audit", "all"), typical_price=1.0)
    assert advice.status == "thin_evidence"
    assert "no effect" in advice.reason or "too wide" in advice.reason


def test_a_direction_that_the_interval_leaves_open_is_not_recommended() -> None:
    """At a cost where the best price at one end is a raise, at the other a cut."""
    X, won, groups, clients = _quotes(0, follows=0.6)
    model = QuoteResponse().fit(X, won, groups, clients, circumstances=CIRCUMSTANCES)
    group = ("audit", "all")
    elasticity = model.recommend(1.0, 0.6, group, typical_price=1.0).elasticity
    assert elasticity is not None
    # The textbook markup at the middle of the interval: a little less or more is a coin's toss.
    between = model.recommend(1.0, 1.04 + 1.04 / elasticity, group, typical_price=1.0)
    assert between.status == "thin_evidence"
    assert "leaves open" in between.reason
    dear = model.recommend(1.0, 0.9, group, typical_price=1.0)
    assert dear.status == "recommended"
    assert dear.recommended_price == pytest.approx(1.1)


def test_without_anything_known_of_the_offer_price_may_follow_hidden_reasons_alone() -> None:
    X, won, groups, clients = _quotes(0)
    known = X.drop(columns=CIRCUMSTANCES)
    found = WinSlopes().fit(known, won, groups, clients, [])
    assert found.hidden_.lift == 0.0
    assert found.hidden_.least == pytest.approx(np.abs(found.slopes_).mean(), rel=0.1)


def test_few_offers_and_few_answers_are_refused_with_numbers() -> None:
    X, won, groups, clients = _quotes(0, rows=200)
    with pytest.raises(ValueError, match="0 offers won and 200 lost"):
        WinSlopes().fit(X, np.zeros(200), groups, clients, CIRCUMSTANCES)
    groups.loc[:9, "segment"] = "few"
    model = QuoteResponse().fit(X, won, groups, clients, circumstances=CIRCUMSTANCES)
    service = groups.loc[0, "service_id"]
    advice = model.recommend(1.0, 0.5, (service, "few"), typical_price=1.0)
    assert "30 are needed" in advice.reason
    same = X.assign(relative_price=0.1)
    flat = QuoteResponse().fit(same, won, groups, clients, circumstances=CIRCUMSTANCES)
    advice = flat.recommend(1.0, 0.5, (service, "all"), typical_price=1.0)
    assert "hardly changes" in advice.reason


def test_saved_and_loaded_answers_the_same_to_the_bit(tmp_path: Path) -> None:
    X, won, groups, clients = _quotes(0, rows=800)
    groups.loc[:4, "segment"] = "few"
    model = QuoteResponse(widest=9.0).fit(X, won, groups, clients, circumstances=CIRCUMSTANCES)
    model.save(tmp_path)
    again = QuoteResponse.load(tmp_path)
    group = ("tax", "all")
    one, other = (m.recommend(1.0, 0.9, group, typical_price=1.0) for m in (model, again))
    assert one == other
    assert again.score_on(X, won, groups) == model.score_on(X, won, groups)


def test_levels_of_a_cell_come_from_other_clients_and_are_drawn_to_zero() -> None:
    rng = np.random.default_rng(0)
    cells, folds = np.repeat(np.arange(60), 40), np.tile(np.arange(5), 480)
    truth = rng.normal(0, 0.3, 60)
    values = truth[cells] + rng.normal(0, 0.5, len(cells))
    found, doubt = local_levels(values, cells, folds)
    assert np.corrcoef(found, truth[cells])[0, 1] > 0.9
    assert np.mean((found - truth[cells]) ** 2) == pytest.approx(doubt.mean(), rel=0.35)
    own = folds == 0
    moved, _ = local_levels(values + 5.0 * own, cells, folds)
    assert (moved[own] < found[own] + 1.0).all()
    noise, _ = local_levels(rng.normal(size=len(cells)), cells, folds)
    assert noise.std() < 0.1


def test_reach_of_hidden_reasons_is_continuous_and_holds_zero() -> None:
    assert Hidden(2.0, 0.1, 0.5).reach() == (0.0, 2.0)
    assert Hidden(-2.0, 0.1, 0.5).reach() == (-2.0, 0.0)
    assert Hidden(0.0, 0.1, 0.5).reach() == (-0.5, 0.5)
    for lift in (0.4999, 0.5001):
        assert Hidden(lift, 0.1, 0.5).reach() == pytest.approx((0.0, 0.5), abs=1e-3)


def test_clustered_errors_of_the_logit_match_a_bootstrap() -> None:
    rng = np.random.default_rng(1)
    client = np.repeat(np.arange(200), 5)
    x = rng.normal(size=200)[client]
    won = (rng.random(1000) < expit(0.5 * x + rng.normal(size=200)[client])).astype(float)
    design = np.column_stack([np.ones(1000), x])
    error = np.sqrt(np.diag(Logit.fit(design, won).covariance(design, won, client)))
    draws = rng.multinomial(200, np.full(200, 1 / 200), 300).astype(float)
    spread = np.std([Logit.fit(design, won, draw[client]).weights for draw in draws], axis=0)
    np.testing.assert_allclose(error, spread, rtol=0.2)
