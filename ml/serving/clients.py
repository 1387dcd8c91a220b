"""On-demand answers about clients: stored features, given ones, or both; one or many at once."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ml.serving.base import Answer, Asked, Features, QueryError, Serving, StoredFeatures
from ml.serving.client_columns import GIVEN, ClientInputs
from ml.serving.client_rows import Reader, Row
from ml.serving.columns import AnsweredColumns, AskedColumns
from ml.settings import MlSettings

if TYPE_CHECKING:
    from ml.models.spec import ModelSpec

KEPT = 5_000
"""Clients of whom is kept what the model reads, under a kilobyte, beside the features' text."""
MANY = 8
"""Questions with features given from which on it is quicker to read them by column."""


class ClientServing(Serving):
    """Rows of a matrix through one prediction; subclasses say which columns come of it."""

    asked_by: ClassVar[tuple[str, ...]] = ("client_id",)
    by_column: ClassVar[bool] = True

    def __init__(self, spec: ModelSpec, settings: MlSettings, folder: Path) -> None:
        super().__init__(spec, settings, folder)
        self.estimator = spec.estimator_class().load(folder)
        self.facts = json.loads((folder / "facts.json").read_text())
        self._encoder = self.estimator.encoder_
        self._reader = Reader(self._encoder)
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
        return self._answers([(asked, self._row(asked))], reasons)[0]

    def answer_many(
        self, asked: Sequence[Asked], reasons: bool = True
    ) -> list[Answer | QueryError]:
        rows = self._rows(asked)
        read = [(one, row) for one, row in zip(asked, rows, strict=True) if isinstance(row, Row)]
        answers = iter(self._answers(read, reasons) if read else ())
        return [next(answers) if isinstance(row, Row) else row for row in rows]

    def answer_columns(self, asked: AskedColumns, reasons: bool = True) -> AnsweredColumns:
        found = ClientInputs(self._encoder, self._reader.origins, asked)
        columns: dict[str, Any] = {}
        if len(found.rows):
            columns = {"client_id": found.clients, **self.decided(found.matrix)}
            if reasons:
                columns["reasons"] = self.estimator.reasons_of(found.matrix, found.cells)
        return AnsweredColumns(found.rows, found.as_of, found.data_version, found.inputs(), columns)

    def _answers(self, read: Sequence[tuple[Asked, Row]], reasons: bool) -> list[Answer]:
        if len(read) > 1:
            matrix = np.array([row.cells for _, row in read])
        else:
            matrix = read[0][1].cells[None]
        names, columns = zip(
            *((name, values.tolist()) for name, values in self.decided(matrix).items()),
            strict=True,
        )
        told: Sequence[Any] = [None] * len(read)
        if reasons:
            values = [self._values(one) for one, _ in read]
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
            for (one, row), why, decided in zip(read, told, zip(*columns, strict=True), strict=True)
        ]

    def _rows(self, asked: Sequence[Asked]) -> list[Row | QueryError]:
        """What the model reads of each question, or why it cannot; many are read by column."""
        found: dict[int, Row] = {}
        with_given = [place for place, one in enumerate(asked) if one.query.features]
        if len(with_given) >= MANY:
            values = [self._values(asked[place]) for place in with_given]
            given = [asked[place].query.features for place in with_given]
            rows = zip(with_given, self._reader.of_many(values, given), strict=True)
            found = {place: row for place, row in rows if row is not None}
        return [found.get(place) or self._row_or_error(one) for place, one in enumerate(asked)]

    def _row_or_error(self, asked: Asked) -> Row | QueryError:
        try:
            return self._row(asked)
        except QueryError as error:
            return error

    def _row(self, asked: Asked) -> Row:
        """What the model reads of a question; QueryError where it cannot."""
        given, stored = asked.query.features, asked.stored
        if not given and isinstance(stored, StoredFeatures):
            return self._kept(stored.text)
        if given:
            self._reader.check(given)
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
