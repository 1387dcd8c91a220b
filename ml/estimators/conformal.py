"""Prediction intervals from out-of-fold residuals, for any coverage asked for later.

Locally weighted conformal prediction (Lei et al. 2018, section 5.2) on cross-validated residuals
(Barber et al. 2021, CV+), with separate quantiles below and above since margins are skewed
(Romano et al. 2019), and separate tables by predicted difficulty (Mondrian; Vovk et al. 2005).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_GRID = 401  # stored quantiles a table
_LEAST_ROWS = 250  # rows a table needs
_MOST_TABLES = 20


@dataclass(frozen=True)
class ResidualBands:
    """Quantile tables of scaled residuals, one for each range of difficulty.

    ``edges`` (tables-1,) splits the difficulty; ``table`` (tables, grid) holds the residual divided
    by the difficulty at ``levels`` (grid,).
    """

    edges: np.ndarray
    levels: np.ndarray
    table: np.ndarray
    _at: dict[float, np.ndarray] = field(default_factory=dict, init=False, compare=False)

    @classmethod
    def fit(cls, residual: np.ndarray, difficulty: np.ndarray) -> ResidualBands:
        """Learn from out-of-fold residuals and their predicted positive difficulty, (rows,)."""
        tables = int(min(_MOST_TABLES, max(1, len(residual) // _LEAST_ROWS)))
        edges = np.unique(np.quantile(difficulty, np.linspace(0, 1, tables + 1)[1:-1]))
        group = np.searchsorted(edges, difficulty, side="right")
        scaled = residual / difficulty
        # Finer towards both ends, where wide coverages look.
        levels = (1 - np.cos(np.linspace(0, np.pi, _GRID))) / 2
        filled = [k for k in range(len(edges) + 1) if (group == k).any()]
        rows = [_conformal_quantiles(scaled[group == k], levels) for k in filled]
        kept = edges[[k - 1 for k in filled[1:]]] if len(filled) > 1 else np.array([])
        return cls(kept, levels, np.array(rows))

    def quantile(self, difficulty: np.ndarray, level: float) -> np.ndarray:
        """The residual that a share ``level`` of rows of this difficulty stay below, (rows,)."""
        at = self._at.get(level)
        if at is None:
            at = np.array([np.interp(level, self.levels, row) for row in self.table])
            self._at[level] = at
        return at[np.searchsorted(self.edges, difficulty, side="right")] * difficulty

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {name: getattr(self, name).tolist() for name in ("edges", "levels", "table")}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> ResidualBands:
        """The bands that ``to_dict`` described."""
        return cls(**{name: np.array(value, dtype=np.float64) for name, value in state.items()})


def _conformal_quantiles(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles at rank level * (n + 1), the conformal rank; the ends are the extremes seen."""
    ordered = np.sort(values)
    ranks = levels * (len(ordered) + 1) - 1
    return np.interp(ranks, np.arange(len(ordered)), ordered)
