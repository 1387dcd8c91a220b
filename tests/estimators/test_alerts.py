"""Alerts keep their budget, and the NAB score is the published one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.alerts import alerts


def subjects(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "subject_id": [f"s{i}" for i in range(40)],
            "observed_at": pd.to_datetime("2024-05-01") + pd.to_timedelta(np.arange(40) % 4, "D"),
            "score": rng.integers(0, 4, 40) / 4,
        }
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 100), budget=st.integers(0, 12))
def test_alerts_keep_the_budget_take_the_highest_and_ignore_row_order(
    seed: int, budget: int
) -> None:
    table = subjects(seed)
    chosen = alerts(table, budget)
    for _, day in table.assign(chosen=chosen).groupby("observed_at"):
        assert day["chosen"].sum() == min(budget, int((day["score"] > 0).sum()))
        left, taken = day[~day["chosen"]]["score"], day[day["chosen"]]["score"]
        assert taken.empty or left.empty or taken.min() >= left.max()
    mixed = table.sample(frac=1, random_state=seed)
    again = pd.Series(alerts(mixed, budget), index=mixed.index).sort_index()
    np.testing.assert_array_equal(again, chosen)
