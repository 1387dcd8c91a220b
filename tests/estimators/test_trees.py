"""LightGBM's C library asked directly: the same bits as its Python package, and its errors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from ml.estimators import trees as module
from ml.estimators.linear import LinearPart
from ml.estimators.trees import Trees, TreesError


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    rng = np.random.default_rng(0)
    X = rng.lognormal(size=(3000, 12))
    X[rng.random(X.shape) < 0.05] = np.nan
    X[:, 3] = rng.integers(0, 6, len(X))
    return X


@pytest.fixture(scope="module")
def booster(matrix: np.ndarray) -> lightgbm.Booster:
    y = (np.nan_to_num(matrix[:, 0]) * np.nan_to_num(matrix[:, 1]) + matrix[:, 3] > 2).astype(float)
    options = {"objective": "binary", "num_leaves": 8, "verbose": -1, "num_threads": 1}
    data = lightgbm.Dataset(matrix, y, categorical_feature=[3])
    return lightgbm.train(options, data, num_boost_round=120)


@pytest.fixture(scope="module")
def trees(booster: lightgbm.Booster) -> Trees:
    return Trees(booster.model_to_string())


def test_predictions_and_contributions_are_lightgbms_bit_for_bit(
    trees: Trees, booster: lightgbm.Booster, matrix: np.ndarray
) -> None:
    assert (trees.count, trees.columns) == (120, 12)
    np.testing.assert_array_equal(trees.predict(matrix), booster.predict(matrix, raw_score=True))
    np.testing.assert_array_equal(
        trees.contributions(matrix[:200]), booster.predict(matrix[:200], pred_contrib=True)
    )


def test_one_row_has_the_bits_it_has_among_many(trees: Trees, matrix: np.ndarray) -> None:
    among = trees.predict(matrix)
    for at in range(0, len(matrix), 7):
        assert trees.one(matrix[at]) == among[at]
        assert trees.predict(matrix[at : at + 1])[0] == among[at]
    np.testing.assert_array_equal(
        trees.contributions(matrix[5:6]), trees.contributions(matrix[:9])[5:6]
    )


def test_any_layout_is_read_right(trees: Trees, matrix: np.ndarray) -> None:
    expected = trees.predict(matrix)[::3]
    np.testing.assert_array_equal(trees.predict(matrix[::3]), expected)
    np.testing.assert_array_equal(trees.predict(np.asfortranarray(matrix[::3])), expected)


def test_threads_may_ask_at_once(trees: Trees, matrix: np.ndarray) -> None:
    expected = trees.predict(matrix).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(trees.one, matrix)) == expected


def test_no_rows_and_no_trees_are_no_error(trees: Trees, booster: lightgbm.Booster) -> None:
    assert trees.predict(np.empty((0, 12))).shape == (0,)
    assert trees.contributions(np.empty((0, 12))).shape == (0, 13)


def test_what_lightgbm_refuses_is_an_error_with_its_words(
    trees: Trees, matrix: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TreesError, match="number of features in data"):
        trees.predict(matrix[:, :3])
    with pytest.raises(TreesError, match="Model file doesn't specify"):
        Trees("tree\nnonsense")
    with pytest.raises(ValueError, match="could not broadcast"):
        trees.one(matrix[0, :3])


def test_a_library_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(TreesError, match="lightgbm is not installed"):
        module._path()


def test_the_linear_part_of_a_row_has_the_same_bits_beside_any_others() -> None:
    rng = np.random.default_rng(1)
    columns = [
        {"low": -3.0, "high": 3.0, "slope": s, "curve": c, "unit": 0.7, "base": b, "absent": 0.1}
        for s, c, b in rng.normal(size=(40, 3))
    ]
    state = {
        "intercept": 0.3,
        "columns": [{"levels": None, **column} for column in columns]
        + [{"levels": [0.1, -0.2, 0.3]}],
    }
    part = LinearPart.from_dict(state)
    matrix = np.column_stack([rng.normal(size=(9000, 40)), rng.integers(0, 2, 9000)])
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    among = part.predict(matrix)
    for rows in (1, 2, 3, 7, 8, 9, 100, 4097):
        np.testing.assert_array_equal(part.predict(matrix[:rows]), among[:rows])
    for at in range(0, 9000, 61):
        assert part.predict(matrix[at : at + 1])[0] == among[at]
