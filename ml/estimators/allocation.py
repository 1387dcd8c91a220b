"""Split a total over channels with concave responses: exact optimum, then exact to the cent.

At the optimum every channel inside its bounds has the same slope (Karush-Kuhn-Tucker), so the
split is found by bisection on that common slope ("water-filling").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_DEEPEST = 60.0
Bounds = Mapping[str, tuple[float | None, float | None]]


class InfeasibleBudgetError(ValueError):
    """No split keeps to the bounds; the message says what to change."""


def to_cents(amount: float, name: str) -> int:
    """A money amount >= 0 in whole cents; finer, negative or non-finite amounts are refused."""
    if not np.isfinite(amount) or amount < 0:
        raise ValueError(f"{name} is {amount!r}; expected an amount of money, 0 or more")
    cents = round(amount * 100)
    if abs(amount * 100 - cents) > 1e-6 * max(1.0, amount):
        raise ValueError(f"{name} is {amount!r}, finer than a cent; round it to two decimals")
    return cents


def bounds_in_cents(
    channels: Sequence[str], total: int, bounds: Bounds | None
) -> tuple[Ints, Ints]:
    """Least and most cents of each channel, checked for feasibility against the total."""
    low = np.zeros(len(channels), dtype=np.int64)
    high = np.full(len(channels), total, dtype=np.int64)
    unknown = sorted(set(bounds or {}) - set(channels))
    if unknown:
        raise ValueError(f"bounds name unknown channels {unknown}; fitted are {list(channels)}")
    for name, (least, most) in (bounds or {}).items():
        position = list(channels).index(name)
        low[position] = to_cents(least or 0.0, f"the lower bound of {name!r}")
        if most is not None and not np.isposinf(most):
            high[position] = min(total, to_cents(most, f"the upper bound of {name!r}"))
            if to_cents(most, name) < low[position]:
                raise InfeasibleBudgetError(
                    f"the bounds of {name!r} are ({least}, {most}): the lower is above the upper"
                )
    if low.sum() > total:
        raise InfeasibleBudgetError(
            f"the lower bounds sum to {low.sum() / 100:.2f}, above the total {total / 100:.2f}: "
            "raise the total or lower the bounds"
        )
    if high.sum() < total:
        raise InfeasibleBudgetError(
            f"the upper bounds sum to {high.sum() / 100:.2f}, below the total {total / 100:.2f}: "
            "lower the total or raise the bounds"
        )
    return low, high


def split(slopes: Callable[[Floats], Floats], total: int, low: Ints, high: Ints) -> Ints:
    """Cents of each channel, summing to ``total``, that maximise the summed concave responses.

    ``slopes`` maps cents of every channel (shape (channels,)) to the slope of its response there
    and must not increase. Bounds must be feasible (:func:`bounds_in_cents`).
    """
    lower, upper = low.astype(np.float64), high.astype(np.float64)
    steepest = float(slopes(lower).max())
    if steepest <= 0.0 or total == low.sum():
        return _spread(lower, upper, total, low, high)

    def filled(level: float) -> Floats:
        """Each channel's amount at which its slope has come down to ``level``."""
        inside_low, inside_high = lower.copy(), upper.copy()
        for _ in range(48):
            middle = (inside_low + inside_high) / 2
            steep = slopes(middle) > level
            inside_low = np.where(steep, middle, inside_low)
            inside_high = np.where(steep, inside_high, middle)
        return np.where(slopes(upper) > level, upper, (inside_low + inside_high) / 2)

    def excess(log_level: float) -> float:
        return float(filled(np.exp(log_level)).sum() - total)

    # Slopes may span many orders of magnitude (a saturated channel's is almost 0): search in logs.
    dear, cheap = np.log(steepest), np.log(steepest) - _DEEPEST
    if excess(cheap) < 0:
        return _spread(filled(np.exp(cheap)), upper, total, low, high)
    if excess(dear) > 0:
        return _to_whole(filled(np.exp(dear)), total, low, high)
    level = brentq(excess, cheap, dear, xtol=1e-13)
    # Where responses are straight the filling jumps at the level: go part of the way.
    dear, cheap = level + 1e-12, level - 1e-12
    few, many = filled(np.exp(dear)), filled(np.exp(cheap))
    gap = many.sum() - few.sum()
    share = (total - few.sum()) / gap if gap > 0 else 0.0
    return _to_whole(few + np.clip(share, 0.0, 1.0) * (many - few), total, low, high)


def _spread(amounts: Floats, upper: Floats, total: int, low: Ints, high: Ints) -> Ints:
    """Nothing more is earned anywhere: fill up in proportion to the room that is left."""
    room = upper - amounts
    rest = total - amounts.sum()
    if room.sum() > 0:
        amounts = amounts + room * rest / room.sum()
    return _to_whole(amounts, total, low, high)


def _to_whole(amounts: Floats, total: int, low: Ints, high: Ints) -> Ints:
    """Whole cents by largest remainder, inside the bounds, summing to the total exactly."""
    whole = np.clip(np.floor(amounts).astype(np.int64), low, high)
    order = np.argsort(-(amounts - whole), kind="stable")
    missing = int(total - whole.sum())
    while missing:
        step = 1 if missing > 0 else -1
        sequence = order if step > 0 else order[::-1]
        open_ = [c for c in sequence if low[c] <= whole[c] + step <= high[c]]
        for position in open_[: abs(missing)]:
            # The first pass gives single cents by remainder; what is left after it is float noise
            # on large totals, which goes wherever there is room.
            whole[position] += step
        missing = int(total - whole.sum())
    return whole
