"""Any mixed DataFrame as one standardised matrix without gaps, where distance means something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.estimators.tabular import TabularEncoder

if TYPE_CHECKING:
    import pandas as pd

_GRID = 257


@dataclass(frozen=True)
class RowMatrix:
    """How columns become numbers.

    A category becomes its rarity (minus the log of its share when fitted; an unseen one is rarer
    than any), since the order of codes means nothing. A gap becomes the column's median, and one
    more column adds up how rare a row's gaps are. All are then scaled to mean 0 and deviation 1.
    ``grid`` holds each column's quantiles, for the tails that ``reasons`` names.
    """

    encoder: TabularEncoder
    rarity: dict[str, np.ndarray]
    median: np.ndarray
    gap_rarity: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    grid: np.ndarray
    rows: int

    @classmethod
    def fit(cls, X: pd.DataFrame) -> RowMatrix:
        """Learn from X of shape (rows, columns), at least one of each."""
        encoder = TabularEncoder.fit(X)
        if not len(X) or not encoder.columns:
            raise ValueError(f"X must have rows and columns, got shape {X.shape}")
        codes = _finite(encoder.transform(X))
        rows = len(codes)
        rarity = {
            name: _category_rarity(codes[:, at], len(encoder.categories[name]))
            for at, name in enumerate(encoder.columns)
            if name in encoder.categories
        }
        share = np.clip((np.isnan(codes).sum(axis=0) + 0.5) / (rows + 1), None, 1.0)
        blank = cls(
            encoder, rarity, np.zeros(codes.shape[1]), -np.log(share),
            np.zeros(codes.shape[1] + 1), np.ones(codes.shape[1] + 1), np.zeros((0, 0)), rows,
        )  # fmt: skip
        raw = blank._raw(codes)
        known = np.where(np.isnan(raw).all(axis=0), 0.0, raw)
        median = np.nanmedian(known, axis=0)[:-1]
        filled = _fill(raw, median)
        deviation = filled.std(axis=0)
        grid = np.quantile(filled, np.linspace(0, 1, _GRID), axis=0).T
        return cls(
            encoder, rarity, median, blank.gap_rarity, filled.mean(axis=0),
            np.where(deviation > 1e-12, deviation, 1.0), grid, rows,
        )  # fmt: skip

    def filled(self, codes: np.ndarray) -> np.ndarray:
        """Of a matrix as ``encoder`` makes it: shape (rows, columns + 1), not scaled; the last
        column is the gaps' rarity."""
        return _fill(self._raw(_finite(codes)), self.median)

    def scaled(self, filled: np.ndarray) -> np.ndarray:
        """The matrix that the detectors read, same shape."""
        return np.asarray((filled - self.mean) / self.scale)

    def tails(self, filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Minus the log of each value's tail share when fitted, and whether it is the upper tail.

        After ECOD (Li and others, 2022); both of shape (rows, columns + 1).
        """
        out, upper = np.zeros_like(filled), np.zeros(filled.shape, dtype=bool)
        least = 0.5 / (self.rows + 1)
        for at, points in enumerate(self.grid):
            values = filled[:, at]
            below = np.searchsorted(points, values, side="left") / len(points)
            upto = np.searchsorted(points, values, side="right") / len(points)
            high, low = np.maximum(1.0 - below, least), np.maximum(upto, least)
            upper[:, at] = high < low
            out[:, at] = -np.log(np.minimum(high, low))
        return out, upper

    def category_tail(self, name: str, rarity: np.ndarray) -> np.ndarray:
        """Minus the log of the share of fitted rows whose category is as rare, or rarer."""
        table = self.rarity[name]
        order = np.argsort(-table, kind="stable")
        share = np.cumsum(np.exp(-table[order]))
        upto = np.searchsorted(-table[order], -rarity, side="right") - 1
        return np.asarray(-np.log(np.clip(share[np.maximum(upto, 0)], 1e-12, 1.0)))

    def _raw(self, codes: np.ndarray) -> np.ndarray:
        gaps = np.isnan(codes)
        columns = codes.copy()
        for at, name in enumerate(self.encoder.columns):
            table = self.rarity.get(name)
            if table is not None:
                known = ~gaps[:, at]
                columns[:, at] = table[-1]
                columns[known, at] = table[codes[known, at].astype(np.int64)]
                gaps[:, at] = False  # an unseen or missing category is its own rarity
        return np.column_stack([columns, (gaps * self.gap_rarity).sum(axis=1)])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready part of the state."""
        return {"encoder": self.encoder.to_dict(), "rows": self.rows}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the state, by name."""
        named = {f"rarity:{name}": table for name, table in self.rarity.items()}
        for name in ("median", "gap_rarity", "mean", "scale", "grid"):
            named[name] = getattr(self, name)
        return named

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> RowMatrix:
        """What ``to_dict`` and ``arrays`` described."""
        encoder = TabularEncoder.from_dict(state["encoder"])
        rarity = {name: arrays[f"rarity:{name}"] for name in encoder.categories}
        plain = {name: arrays[name] for name in ("median", "gap_rarity", "mean", "scale", "grid")}
        return cls(encoder=encoder, rarity=rarity, rows=state["rows"], **plain)


def _finite(codes: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(codes), codes, np.nan)


def _fill(raw: np.ndarray, median: np.ndarray) -> np.ndarray:
    gaps = np.isnan(raw)
    return np.where(gaps, np.r_[median, 0.0], raw)


def _category_rarity(codes: np.ndarray, known: int) -> np.ndarray:
    """Rarity by code; the last entry stands for unseen and missing categories."""
    counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=known)
    missing = len(codes) - counts.sum()
    shares = np.r_[counts, missing + 0.5] / (len(codes) + 1.0)
    return -np.log(shares)
