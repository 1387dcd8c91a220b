"""What a client model reads of questions, one by one or of many by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ml.estimators.tabular import TabularEncoder
from ml.serving.base import Features, Inputs, QueryError, StoredFeatures
from ml.serving.checks import pointer, require_number, require_text
from ml.serving.origins import Origins

NUMBERS = frozenset({float, int, bool, type(None)})
TEXTS = frozenset({str, type(None)})
"""The types that JSON's values have in a column of numbers, and in one of texts."""


class Row(NamedTuple):
    """What the model reads of a question, ``cells`` (columns,), and where it came from."""

    cells: np.ndarray
    inputs: Inputs


class Reader:
    """Turns features by name into what the model reads of them."""

    def __init__(self, encoder: TabularEncoder) -> None:
        self._encoder, self.origins = encoder, Origins(encoder)
        self._columns = frozenset(encoder.columns)

    def of_stored(self, text: str) -> Row:
        """Of stored features alone, as their JSON."""
        return self.of(StoredFeatures(text), {})

    def of(self, values: Features, given: Features) -> Row:
        """Of all values, some of them ``given``; the others are stored."""
        return Row(self._encoder.encode([values])[0], self.origins.of(values, given))

    def of_many(self, values: Sequence[Features], given: Sequence[Features]) -> list[Row | None]:
        """The same of many rows, read by column in a fraction of the time.

        None for a row that ``check`` may refuse: it says what is wrong with it.
        """
        cells = [tuple(map(row.get, self._encoder.columns)) for row in values]
        odd = self._of_another_type(cells)
        for row in odd:
            cells[row] = (None,) * len(self._encoder.columns)
        matrix, unseen = self._encoder.encode_cells(cells)
        kinds: dict[tuple[tuple[str, ...], tuple[str, ...]], Inputs] = {}
        found: list[Row | None] = []
        for row, (there, named) in enumerate(zip(values, given, strict=True)):
            kind = tuple(there), tuple(named)
            if kind not in kinds:
                kinds[kind] = self.origins.told(*kind, ())
            if row in odd or not self._columns.issuperset(named):
                found.append(None)
                continue
            strange = tuple(sorted(unseen.get(row, ())))
            found.append(Row(matrix[row], kinds[kind]._replace(unseen=strange)))
        return found

    def _of_another_type(self, cells: Sequence[Sequence[Any]]) -> set[int]:
        """The rows with a value that is not of its column's type."""
        found: set[int] = set()
        for name, column in zip(self._encoder.columns, zip(*cells, strict=True), strict=True):
            types = TEXTS if name in self._encoder.categories else NUMBERS
            if not types.issuperset(map(type, column)):
                found.update(row for row, value in enumerate(column) if type(value) not in types)
        return found

    def check(self, given: Features) -> None:
        """Refuse, with QueryError, what is no feature of the model or not of its type."""
        if not given.keys() <= self._columns:
            unknown = sorted(given.keys() - self._columns)
            raise QueryError(
                f"unknown features {unknown}; the model reads {list(self._encoder.columns)}",
                pointer("features", unknown[0]),
            )
        texts = self._encoder.categories
        # Nearly all are numbers in a column of numbers; only the others are looked at one by one.
        for name in [name for name, value in given.items() if type(value) not in NUMBERS]:
            if name not in texts:
                require_number(name, given[name], "features", name)
        for name in texts:
            if name in given:
                require_text(name, given[name], "features", name)
