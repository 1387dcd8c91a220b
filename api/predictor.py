"""Champions as the API serves them: loaded once, replaced when the promotion log moves on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import date
from typing import Any

from api.problems import Problem
from ml.artifacts import Artifact, DamagedArtifactError
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import OtherFormatError
from warehouse.database import reading
from warehouse.objects import StoreError
from warehouse.repositories import models, online


class Predictor:
    """Answers on-demand queries with the present champion of each model."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._loaded: dict[str, tuple[Artifact, Any]] = {}
        self._lock = threading.Lock()

    def champion(self, spec: ModelSpec) -> tuple[Artifact, Any]:
        """The champion's artifact and what it learned; Problem 503 where there is none."""
        with reading(self.workspace.engine) as connection:
            version = models.champion(connection, spec.name)
        if version is None:
            raise Problem(503, "no_champion", f"{spec.title} has no champion yet, so it is silent.")
        with self._lock:
            held = self._loaded.get(spec.name)
            if held is None or held[0].version != version.version:
                held = self._load(spec, version.version, held)
                self._loaded[spec.name] = held
        return held

    def _load(
        self, spec: ModelSpec, version: str, held: tuple[Artifact, Any] | None
    ) -> tuple[Artifact, Any]:
        try:
            artifact = self.workspace.artifacts.open(spec.name, version)
        except (DamagedArtifactError, StoreError) as error:
            if held is not None:
                return held
            raise _unreadable(spec, error) from error
        try:
            return artifact, self.workspace.fitted(spec, artifact)
        except OtherFormatError as error:
            raise Problem(503, "artifact_outdated", str(error)) from error

    def answer(self, spec: ModelSpec, query: Any) -> dict[str, Any]:
        """One on-demand decision, in API.md's form."""
        from ml.methods.method import QueryError

        artifact, fitted = self.champion(spec)
        stored, as_of, data_version = self._stored(spec, query, artifact)
        method = self.workspace.method(spec)
        try:
            answer = method.answer(fitted, query, stored, as_of)
        except QueryError as error:
            raise Problem(
                422,
                "query_not_answerable",
                str(error),
                [{"pointer": error.pointer, "detail": str(error)}],
            ) from error
        return {
            "model": spec.name,
            "model_version": artifact.version,
            "as_of": as_of,
            "data_version": data_version,
            "inputs": {
                "stored": list(answer.stored),
                "given": list(answer.given),
                "missing": list(answer.missing),
                "unseen": list(answer.unseen),
            },
            "decisions": [_plain(decision) for decision in answer.decisions],
            "detail": answer.detail,
        }

    def _stored(
        self, spec: ModelSpec, query: Any, artifact: Artifact
    ) -> tuple[list[Mapping[str, Any]], date, str]:
        method = self.workspace.method(spec)
        entity = method.entity_of(query)
        found: list[Mapping[str, Any]] = []
        if entity is not None:
            with reading(self.workspace.engine) as connection:
                there = online.get(connection, spec.name, [entity]).get(entity)
            if there is not None:
                same = there.schema_hash == artifact.manifest["schema_hash"]
                if not (same or method.reads_by_name):
                    raise Problem(
                        409,
                        "feature_schema_mismatch",
                        f"The stored features of {spec.title} have schema {there.schema_hash}, its"
                        f" champion has {artifact.manifest['schema_hash']}: score again.",
                    )
                found.append({"entity": there.entity, "features": there.features})
                return found, there.as_of, there.data_version
        newest = self.workspace.data_version()
        return found, self.workspace.as_of(newest), newest.snapshot


def _unreadable(spec: ModelSpec, error: DamagedArtifactError | StoreError) -> Problem:
    if isinstance(error, DamagedArtifactError):
        return Problem(503, "artifact_damaged", f"The champion of {spec.title} is damaged.")
    return Problem(503, "store_unreachable", f"The champion of {spec.title} cannot be read now.")


def _plain(decision: Mapping[str, Any]) -> dict[str, Any]:
    """NaN and numpy scalars never reach a client."""
    return {
        name: None if value is None or value != value else _python(value)
        for name, value in decision.items()
    }


def _python(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
