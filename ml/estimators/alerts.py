"""Which scores become alerts: the highest of each day, within a budget that people can look at."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml.estimators.times import times_of


def alerts(
    scores: pd.DataFrame,
    budget_per_day: int,
    least: float = 0.0,
    day: str = "observed_at",
    score: str = "score",
) -> np.ndarray:
    """Whether each row is among its day's ``budget_per_day`` highest scores, shape (rows,).

    Rows at or below ``least`` never are. Ties go by the other columns that identify a row
    (subject_kind, subject_id, those that are there), so the order of the rows does not matter.
    Raises ValueError on a negative budget or missing columns.
    """
    if budget_per_day < 0:
        raise ValueError(f"budget_per_day is {budget_per_day}; give 0 or more alerts a day")
    lacking = [name for name in (day, score) if name not in scores.columns]
    if lacking:
        raise ValueError(f"scores lack {lacking}; they have {list(map(str, scores.columns))}")
    ties = [name for name in ("subject_kind", "subject_id") if name in scores.columns]
    table = pd.DataFrame(
        {
            "day": times_of(scores[day]).dt.normalize().to_numpy(),
            "score": pd.to_numeric(scores[score]).to_numpy(dtype=np.float64),
            **{name: scores[name].astype(str).to_numpy() for name in ties},
            "time": times_of(scores[day]).to_numpy(),
        }
    )
    table = table[table["score"] > least]
    ordered = table.sort_values(
        ["score", *ties, "time"], ascending=[False, *(True for _ in ties), True], kind="stable"
    )
    place = ordered.groupby("day").cumcount()
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[place.index[place < budget_per_day]] = True
    return chosen
