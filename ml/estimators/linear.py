"""A ridge model on an encoded matrix, linear or logistic: the smooth part under the trees.

Trees cannot extrapolate and waste splits on straight lines; a regularised linear model does both
well and holds up on a few hundred rows. Numbers enter standardised and, with ``curved``, also as
asinh of their size; categories as one effect a level; a missing value as its own effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

_BLOCK = 4096
_LEAST_LEVEL = 10  # a rarer category has no effect of its own
_MOST_ROWS = 60_000  # coefficients of a few dozen terms are settled well before


@dataclass(frozen=True)
class _Column:
    """How one column of the matrix turns into terms, and the effects of these terms."""

    low: float = 0.0
    high: float = 0.0
    slope: float = 0.0
    curve: float = 0.0
    unit: float = 1.0
    base: float = 0.0
    absent: float = 0.0
    levels: tuple[float, ...] | None = None


class LinearPart:
    """Fitted effects; ``predict`` is ``intercept`` plus the sum of ``contributions``."""

    def __init__(self, columns: Sequence[_Column], intercept: float) -> None:
        self.columns = tuple(columns)
        self.intercept = intercept
        numeric = [i for i, column in enumerate(self.columns) if column.levels is None]
        self._numeric = np.array(numeric, dtype=np.int64)
        # A constant or effect-free column costs nothing when predicting.
        self._levels = {
            i: np.array(column.levels)  # the last one: missing or unseen
            for i, column in enumerate(self.columns)
            if column.levels
        }

        def array(name: str) -> np.ndarray:
            return np.array([getattr(self.columns[i], name) for i in numeric], dtype=np.float64)

        self._low, self._high, self._unit = array("low"), array("high"), array("unit")
        self._slope, self._curve = array("slope"), array("curve")
        self._base, self._absent = array("base"), array("absent")
        self._curved = bool(np.any(self._curve != 0))

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Intercept plus all contributions, shape (rows,)."""
        if len(matrix) == 1:
            return np.array([self._one(matrix[0])])
        out = np.full(len(matrix), self.intercept)
        for start in range(0, len(matrix), _BLOCK):
            block = matrix[start : start + _BLOCK]
            part = out[start : start + _BLOCK]
            part += self._numbers(block).sum(axis=1)
            for position in self._levels:
                part += self._level(block, position)
        return out

    def _one(self, row: np.ndarray) -> float:
        """The same for a single row (columns,), bit for bit, in a third of the calls."""
        values = row.take(self._numeric)
        gone = np.isnan(values)
        np.maximum(values, self._low, out=values)
        np.minimum(values, self._high, out=values)
        effect = values * self._slope
        effect += self._base
        if self._curved:
            values /= self._unit
            np.arcsinh(values, out=values)
            values *= self._curve
            effect += values
        np.copyto(effect, self._absent, where=gone)
        out = self.intercept + float(np.add.reduce(effect))
        for position, effects in self._levels.items():
            code = row[position]
            out += float(effects[-1 if np.isnan(code) else int(code)])
        return out

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """What each column adds, shape (rows, columns), against its average in the training."""
        out = np.zeros(matrix.shape)
        for start in range(0, len(matrix), _BLOCK):
            block = matrix[start : start + _BLOCK]
            out[start : start + _BLOCK, self._numeric] = self._numbers(block)
        for position in self._levels:
            out[:, position] = self._level(matrix, position)
        return out

    def _numbers(self, block: np.ndarray) -> np.ndarray:
        # ``take`` gives rows of their own, so that each is summed the same way whatever lies beside
        # it; ``block[:, …]`` gives columns, whose sums depend on how many rows there are.
        values = block.take(self._numeric, axis=1)
        gone = np.isnan(values)
        np.maximum(values, self._low, out=values)
        np.minimum(values, self._high, out=values)
        effect = values * self._slope + self._base
        if self._curved:
            effect += np.arcsinh(values / self._unit) * self._curve
        return np.where(gone, self._absent, effect)

    def _level(self, block: np.ndarray, position: int) -> np.ndarray:
        effects = self._levels[position]
        codes = block[:, position]
        # NaN cannot be cast; it stands for missing and unseen alike.
        return effects[np.where(np.isnan(codes), len(effects) - 1, codes).astype(np.int64)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; floats survive a round trip exactly."""
        return {"intercept": self.intercept, "columns": [vars(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> LinearPart:
        """The part that ``to_dict`` described."""
        columns = [
            _Column(**{**column, "levels": None if (v := column["levels"]) is None else tuple(v)})
            for column in state["columns"]
        ]
        return cls(columns, state["intercept"])


def fit_linear(
    matrix: np.ndarray,
    y: np.ndarray,
    *,
    sizes: dict[int, int],
    logistic: bool,
    curved: bool,
    penalty: float,
    weight: np.ndarray | None = None,
    seed: int = 0,
) -> LinearPart:
    """Fit by penalised least squares, or Newton's method for ``logistic`` (y then 0 or 1).

    ``matrix`` has shape (rows, columns), NaN for missing; ``sizes`` maps a categorical column's
    position to its number of levels; ``penalty`` is the ridge penalty on standardised terms.
    """
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    if len(y) > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(y), _MOST_ROWS, replace=False))
        matrix, y, weight = matrix[chosen], y[chosen], weight[chosen]
    weight = weight / weight.mean()
    drafts = [_draft(matrix[:, i], sizes.get(i), curved) for i in range(matrix.shape[1])]
    terms = [term for _, terms in drafts for term in terms]
    design = np.column_stack([np.ones(len(y)), *terms])
    centers = np.average(design, axis=0, weights=weight)
    centers[0] = 0.0
    design -= centers
    spread = np.sqrt(np.average(design**2, axis=0, weights=weight))
    scale = np.where(spread > 1e-12, spread, np.inf)  # a constant term gets no effect
    design /= scale
    effects = _solve(design, y, weight, logistic, penalty) / scale
    columns, at = [], 1
    for column, own in drafts:
        width = len(own)
        columns.append(_settle(column, effects[at : at + width], centers[at : at + width]))
        at += width
    return LinearPart(columns, float(effects[0]))


def fit_sized_linear(
    matrix: np.ndarray,
    y: np.ndarray,
    *,
    sizes: dict[int, int],
    power: float,
    penalty: float,
    weight: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[LinearPart, np.ndarray]:
    """Least squares twice: the second time rows weigh one over the size predicted, to ``power``.

    Returns these weights (rows,) too, for what is fitted on the residual.

    Money varies with its size, so plain least squares hears only the largest rows. Weights come
    from X alone, which leaves the mean unbiased (feasible generalised least squares).
    """

    def fit(by: np.ndarray | None) -> LinearPart:
        return fit_linear(
            matrix,
            y,
            sizes=sizes,
            logistic=False,
            curved=False,
            penalty=penalty,
            weight=by,
            seed=seed,
        )

    least = 0.5 * float(np.abs(y).mean()) + 1e-12
    by = np.maximum(fit(weight).predict(matrix), least) ** -power
    by = by if weight is None else by * weight
    by = by / by.mean()
    return fit(by), by


def _draft(
    values: np.ndarray, levels: int | None, curved: bool
) -> tuple[_Column, list[np.ndarray]]:
    """A column without effects yet, and its terms: three of a number, one a level and missing."""
    gone = ~np.isfinite(values)
    absent = gone.astype(np.float64)
    none = np.zeros(len(values))
    if levels is not None:
        counts = np.bincount(values[~gone].astype(np.int64), minlength=levels)
        own = [
            (values == k).astype(np.float64) if counts[k] >= _LEAST_LEVEL else none
            for k in range(levels)
        ]
        return _Column(levels=(0.0,) * (levels + 1)), [*own, absent]
    known = values[~gone]
    if not len(known):
        return _Column(), [none, none, none]
    # asinh is straight near zero and a logarithm beyond ``unit``: right for money of either sign.
    unit = float(np.median(np.abs(known))) or float(np.abs(known).mean()) or 1.0
    straight, bent = none.copy(), none.copy()
    straight[~gone] = known
    if curved:
        bent[~gone] = np.arcsinh(known / unit)
    column = _Column(low=float(known.min()), high=float(known.max()), unit=unit)
    return column, [straight, bent, absent]


def _settle(column: _Column, effects: np.ndarray, centers: np.ndarray) -> _Column:
    """The column with its effects, shifted so that its average contribution is zero."""
    mean = float(effects @ centers)
    if column.levels is not None:
        return _Column(levels=tuple(float(effect) - mean for effect in effects))
    slope, curve, absent = (float(effect) for effect in effects)
    return replace(column, slope=slope, curve=curve, base=-mean, absent=absent - mean)


def _solve(
    design: np.ndarray, y: np.ndarray, weight: np.ndarray, logistic: bool, penalty: float
) -> np.ndarray:
    ridge = np.full(design.shape[1], float(penalty))
    ridge[0] = 1e-9  # the intercept is free
    if not logistic:
        gram = design.T @ (design * weight[:, None])
        gram[np.diag_indices_from(gram)] += ridge
        return np.linalg.solve(gram, design.T @ (weight * y))
    effects = np.zeros(design.shape[1])
    rate = np.clip(np.average(y, weights=weight), 1e-6, 1 - 1e-6)
    effects[0] = np.log(rate / (1 - rate))
    loss = _penalised_loss(design @ effects, y, weight, ridge, effects)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(design @ effects, -30, 30)))
        slope = design.T @ (weight * (y - chance)) - ridge * effects
        curvature = np.maximum(weight * chance * (1 - chance), 1e-9)
        gram = design.T @ (design * curvature[:, None])
        gram[np.diag_indices_from(gram)] += ridge
        step = np.linalg.solve(gram, slope)
        # A full step may overshoot to where every chance is 0 or 1, and the next one then has no
        # end: the free intercept meets no curvature there.
        for _halving in range(30):
            tried = effects + step
            reached = _penalised_loss(design @ tried, y, weight, ridge, tried)
            if reached <= loss + 1e-9 * abs(loss):
                break
            step = step / 2
        else:
            break
        effects, loss = tried, reached
        if np.abs(step).max() < 1e-8:
            break
    return effects


def _penalised_loss(
    odds: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: np.ndarray, effects: np.ndarray
) -> float:
    """Minus the log-likelihood of log-odds, and half the ridge penalty."""
    return float(weight @ (np.logaddexp(0.0, odds) - y * odds) + 0.5 * (ridge @ effects**2))
