"""Per-row contributions to short lists of reasons, without a Python loop over cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd


def top_reasons(
    X: pd.DataFrame, contributions: pd.DataFrame, top: int
) -> list[list[dict[str, Any]]]:
    """For each row the ``top`` features that moved the prediction most, strongest first.

    ``contributions`` has X's rows and the model's columns. Each reason is JSON-ready: feature,
    value (None where missing), contribution (signed).
    """
    if top < 1:
        raise ValueError(f"top is {top}; ask for at least 1 reason a row")
    moves = contributions.to_numpy()
    top = min(top, moves.shape[1])
    strength = -np.abs(moves)
    first = (
        np.argpartition(strength, top - 1, axis=1)[:, :top]
        if top < moves.shape[1]
        else (np.broadcast_to(np.arange(top), (len(moves), top)))
    )
    order = np.argsort(np.take_along_axis(strength, first, axis=1), axis=1, kind="stable")
    chosen = np.take_along_axis(first, order, axis=1)
    amounts = np.take_along_axis(moves, chosen, axis=1).tolist()
    names = np.array(contributions.columns, dtype=object)[chosen].tolist()
    values = _values(X, list(contributions.columns), chosen).tolist()
    return [
        [
            {"feature": name, "value": value, "contribution": amount}
            for name, value, amount in zip(*row, strict=True)
        ]
        for row in zip(names, values, amounts, strict=True)
    ]


def _values(X: pd.DataFrame, names: list[str], chosen: np.ndarray) -> np.ndarray:
    values = np.full(chosen.shape, None, dtype=object)
    for position, name in enumerate(names):
        rows, places = np.nonzero(chosen == position)
        if len(rows):
            cells = X[name].iloc[rows].tolist()
            values[rows, places] = [_plain(cell) for cell in cells]
    return values


def _plain(cell: object) -> bool | int | float | str | None:
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return cell if isinstance(cell, bool | int | str) else str(cell)
