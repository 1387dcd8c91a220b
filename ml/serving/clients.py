"""On-demand answers about clients: stored features, given ones, or both; one or many at once."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.serving.base import Answer, Asked, Features, QueryError, Serving
from ml.serving.checks import pointer, require_number, require_text
from ml.settings import MlSettings

if TYPE_CHECKING:
    from ml.models.spec import ModelSpec


class ClientServing(Serving):
    """Rows of a matrix through one prediction; subclasses say which columns come of it."""

    def __init__(self, spec: ModelSpec, settings: MlSettings, folder: Path) -> None:
        super().__init__(spec, settings, folder)
        self.estimator = spec.estimator_class().load(folder)
        self.facts = json.loads((folder / "facts.json").read_text())
        self._encoder = self.estimator.encoder_
        self._columns = frozenset(self._encoder.columns)
        self._sorted = tuple(sorted(self._columns))

    @abstractmethod
    def decided(self, matrix: np.ndarray) -> Mapping[str, np.ndarray]:
        """The ``Decision`` columns except key and reasons, (rows,) each."""

    @staticmethod
    def entity_of(query: Any) -> str | None:
        found: str | None = query.client_id
        return found

    @staticmethod
    def example(entity: str | None, features: Features | None) -> dict[str, Any]:
        return {"client_id": entity or "nobody"}

    def answer(self, asked: Asked, reasons: bool = True) -> Answer:
        return self._answers([asked], [self._values(asked)], reasons)[0]

    def answer_many(
        self, asked: Sequence[Asked], reasons: bool = True
    ) -> list[Answer | QueryError]:
        found: list[Answer | QueryError | None] = [None] * len(asked)
        places, rows = [], []
        for place, one in enumerate(asked):
            try:
                rows.append(self._values(one))
                places.append(place)
            except QueryError as error:
                found[place] = error
        answers = self._answers([asked[place] for place in places], rows, reasons)
        for place, answer in zip(places, answers, strict=True):
            found[place] = answer
        return [one for one in found if one is not None]

    def _values(self, asked: Asked) -> Mapping[str, Any]:
        """The inputs of one question by name, the given ones checked."""
        query = asked.query
        if asked.stored is None and not query.features:
            raise QueryError(
                f"client {query.client_id!r} has no stored features on {asked.as_of}: it was not"
                " active in the last year; give features",
                "/client_id",
            )
        if not query.features:
            return asked.stored or {}
        for name, value in query.features.items():
            if name not in self._columns:
                unknown = sorted(set(query.features) - self._columns)
                raise QueryError(
                    f"unknown features {unknown}; the model reads {list(self._encoder.columns)}",
                    pointer("features", unknown[0]),
                )
            check = require_text if name in self._encoder.categories else require_number
            check(name, value, "features", name)
        return {**(asked.stored or {}), **query.features}

    def _answers(
        self, asked: Sequence[Asked], rows: Sequence[Mapping[str, Any]], reasons: bool
    ) -> list[Answer]:
        if not rows:
            return []
        matrix = self._encoder.encode(rows)
        names, columns = zip(
            *((name, values.tolist()) for name, values in self.decided(matrix).items()),
            strict=True,
        )
        told: Sequence[Any] = [None] * len(rows)
        if reasons:
            told = self.estimator.reasons_of(
                matrix, lambda name, places: [rows[place].get(name) for place in places]
            )
        return [
            self._answer(
                asked[place],
                rows[place],
                {
                    "client_id": asked[place].query.client_id or "given",
                    **dict(zip(names, values, strict=True)),
                    "reasons": told[place],
                },
            )
            for place, values in enumerate(zip(*columns, strict=True))
        ]

    def _answer(
        self, asked: Asked, values: Mapping[str, Any], decision: Mapping[str, Any]
    ) -> Answer:
        given, stored, missing = asked.query.features or {}, self._sorted, ()
        if given or not values.keys() >= self._columns:
            known = asked.stored or {}
            stored = tuple(name for name in self._sorted if name in known and name not in given)
            missing = tuple(name for name in self._sorted if name not in values)
        return Answer(
            decisions=(decision,),
            stored=stored,
            given=tuple(sorted(given)),
            missing=missing,
            unseen=self._encoder.unseen_in(values),
        )
