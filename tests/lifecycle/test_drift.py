"""Drift statistics against independent figures, and how often they cry wolf."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from ml.drift import DriftRow, check, ks, numeric_shares, psi

LEVEL = 0.01
REGIONS = np.array([30, 20, 15, 12, 10, 8, 4, 1]) / 100


def verdicts(rows: list[DriftRow]) -> dict[tuple[str, str], str]:
    return {(row.column, row.statistic): row.verdict for row in rows}


def firm(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Columns as client features have them: heavy tails, counts, many zeros, gaps, categories."""
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(5, 1.5, rows),
            "orders": rng.poisson(2.0, rows).astype(float),
            "share": rng.normal(0, 1, rows),
            "days": rng.exponential(40, rows).round(),
            "late": np.where(rng.random(rows) < 0.85, 0.0, rng.gamma(2, 10, rows)),
            "trend": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(0, 1, rows)),
            "new": rng.random(rows) < 0.1,
            "region": rng.choice(
                list("abcdefgh"), rows, p=np.array([30, 20, 15, 12, 10, 8, 4, 1]) / 100
            ),
            "segment": rng.choice(["small", "large"], rows, p=[0.8, 0.2]),
        }
    )
    frame.loc[rng.random(rows) < 0.05, "region"] = None
    return frame


@given(
    st.lists(st.integers(-3, 3), min_size=3, max_size=40),
    st.lists(st.integers(-3, 3), min_size=3, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_ks_equals_scipy_also_where_values_are_tied(a: list[int], b: list[int]) -> None:
    old, new = np.array(a, dtype=float), np.array(b, dtype=float)
    expected = ks_2samp(old, new, method="asymp").statistic
    assert ks(old, new) == pytest.approx(expected, abs=1e-12)


def test_psi_is_the_textbook_sum() -> None:
    old, new = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
    expected = (0.4 - 0.5) * np.log(0.4 / 0.5) + (0.4 - 0.3) * np.log(0.4 / 0.3)
    assert psi(old, new, 1000, 1000) == pytest.approx(expected)
    assert psi(old, old, 1000, 1000) == 0


def test_shares_are_those_of_the_references_deciles_and_sum_to_one() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.normal(size=1000), rng.normal(1, 1, 500)
    before, after = numeric_shares(old, new)
    assert before == pytest.approx(np.full(10, 0.1), abs=0.002)
    assert before.sum() == pytest.approx(1)
    assert after.sum() == pytest.approx(1)
    assert after[-1] > 0.25
    tied, _ = numeric_shares(np.repeat([0.0, 1.0], [90, 10]), new)
    assert tied.tolist() == [0.9, 0.1]


@pytest.mark.parametrize("rows", [60, 200, 2000])
def test_an_undrifted_batch_is_hardly_ever_flagged(rows: int) -> None:
    """Of 200 batches from the reference's own distribution at most 2 % hold a drifted column."""
    rng = np.random.default_rng(rows)
    reference = firm(2000, rng)
    batches = [
        check(reference, firm(rows, rng), min_rows=50, false_alarm=LEVEL) for _ in range(200)
    ]
    any_column = [any(row.verdict == "drift" for row in found) for found in batches]
    assert np.mean(any_column) <= 0.02
    assert not any(found[0].verdict == "drift" for found in batches)


@pytest.mark.parametrize("rows", [60, 300, 2000])
def test_a_small_reference_cries_wolf_no_more_often(rows: int) -> None:
    rng = np.random.default_rng(7)
    flagged = [
        any(
            row.verdict == "drift"
            for row in check(firm(100, rng), firm(rows, rng), min_rows=50, false_alarm=LEVEL)
        )
        for _ in range(200)
    ]
    assert np.mean(flagged) <= 0.02


@pytest.mark.parametrize("rows", [200, 2000])
def test_a_shift_in_a_third_of_the_columns_is_found(rows: int) -> None:
    rng = np.random.default_rng(3)
    reference, current = firm(2000, rng), firm(rows, rng)
    for name in ("amount", "share", "days", "late"):
        current[name] = current[name] * 2 + 1
    found = check(reference, current, min_rows=50, false_alarm=LEVEL)
    drifted = {row.column for row in found if row.verdict == "drift"}
    assert drifted == {"", "amount", "share", "days", "late"}
    assert found[0].value == pytest.approx(4 / 9)


def test_one_moved_column_is_named_and_does_not_condemn_the_model() -> None:
    rng = np.random.default_rng(4)
    reference, current = firm(2000, rng), firm(1000, rng)
    current["amount"] *= 5
    found = check(reference, current, min_rows=50, false_alarm=LEVEL)
    assert found[0].verdict == "ok"
    assert {row.column for row in found if row.verdict == "drift"} == {"amount"}


def test_too_few_rows_are_no_verdict() -> None:
    rng = np.random.default_rng(5)
    frame = firm(99, rng)
    for old, new in ((frame, firm(500, rng)), (firm(500, rng), frame)):
        [row] = check(old, new, min_rows=100, false_alarm=LEVEL)
        assert (row.column, row.verdict, row.value) == ("", "insufficient_data", None)


def test_a_column_that_is_almost_empty_has_no_verdict_on_its_values() -> None:
    rng = np.random.default_rng(6)
    reference, current = firm(1000, rng), firm(1000, rng)
    reference["trend"] = np.where(np.arange(1000) < 20, 1.0, np.nan)
    current["trend"] = np.where(np.arange(1000) < 25, 9.0, np.nan)
    found = verdicts(check(reference, current, min_rows=50, false_alarm=LEVEL))
    assert found["trend", "psi"] == "insufficient_data"
    assert found["trend", "missing_share"] == "ok"


def test_values_that_go_missing_and_columns_that_do_are_drift() -> None:
    rng = np.random.default_rng(8)
    reference, current = firm(1000, rng), firm(1000, rng)
    current.loc[:200, "amount"] = np.nan
    current["share"] = np.nan
    current = current.drop(columns="days")
    found = verdicts(check(reference, current, min_rows=50, false_alarm=LEVEL))
    for name in ("amount", "share", "days"):
        assert found[name, "missing_share"] == "drift"


def test_new_categories_are_drift_only_where_they_are_more_than_chance() -> None:
    rng = np.random.default_rng(9)
    reference, current = firm(1000, rng), firm(1000, rng)
    current.loc[:2, "region"] = "z"
    few = verdicts(check(reference, current, min_rows=50, false_alarm=LEVEL))
    assert few["region", "new_category_share"] == "ok"
    current.loc[:60, "region"] = "z"
    many = verdicts(check(reference, current, min_rows=50, false_alarm=LEVEL))
    assert many["region", "new_category_share"] == "drift"


def test_a_column_with_an_id_for_every_row_does_not_always_drift() -> None:
    """Categories seen once each: most of the next batch is unseen without any drift."""
    rng = np.random.default_rng(10)
    reference = pd.DataFrame({"tag": rng.integers(0, 3000, 1000).astype(str)})
    flagged = [
        check(
            reference,
            pd.DataFrame({"tag": rng.integers(0, 3000, 1000).astype(str)}),
            min_rows=50,
            false_alarm=LEVEL,
        )[0].verdict
        for _ in range(100)
    ]
    assert flagged.count("drift") <= 2


def test_a_number_that_comes_as_text_is_named_as_drift_and_not_an_error() -> None:
    rng = np.random.default_rng(11)
    reference, current = firm(500, rng), firm(500, rng)
    current["amount"] = "n/a"
    found = check(reference, current, min_rows=50, false_alarm=LEVEL)
    assert verdicts(found)["amount", "missing_share"] == "drift"
