"""What came after a date: labels over a horizon, only where it has been observed in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ml.features.declarations import Count, Feature, Sum
from ml.features.engine import compute
from ml.features.events import EventTable
from ml.features.population import Active


@dataclass(frozen=True)
class Term:
    """One part of a sum over event tables: ``sign`` times a value (1: revenue, -1: cost)."""

    table: EventTable
    column: str
    sign: int = 1


def future_sum(
    index: pd.DataFrame,
    tables: Mapping[str, Any],
    terms: Sequence[Term],
    *,
    horizon_days: int,
    observed_through: date,
    entity: str = "client_id",
) -> pd.Series:
    """Sum of the terms over ``as_of < day <= as_of + horizon``, aligned with ``index``.

    ``index`` has columns entity and as_of (``FeatureFrame.index``). NaN where the horizon ends
    after ``observed_through``; 0 for entities without events. Row versions are read as known at
    ``observed_through``, so that a training repeats with the data of its day.
    """
    label = pd.Series(0.0, index=index.index, name="label")
    for term in terms:
        build = _summed(term)
        found = _ahead(index, tables, term.table, build, horizon_days, observed_through, entity)
        label += term.sign * found
    return label


def no_event(
    index: pd.DataFrame,
    tables: Mapping[str, Any],
    table: EventTable,
    *,
    horizon_days: int,
    observed_through: date,
    where: str | None = None,
    entity: str = "client_id",
) -> pd.Series:
    """1.0 where no event follows within the horizon, else 0.0; NaN where not fully observed."""
    count = _counted(table, where)
    found = _ahead(index, tables, table, count, horizon_days, observed_through, entity)
    return (found == 0).astype(np.float64).where(found.notna()).rename("label")


def observed_outcome(
    index: pd.DataFrame,
    tables: Mapping[str, Any],
    table: EventTable,
    column: str,
    *,
    horizon_days: int,
    observed_through: date,
    where: str | None = None,
    entity: str = "client_id",
) -> pd.Series:
    """1.0 where the firm's own outcome over the horizon is above zero, 0.0 where it is zero.

    NaN where none was recorded. An outcome that is there needs no full horizon: it is known.
    """

    def over(build: _Build) -> pd.Series:
        return _ahead(index, tables, table, build, horizon_days, observed_through, entity, False)

    count = over(_counted(table, where, column))
    total = over(_summed(Term(table, column), where))
    return (total > 0).astype(np.float64).where(count > 0).rename("label")


_Build = Callable[[str, int, int], Feature]


def _summed(term: Term, where: str | None = None) -> _Build:
    def build(name: str, days: int, ago: int) -> Feature:
        return Sum(name, term.table, term.column, days, where, ending_days_ago=ago)

    return build


def _counted(table: EventTable, where: str | None, column: str | None = None) -> _Build:
    def build(name: str, days: int, ago: int) -> Feature:
        return Count(name, table, days, where, column, ending_days_ago=ago)

    return build


def _ahead(
    index: pd.DataFrame,
    tables: Mapping[str, Any],
    table: EventTable,
    build: _Build,
    horizon_days: int,
    observed_through: date,
    entity: str,
    full_horizon: bool = True,
) -> pd.Series:
    """A window ahead of each as_of is a window some days back from ``observed_through``."""
    windows: dict[pd.Timestamp, Feature] = {}
    for stamp in index["as_of"].unique():
        end = pd.Timestamp(stamp).date() + timedelta(days=horizon_days)
        if end > observed_through and full_horizon:
            continue
        days_back = (observed_through - pd.Timestamp(stamp).date()).days
        ago = max(0, (observed_through - end).days)
        if days_back > ago:
            windows[stamp] = build(str(stamp), days_back - ago, ago)
    label = pd.Series(np.nan, index=index.index, name="label")
    if not windows:
        return label
    known = compute(
        list(windows.values()),
        tables,
        as_ofs=[observed_through],
        population=Active(table, None),
        entity=entity,
    ).frame.set_index(entity)
    for stamp, feature in windows.items():
        rows = index["as_of"] == stamp
        found = known[feature.name].reindex(index.loc[rows, entity])
        label[rows] = found.fillna(0.0).to_numpy()
    return label
