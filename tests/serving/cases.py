"""A learned model beside its serving form: what both say can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml.methods.frames import records
from ml.methods.method import Frames, Method
from ml.serving.base import Answer, Asked, QueryError, Serving, StoredFeatures
from warehouse.jsontext import json_texts
from warehouse.snapshot import Snapshot


@dataclass(frozen=True)
class Case:
    """``rows`` are the decisions of the day as the warehouse would hold them, ``stored`` the online
    features as it would give them back."""

    method: Method
    fitted: Any
    inputs: Frames
    rows: list[dict[str, Any]]
    stored: Mapping[str, StoredFeatures]
    serving: Serving
    folder: Path
    day: date

    def asked(self, **question: Any) -> Asked:
        """A question with the stored features of its entity."""
        query = self.method.spec.Query.model_validate(question)
        entity = self.serving.entity_of(query)
        return Asked(query, None if entity is None else self.stored.get(entity), self.day)

    def answer(self, **question: Any) -> Answer:
        """The serving form's answer."""
        return self.serving.answer(self.asked(**question))

    def refused(self, **question: Any) -> QueryError:
        """Why the question has no answer."""
        try:
            found = self.answer(**question)
        except QueryError as error:
            return error
        raise AssertionError(f"answered: {found}")


def case_of(method: Method, data: Snapshot, day: date, folder: Path) -> Case:
    """Learn, decide with what was saved and loaded again, and load the serving form."""
    method.learn(data, day).save(folder)
    fitted = method.load(folder)
    inputs = method.inputs(data, [day])[day]
    decisions = method.decide(fitted, inputs, day, "all")
    online = method.online(inputs, decisions)
    texts = json_texts(online["features"].tolist())
    return Case(
        method=method,
        fitted=fitted,
        inputs=inputs,
        rows=[comparable(row) for row in records(decisions)],
        stored=dict(zip(online["entity"], map(StoredFeatures, texts), strict=True)),
        serving=method.spec.serving_class()(method.spec, method.settings, folder),
        folder=folder,
        day=day,
    )


def comparable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the warehouse would hold them; floats keep every bit."""
    return {name: _held(value) for name, value in row.items()}


def _held(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json_texts([value])[0]
    for plain in ("to_pydatetime", "item"):
        if hasattr(value, plain):
            value = getattr(value, plain)()
    return None if value is None or value != value else value
