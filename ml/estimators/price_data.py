"""Input of the price response: checked, in logarithms, with controls and groups as codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.estimators.partial_out import residuals, robust_covariance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_CUTS = 3


@dataclass(frozen=True)
class PriceData:
    """Rows with a positive price and quantity.

    x, y: log price and log quantity. numbers: numeric controls (rows, p). effects: codes of each
    categorical control. group: position in ``labels``. block: rows that share the controls'
    effects. left_out: rows given without a positive price and quantity.
    """

    x: Floats
    y: Floats
    weights: Floats
    numbers: Floats
    effects: tuple[Ints, ...]
    group: Ints
    block: Ints
    clusters: Ints | None
    labels: list[tuple[Any, ...]]
    group_names: list[str]
    left_out: int

    @classmethod
    def build(
        cls,
        price: Any,
        quantity: Any,
        controls: pd.DataFrame | None,
        groups: pd.Series | pd.DataFrame | None,
        weights: Any,
        clusters: Any,
    ) -> PriceData:
        """Check shapes and values; ValueError says what is wrong and where."""
        price = np.asarray(price, dtype=np.float64)
        quantity = np.asarray(quantity, dtype=np.float64)
        rows = len(price)
        for name, given in (
            ("quantity", quantity),
            ("controls", controls),
            ("groups", groups),
            ("weights", weights),
            ("clusters", clusters),
        ):
            if given is not None and len(given) != rows:
                raise ValueError(f"{name} has {len(given)} rows, price has {rows}")
        usable = np.isfinite(price) & np.isfinite(quantity) & (price > 0) & (quantity > 0)
        if not usable.any():
            raise ValueError(
                f"none of the {rows} rows has a positive price and quantity, so there is nothing "
                "to learn from"
            )
        weight = np.ones(rows) if weights is None else np.asarray(weights, dtype=np.float64)
        if not (np.isfinite(weight) & (weight > 0)).all():
            raise ValueError("weights must be positive numbers")
        numbers, effects = _controls(controls, usable)
        names, labels, group, block = _groups(groups, usable)
        return cls(
            x=np.log(price[usable]),
            y=np.log(quantity[usable]),
            weights=weight[usable],
            numbers=numbers,
            effects=effects,
            group=group,
            block=block,
            clusters=None if clusters is None else _codes(np.asarray(clusters)[usable]),
            labels=labels,
            group_names=names,
            left_out=int(rows - usable.sum()),
        )

    def blocks(self, kept: NDArray[np.bool_] | None = None) -> list[Ints]:
        """Positions of the rows ``kept`` (all) of each block, in order, where there are any."""
        rows = np.arange(len(self.block)) if kept is None else np.nonzero(kept)[0]
        blocks = self.block[rows]
        order = np.argsort(blocks, kind="stable")
        cuts = np.nonzero(np.diff(blocks[order]))[0] + 1
        return [part for part in np.split(rows[order], cuts) if len(part)]

    def effects_of(self, inside: Ints) -> list[Ints]:
        """Codes of the effects in these rows, from 0 without gaps, none implied by another.

        Groups have levels too.
        """
        return _not_nested([_codes(codes[inside]) for codes in (self.group, *self.effects)])

    def slopes(self, inside: Ints, present: Ints) -> tuple[Floats, Floats, Floats]:
        """Slopes of the groups ``present`` in the rows of one block, estimated together.

        Returns slopes, their covariance, the deviation of log price that the controls leave in
        each group. Slopes are NaN where no price is left.
        """
        effects = self.effects_of(inside)
        member = self.group[inside][:, None] == present[None, :]
        weights = self.weights[inside]
        prices = np.where(member, self.x[inside][:, None], 0.0)
        left = residuals(
            np.column_stack([self.y[inside], prices]), self.numbers[inside], effects, weights
        )
        y, x = left[:, 0], left[:, 1:]
        energy = (weights[:, None] * x**2).sum(axis=0)
        spread = np.sqrt(energy / np.maximum((weights[:, None] * member).sum(axis=0), 1e-300))
        moves = spread > 1e-6
        slope = np.full(len(present), np.nan)
        covariance = np.zeros((len(present), len(present)))
        if moves.any():
            slope[moves], errors = _robust_slopes(x[:, moves], y, weights)
            clusters = None if self.clusters is None else _codes(self.clusters[inside])
            covariance[np.ix_(moves, moves)] = robust_covariance(
                x[:, moves], errors, weights, effects, clusters
            )
        return slope, covariance, spread


def _not_nested(effects: list[Ints]) -> list[Ints]:
    """Effects less those that another one implies: a client has one segment, mostly."""
    kept = list(effects)
    for codes in effects:
        others = [other for other in kept if other is not codes]
        if any(_implies(other, codes) for other in others):
            kept = others
    return kept


def _implies(finer: Ints, coarser: Ints) -> bool:
    first = np.zeros(int(finer.max()) + 1, dtype=np.int64)
    first[finer] = coarser
    return bool((first[finer] == coarser).all())


def _robust_slopes(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Least squares slopes and errors, with errors beyond four deviations cut back to that.

    A quantity typed ten times too high is no answer to a price. The deviation is the median's,
    so the typos do not widen it.
    """
    root = np.sqrt(weights)
    target = y
    for _ in range(_CUTS):
        slope, *_ = np.linalg.lstsq(root[:, None] * x, root * target, rcond=1e-10)
        fitted = x @ slope
        limit = 4.0 * 1.4826 * float(np.median(np.abs(root * (y - fitted)))) / root
        target = fitted + np.clip(y - fitted, -limit, limit)
    return np.asarray(slope), target - fitted


def _codes(values: Any) -> Ints:
    codes, _ = pd.factorize(np.asarray(values), use_na_sentinel=False)
    return np.asarray(codes, dtype=np.int64)


def _controls(
    controls: pd.DataFrame | None, usable: NDArray[np.bool_]
) -> tuple[Floats, tuple[Ints, ...]]:
    numbers, effects = [np.empty((int(usable.sum()), 0))], []
    for name in [] if controls is None else list(controls.columns):
        column = controls[name][usable] if controls is not None else None
        if column is None:
            continue
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            gone = ~np.isfinite(values)
            if gone.all():
                raise ValueError(f"control {name!r} has no value in any usable row")
            # A missing number is an effect of its own beside the mean, so that no row is lost.
            values = np.where(gone, values[~gone].mean(), values)
            numbers.append((values - values.mean())[:, None])
            if gone.any():
                effects.append(gone.astype(np.int64))
        else:
            effects.append(_codes(column.astype(object)))
    return np.column_stack(numbers), tuple(effects)


def _groups(
    groups: pd.Series | pd.DataFrame | None, usable: NDArray[np.bool_]
) -> tuple[list[str], list[tuple[Any, ...]], Ints, Ints]:
    rows = int(usable.sum())
    if groups is None:
        return [], [("all",)], np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    frame = groups if isinstance(groups, pd.DataFrame) else pd.Series(groups).to_frame()
    frame = frame[usable].astype(str)
    names = [str(name) for name in frame.columns]
    if not isinstance(groups, pd.DataFrame):
        names = [str(getattr(groups, "name", None) or "group")]
    keys = list(zip(*(frame[column] for column in frame.columns), strict=True))
    labels = sorted(set(keys))
    position = {label: number for number, label in enumerate(labels)}
    group = np.array([position[key] for key in keys], dtype=np.int64)
    block = _codes(frame.iloc[:, 0]) if len(names) > 1 else np.zeros(rows, dtype=np.int64)
    return names, labels, group, block
