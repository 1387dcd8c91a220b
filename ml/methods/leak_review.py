"""Which findings somebody looks at: the top of a list, or as many as there is time for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from pandas.api.typing import DataFrameGroupBy

EXPECTED = "expected_amount"
"""Chance times amount: the order in which reviewing recovers most; rules alone have no chance."""
LISTS = ["as_of", "copy"]


def with_expected(judged: pd.DataFrame) -> pd.DataFrame:
    """Beside each finding the amount expected to come back from looking at it."""
    return judged.assign(**{EXPECTED: judged["score"] * judged["leak_amount"]})


def top_of_each_list(judged: pd.DataFrame, ranking: str) -> pd.DataFrame:
    """Of each list (a day's, or a copy's) as many findings as were really leaks."""
    return pd.concat(
        [
            _ranked(found, ranking).head(int((found["outcome"] > 0).sum()))
            for _, found in _lists(judged)
        ]
    )


def found_wherever_one_stops(judged: pd.DataFrame, ranking: str, all_known: bool) -> float:
    """Leaked value found by the first K findings of a list, the mean over all K, lists added up.

    K goes to the number of leaks where ``all_known``; books name only the leaks that somebody
    corrected, so there K goes through the whole list.
    """
    found = 0.0
    for _, listed in _lists(judged):
        outcome = _ranked(listed, ranking)["outcome"]
        most = int((listed["outcome"] > 0).sum()) if all_known else len(outcome)
        if most:
            so_far = outcome.cumsum()
            # a list shorter than that finds no more by its end
            rest = (most - len(so_far)) * so_far.iloc[-1] if 0 < len(so_far) < most else 0.0
            found += (float(so_far.head(most).sum()) + float(rest)) / most
    return found


def _lists(judged: pd.DataFrame) -> DataFrameGroupBy:
    return judged.groupby([name for name in LISTS if name in judged])


def reviewed(
    judged: pd.DataFrame, ranking: str, a_month: float, least: float, last_days: int
) -> pd.DataFrame:
    """The findings that reviewers get to, each once, with its day's row.

    Each day's list is worked from the top until the next list is there, the last one for
    ``last_days``; ``a_month`` are the reviews that 30 days leave time for. Findings whose
    ``ranking`` is not above ``least`` are not worth one.
    """
    on = pd.to_datetime(judged["as_of"])
    days = sorted(on.unique())
    ends = [*days[1:], days[-1] + timedelta(days=last_days)]
    parts, seen, time = [], judged.iloc[:0][["item_kind", "item_id"]], 0.0
    for day, end in zip(days, ends, strict=True):
        time += a_month * (end - day).days / 30
        waiting = _ranked(judged[(on == day) & (judged[ranking] > least)], ranking)
        done = pd.MultiIndex.from_frame(seen)
        waiting = waiting[~pd.MultiIndex.from_frame(waiting[list(seen)]).isin(done)]
        chosen = waiting.head(int(time + 1e-9))
        # Time that a short list leaves over is not saved up.
        time = time - len(chosen) if len(chosen) < len(waiting) else 0.0
        parts.append(chosen)
        seen = pd.concat([seen, chosen[list(seen)]])
    return pd.concat(parts)


def _ranked(judged: pd.DataFrame, ranking: str) -> pd.DataFrame:
    worth = judged[judged[ranking] > 0]
    return worth.sort_values([ranking, "item_id"], ascending=[False, True])
