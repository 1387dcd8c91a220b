"""How spend acts: carry-over into later periods, and saturation; values and slopes.

Every saturation curve here is concave and zero at zero, so a sum of them has one best split of a
budget and it can be found exactly (:mod:`ml.estimators.allocation`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Saturation families, from the slowest to the sharpest.
FAMILIES = ("log", "hill", "exp", "tanh")


def carry_over(spend: Floats, decay: float, order: int, before: float) -> Floats:
    """Spend as it still acts in each period: ``order`` geometric carry-overs in a row (Pascal lag).

    Order 1 acts most at once and then decays (Koyck); higher orders rise first (Solow 1960). The
    weights sum to 1, so steady spend x acts as x. ``before`` is the steady spend ahead of the
    first period (a firm seldom starts to advertise on the first day of its books).
    """
    from scipy.signal import lfilter

    if decay == 0.0:
        return spend
    for _ in range(order):
        spend, _state = lfilter([1.0 - decay], [1.0, -decay], spend, zi=[decay * before])
    return np.asarray(spend)


def saturate(load: Floats, family: int) -> Floats:
    """Response to a load >= 0 (spend over its saturation scale); slope 1 at zero."""
    if family == 0:
        return np.log1p(load)
    if family == 1:
        return load / (1.0 + load)
    if family == 2:
        return -np.expm1(-load)
    return np.tanh(load)


def slope(load: Floats, family: int) -> Floats:
    """Derivative of :func:`saturate`; decreasing, since the curves are concave."""
    if family == 0:
        return 1.0 / (1.0 + load)
    if family == 1:
        return 1.0 / (1.0 + load) ** 2
    if family == 2:
        return np.exp(-load)
    return 1.0 / np.cosh(np.minimum(load, 350.0)) ** 2


def mixed_slopes(load: Floats, family: NDArray[np.int64]) -> Floats:
    """:func:`slope` of loads whose families differ, both of one shape."""
    decay = np.exp(-load)
    hill = 1.0 / (1.0 + load)
    # 1 / cosh(x)**2, written so that nothing overflows.
    tanh = (2.0 * decay / (1.0 + decay**2)) ** 2
    return np.where(
        family < 2, np.where(family == 0, hill, hill**2), np.where(family == 2, decay, tanh)
    )
