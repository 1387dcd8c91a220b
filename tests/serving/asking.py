"""Questions put to a version's serving form as a server puts them: stored features as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ml.lifecycle.workspace import Workspace
from ml.methods.method import Fitted
from ml.models import ModelSpec
from ml.serving.base import Answer, Asked, Serving, StoredFeatures
from ml.settings import MlSettings
from warehouse.database import reading
from warehouse.repositories import online


def champion(workspace: Workspace, spec: ModelSpec) -> Serving:
    """The champion's serving form."""
    found = workspace.champion(spec)
    assert found is not None
    return spec.serving_class()(spec, workspace.ml, found.fitted_folder)


def of_fitted(spec: ModelSpec, fitted: Fitted, settings: MlSettings | None = None) -> Serving:
    """The serving form of what was just learned, by way of its files."""
    with TemporaryDirectory() as folder:
        fitted.save(Path(folder))
        return spec.serving_class()(spec, settings or MlSettings(), Path(folder))


def asked(workspace: Workspace, spec: ModelSpec, questions: Sequence[Any]) -> list[Asked]:
    """Queries with the stored features of their entities."""
    entity_of = spec.serving_class().entity_of
    entities = [entity_of(query) for query in questions]
    with reading(workspace.engine) as connection:
        found = online.get(connection, spec.name, [name for name in entities if name is not None])
    day = next((one.as_of for one in found.values()), workspace.as_of())
    return [
        Asked(
            query,
            StoredFeatures(json.dumps(found[name].features)) if name in found else None,
            day,
        )
        for query, name in zip(questions, entities, strict=True)
    ]


def ask(workspace: Workspace, spec: ModelSpec, query: Any) -> Answer:
    """The champion's answer to one question."""
    return champion(workspace, spec).answer(*asked(workspace, spec, [query]))
