"""What a client model reads of questions, one by one or of many by column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
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


class _Kind(NamedTuple):
    """What rows of the same names have in common.

    ``in_order`` puts a row's values, None after them, in order of the columns: (columns,).
    """

    inputs: Inputs
    in_order: Callable[[Sequence[Any]], tuple[Any, ...]]


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

        None for a row to be checked and read alone: a name is unknown, or a value of another type.
        """
        kinds = self._kinds(values, given)
        nothing = (None,) * len(self._encoder.columns)
        cells = [
            kind.in_order((*row.values(), None)) if kind else nothing
            for kind, row in zip(kinds, values, strict=True)
        ]
        for place in self._of_another_type(cells):
            cells[place], kinds[place] = nothing, None
        matrix, unseen = self._encoder.encode_cells(cells)
        found = [
            Row(row, kind.inputs) if kind else None for kind, row in zip(kinds, matrix, strict=True)
        ]
        for place, names in unseen.items():
            if (row := found[place]) is not None:
                inputs = row.inputs._replace(unseen=tuple(sorted(names)))
                found[place] = row._replace(inputs=inputs)
        return found

    def _kinds(self, values: Sequence[Features], given: Sequence[Features]) -> list[_Kind | None]:
        """What each row has in common with those of the same names; None where one is unknown."""
        kinds: dict[object, _Kind | None] = {}
        found = []
        for there, named in zip(values, given, strict=True):
            names = tuple(named)
            # Comparing names is most of what a row costs: not twice where all are given.
            key = names if there is named else (tuple(there), names)
            try:
                found.append(kinds[key])
            except KeyError:
                known = self._columns.issuperset(names)
                kinds[key] = self._kind(tuple(there), names) if known else None
                found.append(kinds[key])
        return found

    def _kind(self, there: tuple[str, ...], named: tuple[str, ...]) -> _Kind:
        at = {name: place for place, name in enumerate(there)}
        first, *others = (at.get(name, -1) for name in self._encoder.columns)
        inputs = self.origins.told(there, named, ())
        if others:
            return _Kind(inputs, itemgetter(first, *others))
        return _Kind(inputs, lambda cells: (cells[first],))

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
