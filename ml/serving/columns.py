"""Questions and answers as columns, in numpy: many rows at once, without an object for each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ml.serving.base import StoredFeatures

Path = tuple[str, ...]
"""A field of a query, or a place inside one: ``("features", "revenue_30d")``."""


class Numbers(NamedTuple):
    """Numbers of one input, finite, (rows,) of float64; NaN in the rows that say nothing.

    ``kind`` is what each was: float, int or bool.
    """

    values: np.ndarray
    kind: type[float]

    @property
    def given(self) -> np.ndarray:
        """The rows that say something, (rows,) of bool."""
        return ~np.isnan(self.values)

    def at(self, rows: np.ndarray) -> list[Any]:
        """The values in these rows as they were, None where a row says nothing."""
        return [None if one != one else self.kind(one) for one in self.values[rows].tolist()]


class Texts(NamedTuple):
    """Texts of one input: those that differ, and the place of each row's among them, (rows,).

    The place is -1 in the rows that say nothing; no text is empty.
    """

    distinct: Sequence[str]
    places: np.ndarray

    @property
    def given(self) -> np.ndarray:
        """The rows that say something, (rows,) of bool."""
        return self.places >= 0

    def at(self, rows: np.ndarray) -> list[Any]:
        """The values in these rows, None where a row says nothing."""
        held, places = self.distinct, self.places[rows].tolist()
        return [held[place] if place >= 0 else None for place in places]

    def of_rows(self, values: Sequence[Any], dtype: type) -> np.ndarray:
        """What belongs to each row's text, (rows,); the last of the values where there is none."""
        held: np.ndarray = np.empty(len(values), dtype)
        held[:] = values
        return held[self.places]


class Stored(NamedTuple):
    """The stored features of an entity, their day, and the data that they were made of."""

    features: StoredFeatures
    as_of: date
    data_version: str


class Told(NamedTuple):
    """What rows say: the ``distinct`` things, and the place of each row's among them, (rows,)."""

    distinct: Sequence[Any]
    places: np.ndarray


class AskedColumns(NamedTuple):
    """Questions as columns (rows,) by what of the query they are.

    ``left`` (rows,) says which rows hold something else than these columns tell. ``stored`` looks
    entities up by name; those without stored features are absent from what it gives. ``as_of`` and
    ``data_version`` are those of questions about no such entity.
    """

    columns: Mapping[Path, Numbers | Texts]
    left: np.ndarray
    stored: Callable[[Collection[str]], Mapping[str, Stored]]
    as_of: date
    data_version: str


class AnsweredColumns(NamedTuple):
    """One decision for each of ``rows`` (answered,), which ascend: what it rests on, its columns.

    ``as_of`` is datetime64[D], ``data_version`` texts, ``inputs`` are as ``Answer.inputs``, and
    each column (answered,) as ``Answer.decisions`` has its values; columns of the ``Decision`` that
    are all None may be absent.
    """

    rows: np.ndarray
    as_of: np.ndarray
    data_version: np.ndarray
    inputs: Told
    columns: Mapping[str, Sequence[Any] | np.ndarray]
