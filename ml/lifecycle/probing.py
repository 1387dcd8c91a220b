"""Whether a version answers: one question that it must have an answer to, asked of it."""

from __future__ import annotations

from ml.artifacts import Artifact
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.serving.base import Answer, Asked, QueryError
from warehouse.database import reading
from warehouse.repositories import online


def probe(workspace: Workspace, spec: ModelSpec, artifact: Artifact) -> Answer | QueryError:
    """Load the version and ask it about an entity that is stored, if there is any.

    A refusal in words is an answer too: data may have moved on since the training. What cannot be
    loaded or fails raises its own error.
    """
    kind = spec.serving_class()
    with reading(workspace.engine) as connection:
        there = online.first(connection, spec.name)
    entity, features = (there.entity, there.features) if there else (None, None)
    query = spec.Query.model_validate(kind.example(entity, features))
    serving = kind(spec, workspace.ml, artifact.fitted_folder)
    asked = Asked(query, features if kind.entity_of(query) else None, artifact.known_through)
    try:
        return serving.answer(asked, reasons=False)
    except QueryError as error:
        return error
