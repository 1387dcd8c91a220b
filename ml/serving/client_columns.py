"""What a client model reads of a table of questions, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ml.estimators.tabular import TabularEncoder
from ml.models.parts import LARGEST, LONGEST_ID, LONGEST_TEXT, MOST_FEATURES
from ml.serving.base import Inputs
from ml.serving.columns import AskedColumns, Numbers, Path, Stored, Texts, Told
from ml.serving.origins import Origins

ID: Path = ("client_id",)
FEATURES = "features"
GIVEN = "given"
"""Whom a decision is about where a question names no client."""
MOST_CODES = 2**62


class ClientInputs:
    """The rows that can be answered, and what the model reads of them.

    A row is left where a query of its values would be refused, or the question itself would be:
    an id or text that is too long, a number that is too large, a feature that the model does not
    read or of another type, or neither features nor a client with stored ones.

    ``rows`` (answered,) are places in the table, ``matrix`` (answered, columns) is encoded,
    ``clients`` (answered,) are names; ``as_of`` and ``data_version`` (answered,) are those of the
    stored features.
    """

    def __init__(self, encoder: TabularEncoder, origins: Origins, asked: AskedColumns) -> None:
        self._encoder, self._origins = encoder, origins
        left = asked.left.copy()
        ids = Texts((), np.full(len(left), -1))
        counts = np.zeros(len(left), dtype=np.int64)
        self._given: dict[str, Numbers | Texts] = {}
        for path, column in asked.columns.items():
            if path == ID and isinstance(column, Texts):
                ids = column
                left |= _longer(column, LONGEST_ID)
            elif _reads(encoder, path, column):
                self._given[path[1]] = column
                counts += column.given
                left |= _refused(column)
            else:
                left |= column.given
        left |= counts > MOST_FEATURES
        self._stored, stored_at = _stored(asked, ids, left)
        left |= (counts == 0) & (stored_at < 0)
        self.rows = np.flatnonzero(~left)
        self._stored_at = stored_at[self.rows]
        self.matrix = self._matrix()
        self.clients = ids.of_rows([*ids.distinct, GIVEN], object)[self.rows]
        days = [one.as_of for one in self._stored]
        self.as_of = np.array([*days, asked.as_of], dtype="datetime64[D]")[self._stored_at]
        versions = [one.data_version for one in self._stored]
        self.data_version = np.array([*versions, asked.data_version], object)[self._stored_at]

    def cells(self, name: str, places: np.ndarray) -> Sequence[Any]:
        """The values of a feature in answered rows, as given or stored."""
        column = self._given.get(name)
        given = [None] * len(places) if column is None else column.at(self.rows[places])
        stored = self._stored_at[places].tolist()
        return [
            self._stored[at].features.get(name) if value is None and at >= 0 else value
            for value, at in zip(given, stored, strict=True)
        ]

    def inputs(self) -> Told:
        """Where the inputs of answered rows came from, as ``Answer.inputs`` says it."""
        given = {name: column.given[self.rows] for name, column in self._given.items()}
        unseen = {
            name: column.of_rows(
                [*np.isnan(self._encoder.codes(name, column.distinct)), False], bool
            )[self.rows]
            for name, column in self._given.items()
            if isinstance(column, Texts)
        }
        kinds, kind_of = self._kinds_of_stored()
        codes, size = kind_of, len(kinds)
        for flags in (*given.values(), *unseen.values()):
            if size > MOST_CODES:
                distinct, codes = np.unique(codes, return_inverse=True)
                size = len(distinct)
            codes, size = 2 * codes + flags, 2 * size
        _, first, places = np.unique(codes, return_index=True, return_inverse=True)

        def told(place: int) -> Inputs:
            stored, strange = kinds[kind_of[place]]
            names = {name for name, flags in given.items() if flags[place]}
            new = {name for name, flags in unseen.items() if flags[place]}
            return self._origins.told(stored, names, new | (strange - names))

        return Told([told(place)._asdict() for place in first.tolist()], places)

    def _kinds_of_stored(self) -> tuple[list[tuple[frozenset[str], frozenset[str]]], np.ndarray]:
        """Which names are stored and which of them unseen, each such pair once, and each row's."""
        nothing: tuple[frozenset[str], frozenset[str]] = frozenset(), frozenset()
        places: dict[tuple[frozenset[str], frozenset[str]], int] = {nothing: 0}
        found = [0] * (len(self._stored) + 1)  # the last stands for rows without stored features
        for at, one in enumerate(self._stored):
            values = one.features.read()
            kind = frozenset(values), frozenset(self._encoder.unseen_in(values))
            found[at] = places.setdefault(kind, len(places))
        return list(places), np.array(found)[self._stored_at]

    def _matrix(self) -> np.ndarray:
        """The stored cells of each row, the given ones over them."""
        encoder = self._encoder
        shape = (len(self.rows), len(encoder.columns))
        if self._stored:
            stored = encoder.encode([one.features.read() for one in self._stored])
            matrix = np.concatenate([stored, np.full((1, shape[1]), np.nan)])[self._stored_at]
        else:
            matrix = np.full(shape, np.nan)
        for position, name in enumerate(encoder.columns):
            column = self._given.get(name)
            if column is None:
                continue
            if isinstance(column, Numbers):
                cells = column.values
            else:
                cells = column.of_rows([*encoder.codes(name, column.distinct), np.nan], np.float64)
            if self._stored:
                np.copyto(matrix[:, position], cells[self.rows], where=column.given[self.rows])
            else:
                matrix[:, position] = cells[self.rows]
        return matrix


def _reads(encoder: TabularEncoder, path: Path, column: Numbers | Texts) -> bool:
    """Whether it is a feature that the model knows, of its type."""
    if len(path) != 2 or path[0] != FEATURES or path[1] not in encoder.columns:
        return False
    return isinstance(column, Texts if path[1] in encoder.categories else Numbers)


def _refused(column: Numbers | Texts) -> np.ndarray:
    """The rows whose value no query may hold."""
    if isinstance(column, Texts):
        return _longer(column, LONGEST_TEXT)
    return np.abs(column.values) > LARGEST


def _longer(column: Texts, most: int) -> np.ndarray:
    """The rows whose text has more characters."""
    if max(map(len, column.distinct), default=0) <= most:
        return np.zeros(len(column.places), dtype=bool)
    return column.of_rows([*(len(text) > most for text in column.distinct), False], bool)


def _stored(asked: AskedColumns, ids: Texts, left: np.ndarray) -> tuple[list[Stored], np.ndarray]:
    """The stored features of all clients named, and each row's place among them; -1 without."""
    named = np.zeros(len(ids.distinct), dtype=bool)
    named[ids.places[~left & ids.given]] = True
    names = [ids.distinct[place] for place in np.flatnonzero(named).tolist()]
    found = asked.stored(names) if names else {}
    if not found:
        return [], np.full(len(left), -1)
    at = {name: place for place, name in enumerate(found)}
    by_row = ids.of_rows([*(at.get(name, -1) for name in ids.distinct), -1], np.int64)
    return list(found.values()), by_row
