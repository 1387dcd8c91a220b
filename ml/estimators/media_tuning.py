"""How freely the base of a media mix may bend, and how its noise hangs together over time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ml.estimators.media_curves import carry_over

Floats = NDArray[np.float64]
#: Prior precisions of a group's coefficients to choose from, in units of the noise precision.
GRIDS: Mapping[str, tuple[float, ...]] = {
    "bend": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 1e3),
    "season": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0, 1e3),
}


def tune(y: Floats, base: Floats, groups: list[str], media: Floats) -> tuple[Floats, Floats]:
    """Prior precision of each base column by empirical Bayes, and the residuals with it.

    y (periods,) of deviation 1, base (periods, p) with the group of each column, media columns
    (periods, channels) that stand for what media brings.
    """
    kinds = np.array(groups)
    best, found = np.inf, (np.zeros(len(groups)), y)
    for bend in GRIDS["bend"] if (kinds == "bend").any() else (1.0,):
        for season in GRIDS["season"] if (kinds == "season").any() else (1.0,):
            penalty = np.full(len(groups), 1e-8)
            penalty[kinds == "bend"] = bend
            penalty[kinds == "season"] = season
            penalty[kinds == "control"] = 1e-3
            score, residual = _evidence(y, np.column_stack([base, media]), penalty)
            if score < best:
                best, found = score, (penalty, residual)
    return found


def moved_penalty(
    penalty: Floats, mine: NDArray[np.bool_], group: str, rng: np.random.Generator
) -> Floats | None:
    """The precisions with those of a group a step up or down its grid; None beyond its end."""
    if not mine.any():
        return None
    grid = GRIDS[group]
    place = grid.index(float(penalty[mine][0])) + (1 if rng.random() < 0.5 else -1)
    if not 0 <= place < len(grid):
        return None
    result = penalty.copy()
    result[mine] = grid[place]
    return result


def _evidence(y: Floats, design: Floats, penalty: Floats) -> tuple[float, Floats]:
    """Minus twice the log marginal likelihood up to a constant, and the residuals."""
    ridge = np.concatenate([penalty, np.full(design.shape[1] - len(penalty), 1e-2)])
    gram = design.T @ design + np.diag(ridge)
    weights = np.linalg.solve(gram, design.T @ y)
    misfit = float(y @ y - y @ (design @ weights))
    size = float(np.linalg.slogdet(gram)[1] - np.log(ridge).sum())
    return len(y) * np.log(misfit) + size, y - design @ weights


def autocorrelation(residual: Floats) -> float:
    """First-order autocorrelation of the noise; 0 unless it stands out from chance."""
    rho = float(residual[1:] @ residual[:-1] / (residual @ residual))
    return float(np.clip(rho, 0.0, 0.9)) if rho * np.sqrt(len(residual)) > 2.0 else 0.0


def rough_media(money: Floats, carry: bool) -> Floats:
    """Concave, carried-over columns with an ordinary decay, (periods, channels)."""
    decay = 0.5 if carry else 0.0
    return np.column_stack(
        [np.sqrt(carry_over(x, decay, 1, float(x[:8].mean())) / x.mean()) for x in money.T]
    )
