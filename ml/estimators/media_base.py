"""What would have come without media: level, trend, season and controls as one ridge design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_YEAR = 365.25


@dataclass(frozen=True)
class BaseDesign:
    """Columns of the base, by group, for any dates; standardised as they were when fitted.

    step_days is the spacing of the periods (None: rows have no dates, their position counts).
    knots are places in [0, 1] of the fitted span at which the trend may bend.
    """

    origin: float
    span: float
    step_days: float | None
    knots: tuple[float, ...] = ()
    pairs: int = 0
    weekdays: bool = False
    trend: bool = True
    numeric: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, index: pd.Index, controls: pd.DataFrame | None, *, trend: bool, season: bool
    ) -> BaseDesign:
        """Choose the columns for these periods (and, without ``index`` dates, no season)."""
        step = spacing(index)
        place = _place(index)
        span = float(max(place[-1] - place[0], 1.0))
        years = span / _YEAR if step is not None else 0.0
        pairs = 0
        if season and step is not None and years >= 1.0:
            pairs = min(4, int(_YEAR / step / 2) - 1) if years >= 1.8 else 2
        bends = min(12, int(years * 3)) if step is not None else min(8, len(index) // 26)
        numeric: dict[str, tuple[float, float]] = {}
        categories: dict[str, tuple[str, ...]] = {}
        for name, column in () if controls is None else controls.items():
            if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
                values = column.to_numpy(dtype=np.float64)
                numeric[str(name)] = (float(values.mean()), float(values.std()) or 1.0)
            else:
                categories[str(name)] = tuple(sorted(column.astype(str).unique()))[1:]
        return cls(
            origin=float(place[0]),
            span=span,
            step_days=step,
            knots=tuple(np.linspace(0, 1, bends + 2)[1:-1]) if trend else (),
            pairs=pairs,
            weekdays=bool(season and step == 1.0 and len(index) >= 28),
            trend=trend,
            numeric=numeric,
            categories=categories,
        )

    def matrix(self, index: pd.Index, controls: pd.DataFrame | None) -> tuple[Floats, list[str]]:
        """Columns (periods, p) and the group of each: level, trend, bend, season, control."""
        time = (_place(index) - self.origin) / self.span
        columns: list[Floats] = [np.ones(len(index))]
        groups = ["level"]
        if self.trend:
            columns.append(time - 0.5)
            groups.append("trend")
        for knot in self.knots:
            columns.append(np.maximum(time - knot, 0.0))
            groups.append("bend")
        if self.pairs:
            turn = 2 * np.pi * _place(index) / _YEAR
            for order in range(1, self.pairs + 1):
                # Divided by the order: a short wave needs more evidence than a long one.
                columns += [np.sin(order * turn) / order, np.cos(order * turn) / order]
                groups += ["season", "season"]
        if self.weekdays:
            weekday = np.asarray(pd.DatetimeIndex(index).dayofweek)
            columns += [(weekday == day).astype(float) - 1 / 7 for day in range(6)]
            groups += ["control"] * 6
        for column in self._controls(controls, len(index)):
            columns.append(column)
            groups.append("control")
        return np.column_stack(columns), groups

    def _controls(self, controls: pd.DataFrame | None, rows: int) -> list[Floats]:
        wanted = [*self.numeric, *self.categories]
        given = [] if controls is None else [str(name) for name in controls.columns]
        missing = [name for name in wanted if name not in given]
        if missing:
            raise ValueError(f"controls lack the fitted columns {missing}; given are {given}")
        if controls is None:
            return []
        if len(controls) != rows:
            raise ValueError(f"controls have {len(controls)} rows, spend has {rows}")
        columns = [
            (controls[name].to_numpy(dtype=np.float64) - mean) / scale
            for name, (mean, scale) in self.numeric.items()
        ]
        for name, values in self.categories.items():
            texts = controls[name].astype(str).to_numpy()
            columns += [(texts == value).astype(float) for value in values]
        return columns

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "origin": self.origin,
            "span": self.span,
            "step_days": self.step_days,
            "knots": list(self.knots),
            "pairs": self.pairs,
            "weekdays": self.weekdays,
            "trend": self.trend,
            "numeric": {name: list(pair) for name, pair in self.numeric.items()},
            "categories": {name: list(values) for name, values in self.categories.items()},
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> BaseDesign:
        """The design that ``to_dict`` described."""
        return cls(
            origin=state["origin"],
            span=state["span"],
            step_days=state["step_days"],
            knots=tuple(state["knots"]),
            pairs=state["pairs"],
            weekdays=state["weekdays"],
            trend=state["trend"],
            numeric={name: (pair[0], pair[1]) for name, pair in state["numeric"].items()},
            categories={name: tuple(values) for name, values in state["categories"].items()},
        )


def spacing(index: pd.Index) -> float | None:
    """Usual days between periods; None where the index holds no dates."""
    if not isinstance(index, pd.DatetimeIndex):
        return None
    days = np.diff(_place(index))
    return float(np.median(days)) if len(days) else 1.0


def _place(index: pd.Index) -> Floats:
    """Days since 1970 of dates, else the numbers of the index."""
    if isinstance(index, pd.DatetimeIndex):
        return np.asarray((index - pd.Timestamp(0)) / pd.Timedelta(days=1), dtype=np.float64)
    return np.asarray(index, dtype=np.float64)
