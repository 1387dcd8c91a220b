"""Win probability: monotone in price, calibrated, refusals by reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.estimators.pricing import WinProbability


def _offers(seed: int, rows: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "price": rng.uniform(50, 150, rows),
            "region": rng.choice(["north", "south", "west"], rows),
            "rush": rng.random(rows) < 0.3,
            "hours": np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(2, 0.5, rows)),
        }
    )
    logit = 3.0 - 0.04 * X["price"] + 1.0 * X["rush"] + 0.5 * (X["region"] == "west")
    won = rng.random(rows) < 1 / (1 + np.exp(-logit))
    return X, won.to_numpy(np.int64)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_winning_never_gets_likelier_with_the_price(seed: int) -> None:
    X, won = _offers(seed)
    model = WinProbability().fit(X, won)
    grid = np.linspace(20, 200, 60)
    chances = np.array([model.predict_proba(X.assign(price=p))[:, 1] for p in grid])
    assert (np.diff(chances, axis=0) <= 1e-12).all()
    assert chances[0].mean() > chances[-1].mean() + 0.3


def test_a_price_that_seems_to_help_is_held_flat() -> None:
    X, won = _offers(0)
    model = WinProbability().fit(X, 1 - won)
    chances = [model.predict_proba(X.assign(price=p))[:, 1].mean() for p in (50, 100, 150)]
    assert max(chances) - min(chances) < 1e-9


def test_chances_are_calibrated_on_new_offers() -> None:
    X, won = _offers(3, 1500)
    new, new_won = _offers(4, 1500)
    chance = WinProbability().fit(X, won).predict_proba(new)[:, 1]
    bins = np.digitize(chance, [0.2, 0.4, 0.6, 0.8])
    for place in range(5):
        inside = bins == place
        if inside.sum() > 100:
            assert abs(chance[inside].mean() - new_won[inside].mean()) < 0.1


def test_win_probability_is_the_same_after_load(tmp_path: Path) -> None:
    X, won = _offers(0)
    model = WinProbability().fit(X, won)
    model.save(tmp_path)
    again = WinProbability.load(tmp_path)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    unseen = X.head(3).assign(region="moon")
    np.testing.assert_array_equal(model.predict_proba(unseen), again.predict_proba(unseen))


def test_offers_are_refused_by_reason() -> None:
    X, won = _offers(0)
    with pytest.raises(ValueError, match="no price column 'fee'"):
        WinProbability().fit(X, won, price="fee")
    with pytest.raises(ValueError, match="missing values"):
        WinProbability().fit(X.assign(price=np.nan), won)
    with pytest.raises(ValueError, match="still open"):
        WinProbability().fit(X, pd.Series(won).astype(float).where(pd.Series(won) == 1))
    with pytest.raises(ValueError, match="too few"):
        WinProbability().fit(X, np.zeros(len(X)))


def test_best_price_weighs_chance_against_margin() -> None:
    X, won = _offers(0, 800)
    price, table = WinProbability().fit(X, won).best_price(X, np.arange(60, 150, 5), unit_cost=50.0)
    assert price == table.loc[table["expected_margin"].idxmax(), "price"]
    assert 65 <= price <= 110
