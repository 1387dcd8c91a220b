"""Rows that differ from the others score high, with the column that differs as the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.anomaly import RowDetector
from ml.estimators.row_detectors import (
    IsolationTrees,
    LocalOutlierFactor,
    Mahalanobis,
    NearestInSamples,
)


def mixed_rows(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = rng.lognormal(3.0, 0.4, rows)
    frame = pd.DataFrame(
        {
            "orders": size,
            "revenue": size * rng.normal(100.0, 5.0, rows),
            "segment": rng.choice(["small", "large"], rows),
            "late": rng.random(rows) < 0.3,
        }
    )
    frame.loc[rng.random(rows) < 0.1, "revenue"] = np.nan
    return frame


@pytest.fixture(scope="module")
def detector() -> RowDetector:
    return RowDetector(seed=3).fit(mixed_rows())


def test_row_off_the_pattern_outranks_usual_rows(detector: RowDetector) -> None:
    odd = mixed_rows(1, seed=1).assign(orders=20.0, revenue=9_000.0)
    usual = detector.decision_function(mixed_rows(200, seed=2))
    assert detector.decision_function(odd)[0] > np.quantile(usual, 0.98)


def test_unseen_category_is_odder_than_a_known_one(detector: RowDetector) -> None:
    known = mixed_rows(50, seed=4)
    unseen = known.assign(segment="from another world")
    assert (detector.decision_function(unseen) > detector.decision_function(known)).mean() > 0.95


def test_reasons_name_the_odd_column_with_its_value_and_side(detector: RowDetector) -> None:
    odd = mixed_rows(1, seed=1).assign(orders=1e5, revenue=2_000.0, segment="small")
    first = detector.reasons(odd, top=1)[0][0]
    assert first["feature"] == "orders"
    assert first["value"] == 1e5
    assert first["contribution"] > 3
    low = detector.reasons(odd.assign(orders=0.001), top=1)[0][0]
    assert (low["feature"], low["contribution"] < 0) == ("orders", True)


def test_columns_are_matched_by_name(detector: RowDetector) -> None:
    X = mixed_rows(30, seed=5)
    turned = X[X.columns[::-1]]
    np.testing.assert_array_equal(detector.decision_function(X), detector.decision_function(turned))


def test_missing_column_is_refused_by_name(detector: RowDetector) -> None:
    with pytest.raises(ValueError, match="revenue"):
        detector.decision_function(mixed_rows(5).drop(columns="revenue"))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        RowDetector().fit(mixed_rows(7))


def test_rows_saved_and_loaded_score_the_same_bit_for_bit(
    detector: RowDetector, tmp_path: Path
) -> None:
    detector.save(tmp_path / "model")
    again = RowDetector.load(tmp_path / "model")
    X = mixed_rows(80, seed=6)
    np.testing.assert_array_equal(again.decision_function(X), detector.decision_function(X))
    assert again.reasons(X) == detector.reasons(X)
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".npz"}


def test_same_seed_same_scores() -> None:
    X = mixed_rows(120)
    first, second = (RowDetector(seed=9).fit(X).decision_function(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@settings(max_examples=15, deadline=None)
@given(
    values=st.lists(
        st.tuples(st.one_of(st.none(), st.floats(-1e6, 1e6)), st.sampled_from(["a", "b", None])),
        min_size=8,
        max_size=40,
    )
)
def test_any_table_gets_finite_scores(values: list[tuple[float | None, str | None]]) -> None:
    X = pd.DataFrame(
        {
            "number": np.array([np.nan if n is None else n for n, _ in values]),
            "word": pd.Series([w for _, w in values], dtype=object),
        }
    )
    score = RowDetector(trees=10, samples=5).fit(X).decision_function(X)
    assert np.isfinite(score).all()


def test_local_outlier_factor_agrees_with_scikit_learn() -> None:
    from sklearn.neighbors import LocalOutlierFactor as Oracle

    Z = np.random.default_rng(1).normal(size=(150, 3))
    ours = LocalOutlierFactor.fit(Z, 1000, 10, np.random.default_rng(0)).score(Z)
    theirs = -Oracle(n_neighbors=10).fit(Z).negative_outlier_factor_
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_mahalanobis_agrees_with_the_inverse_covariance() -> None:
    Z = np.random.default_rng(2).normal(size=(300, 4)) @ np.diag([1.0, 2.0, 3.0, 0.5])
    centred = Z - Z.mean(axis=0)
    inverse = np.linalg.inv(np.cov(Z.T) + 1e-3 * np.eye(4))
    expected = np.einsum("ij,jk,ik->i", centred, inverse, centred)
    np.testing.assert_allclose(Mahalanobis.fit(Z).score(Z), expected, rtol=1e-8)


def test_isolation_trees_rank_as_scikit_learn_does() -> None:
    from scipy.stats import spearmanr
    from sklearn.ensemble import IsolationForest

    Z = np.random.default_rng(3).normal(size=(500, 4))
    ours = IsolationTrees.fit(Z, 200, 256, np.random.default_rng(0)).score(Z)
    theirs = -IsolationForest(n_estimators=200, random_state=0).fit(Z).score_samples(Z)
    assert spearmanr(ours, theirs).statistic > 0.95
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.02)


def test_distance_to_samples_agrees_with_a_loop() -> None:
    rng = np.random.default_rng(4)
    Z = rng.normal(size=(60, 3))
    part = NearestInSamples.fit(Z, 7, 5, rng)
    expected = [
        np.mean([np.linalg.norm(sample - row, axis=1).min() for sample in part.samples])
        for row in Z
    ]
    np.testing.assert_allclose(part.score(Z), expected, atol=1e-6)


@pytest.mark.long
def test_open_rows_reach_their_floors(example_data: Path) -> None:
    from ml.evaluation.anomaly import evaluate_rows

    assert [result for result in evaluate_rows(example_data) if not result.holds] == []
