"""Per-row contributions to short lists of reasons, without a Python loop over cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Cells = Callable[[str, np.ndarray], Sequence[Any]]
"""The values of a column, by name, in the rows at these positions."""


def top_reasons(
    names: Sequence[str], moves: np.ndarray, cells: Cells, top: int
) -> list[list[dict[str, Any]]]:
    """For each row the ``top`` features that moved the prediction most, strongest first.

    ``moves`` (rows, columns) are the contributions of the columns ``names``. Each reason is
    JSON-ready: feature, value (None where missing), contribution (signed).
    """
    if top < 1:
        raise ValueError(f"top is {top}; ask for at least 1 reason a row")
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
    values = np.full(chosen.shape, None, dtype=object)
    for position in np.unique(chosen).tolist():
        rows, places = np.nonzero(chosen == position)
        values[rows, places] = [_plain(cell) for cell in cells(names[position], rows)]
    return [
        [
            {"feature": names[column], "value": value, "contribution": amount}
            for column, value, amount in zip(*row, strict=True)
        ]
        for row in zip(chosen.tolist(), values.tolist(), amounts, strict=True)
    ]


def _plain(cell: Any) -> bool | int | float | str | None:
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if cell is None or isinstance(cell, bool | int | str):
        return cell
    # pandas' own missing values are not equal to themselves, or say neither yes nor no to it.
    return None if type(cell).__name__ in ("NAType", "NaTType") else str(cell)
