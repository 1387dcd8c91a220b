"""A question that any version of a model must have an answer to."""

from __future__ import annotations

from ml.artifacts import Artifact
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.serving.base import Asked
from warehouse.database import reading
from warehouse.repositories import online


def question(workspace: Workspace, spec: ModelSpec, artifact: Artifact) -> Asked:
    """About an entity that is stored, if there is any, else one that brings its own data.

    A refusal in words is an answer to it too: data may have moved on since the training.
    """
    kind = spec.serving_class()
    with reading(workspace.engine) as connection:
        there = online.first(connection, spec.name)
    entity, features = (there.entity, there.features) if there else (None, None)
    query = spec.Query.model_validate(kind.example(entity, features))
    return Asked(query, features if kind.entity_of(query) else None, artifact.known_through)
