"""On-demand answers about clients: stored features, given ones, or both; one or many at once."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ml.estimators.tabular import TabularEncoder
from ml.serving.base import Answer, Asked, Features, Inputs, QueryError, Serving, StoredFeatures
from ml.serving.checks import pointer, require_number, require_text
from ml.serving.client_columns import GIVEN, ClientInputs
from ml.serving.columns import AnsweredColumns, AskedColumns
from ml.serving.origins import Origins
from ml.settings import MlSettings

if TYPE_CHECKING:
    from ml.models.spec import ModelSpec

NUMBERS = frozenset({float, int, bool, type(None)})
KEPT = 5_000
"""Clients of whom is kept what the model reads, under a kilobyte, beside the features' text."""


class _Row(NamedTuple):
    """What the model reads of a question, ``cells`` (columns,), and where it came from."""

    cells: np.ndarray
    inputs: Inputs


class _Reader:
    """Turns features by name into what the model reads of them."""

    def __init__(self, encoder: TabularEncoder, origins: Origins) -> None:
        self._encoder, self._origins = encoder, origins

    def of_stored(self, text: str) -> _Row:
        """Of stored features alone, as their JSON."""
        return self.of(StoredFeatures(text), {})

    def of(self, values: Features, given: Features) -> _Row:
        """Of all values, some of them ``given``; the others are stored."""
        return _Row(self._encoder.encode([values])[0], self._origins.of(values, given))


class ClientServing(Serving):
    """Rows of a matrix through one prediction; subclasses say which columns come of it."""

    asked_by: ClassVar[tuple[str, ...]] = ("client_id",)
    by_column: ClassVar[bool] = True

    def __init__(self, spec: ModelSpec, settings: MlSettings, folder: Path) -> None:
        super().__init__(spec, settings, folder)
        self.estimator = spec.estimator_class().load(folder)
        self.facts = json.loads((folder / "facts.json").read_text())
        self._encoder = self.estimator.encoder_
        self._columns = frozenset(self._encoder.columns)
        self._origins = Origins(self._encoder)
        self._reader = _Reader(self._encoder, self._origins)
        # Of the reader, which does not hold this: what is replaced is freed at once.
        self._kept = lru_cache(KEPT)(self._reader.of_stored)

    @abstractmethod
    def decided(self, matrix: np.ndarray) -> Mapping[str, np.ndarray]:
        """The ``Decision`` columns except key and reasons, (rows,) each."""

    @property
    def text_inputs(self) -> Collection[str]:
        return self._encoder.categories.keys()

    @staticmethod
    def entity_of(query: Any) -> str | None:
        found: str | None = query.client_id
        return found

    @staticmethod
    def example(entity: str | None, features: Features | None) -> dict[str, Any]:
        return {"client_id": entity or "nobody"}

    def answer(self, asked: Asked, reasons: bool = True) -> Answer:
        return self._answers([asked], [self._row(asked)], reasons)[0]

    def answer_many(
        self, asked: Sequence[Asked], reasons: bool = True
    ) -> list[Answer | QueryError]:
        found: list[Answer | QueryError | None] = [None] * len(asked)
        places, rows = [], []
        for place, one in enumerate(asked):
            try:
                rows.append(self._row(one))
                places.append(place)
            except QueryError as error:
                found[place] = error
        answers = self._answers([asked[place] for place in places], rows, reasons)
        for place, answer in zip(places, answers, strict=True):
            found[place] = answer
        return [one for one in found if one is not None]

    def answer_columns(self, asked: AskedColumns, reasons: bool = True) -> AnsweredColumns:
        found = ClientInputs(self._encoder, self._origins, asked)
        columns: dict[str, Any] = {}
        if len(found.rows):
            columns = {"client_id": found.clients, **self.decided(found.matrix)}
            if reasons:
                columns["reasons"] = self.estimator.reasons_of(found.matrix, found.cells)
        return AnsweredColumns(found.rows, found.as_of, found.data_version, found.inputs(), columns)

    def _answers(self, asked: Sequence[Asked], rows: Sequence[_Row], reasons: bool) -> list[Answer]:
        if not rows:
            return []
        matrix = np.array([row.cells for row in rows]) if len(rows) > 1 else rows[0].cells[None]
        names, columns = zip(
            *((name, values.tolist()) for name, values in self.decided(matrix).items()),
            strict=True,
        )
        told: Sequence[Any] = [None] * len(rows)
        if reasons:
            values = [self._values(one) for one in asked]
            told = self.estimator.reasons_of(
                matrix, lambda name, places: [values[place].get(name) for place in places]
            )
        return [
            Answer(
                (
                    {
                        "client_id": one.query.client_id or GIVEN,
                        **dict(zip(names, decided, strict=True)),
                        "reasons": why,
                    },
                ),
                *row.inputs,
            )
            for one, row, why, decided in zip(
                asked, rows, told, zip(*columns, strict=True), strict=True
            )
        ]

    def _row(self, asked: Asked) -> _Row:
        """What the model reads of a question; QueryError where it cannot."""
        given, stored = asked.query.features, asked.stored
        if not given and isinstance(stored, StoredFeatures):
            return self._kept(stored.text)
        if given:
            self._check(given)
        elif stored is None:
            raise QueryError(
                f"client {asked.query.client_id!r} has no stored features on {asked.as_of}: it was"
                " not active in the last year; give features",
                "/client_id",
            )
        return self._reader.of(self._values(asked), given or {})

    def _values(self, asked: Asked) -> Features:
        """The inputs of one question by name, the given ones before the stored ones."""
        given, stored = asked.query.features, asked.stored
        if not stored:
            return given or {}
        return {**stored, **given} if given else stored

    def _check(self, given: Features) -> None:
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
