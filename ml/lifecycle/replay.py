"""Replay: a stored decision computed again from lake and artifact, compared bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ml.lifecycle.deciding import decide
from ml.lifecycle.training import lock_hash
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import Refusal
from warehouse.database import reading
from warehouse.jsontext import json_texts
from warehouse.repositories.score_pages import Filter, history


@dataclass(frozen=True)
class Replayed:
    """Stored and recomputed columns of one decision, and whether the packages are the same."""

    stored: Mapping[str, Any]
    again: Mapping[str, Any]
    model_version: str
    data_version: str
    same_packages: bool

    @property
    def differing(self) -> list[str]:
        """Columns that are not equal to the last bit."""
        return [name for name, value in self.stored.items() if value != self.again.get(name)]

    @property
    def equal(self) -> bool:
        """Whether every column is equal."""
        return not self.differing

    def rows(self) -> list[dict[str, Any]]:
        """One row a column, for a table."""
        return [
            {
                "column": name,
                "stored": value,
                "again": self.again.get(name),
                "equal": value == self.again.get(name),
            }
            for name, value in self.stored.items()
        ]

    def sentence(self) -> str:
        """The outcome in words."""
        what = f"version {self.model_version} on data {self.data_version}"
        if self.equal:
            return f"Equal bit for bit: {what}."
        mend = "" if self.same_packages else " The pinned packages differ from the training's."
        return f"Differs in {', '.join(self.differing)}: {what}.{mend}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "equal": self.equal,
            "differing": self.differing,
            "model_version": self.model_version,
            "data_version": self.data_version,
            "same_packages": self.same_packages,
            "stored": dict(self.stored),
            "again": dict(self.again),
        }


def replay(
    workspace: Workspace, spec: ModelSpec, entity: str, as_of: date, key: Mapping[str, str]
) -> Replayed:
    """Compute the decision on ``entity`` of that day again.

    ``key`` gives further key parts by name. Raises Refusal where nothing was stored, where
    several decisions fit and the key must say which, or where today's code makes other columns
    than the version learned from.
    """
    stored = _stored(workspace, spec, entity, as_of, key)
    data = workspace.snapshot(stored["data_version"])
    artifact = workspace.artifacts.open(spec.name, stored["model_version"])
    method = workspace.method(spec)
    fitted = workspace.fitted(spec, artifact)
    inputs = method.inputs(data, [as_of])[as_of]
    frame = decide(method, fitted, inputs, as_of, "all", artifact.version)
    wanted = {name: stored[name] for name in spec.entity}
    match = [
        row
        for row in frame.to_dict("records")
        if all(_same_key(row[name], value) for name, value in wanted.items())
    ]
    if len(match) != 1:
        raise Refusal(
            f"Computed again, {spec.title} makes {len(match)} decisions for {wanted}, not one."
        )
    fields = [
        name
        for name in spec.Decision.model_fields
        if not (name in ("reasons", "evidence") and stored[name] is None)
    ]
    return Replayed(
        stored={name: _comparable(stored[name]) for name in fields},
        again={name: _comparable(match[0].get(name)) for name in fields},
        model_version=artifact.version,
        data_version=data.id,
        same_packages=artifact.manifest["lock_hash"] == lock_hash(),
    )


def _stored(
    workspace: Workspace, spec: ModelSpec, entity: str, as_of: date, key: Mapping[str, str]
) -> dict[str, Any]:
    unknown = sorted(set(key) - set(spec.entity))
    if unknown:
        raise Refusal(f"{spec.title} has no key part {unknown}; its key is {list(spec.entity)}.")
    part = spec.entity_column
    with reading(workspace.engine) as connection:
        found = history(connection, spec, [Filter(part, "eq", entity)], as_of, as_of)
    found = [row for row in found if all(str(row[n]).startswith(v) for n, v in key.items())]
    if not found:
        raise Refusal(f"{spec.title} has no stored decision on {entity!r} of {as_of}.")
    if len(found) > 1:
        parts = [name for name in spec.entity if name != part and name not in key]
        raise Refusal(
            f"{len(found)} decisions of {spec.title} fit {entity!r} on {as_of}: say which with"
            f" --key, e.g. --key {parts[0]}={found[0][parts[0]]}."
            if parts
            else f"{len(found)} decisions of {spec.title} fit {entity!r} on {as_of}."
        )
    return found[0]


def _same_key(computed: Any, stored: Any) -> bool:
    return str(_comparable(computed)) == str(_comparable(stored))


def _comparable(value: Any) -> Any:
    """The value as the warehouse would hold it: NaN is nothing, JSON is its text."""
    if isinstance(value, list | dict):
        return json_texts([value])[0]
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value != value:
        return None
    return value
