"""The stored features of the entities that a file asks about, chunk by chunk."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import Refusal
from ml.serving.base import StoredFeatures
from ml.serving.columns import Stored
from warehouse.database import reading
from warehouse.repositories import online
from warehouse.repositories.online import OnlineStamp

MANY = 1_000
"""Entities asked about at once for which the names of all are read first, and kept: to look one up
takes as long as to read ten, and a file may ask about a million that are not stored."""


class StoredSchemaError(Refusal):
    """The stored features are not those that the version learned from: score again."""

    to_mend = True


class StoredReader:
    """Stored features as they are when each chunk is read; may be called from several threads."""

    def __init__(self, workspace: Workspace, spec: ModelSpec, schema_hash: str) -> None:
        """``schema_hash`` is that of the features that the version learned from."""
        self._engine, self._spec, self._schema_hash = workspace.engine, spec, schema_hash
        self._names: tuple[OnlineStamp, frozenset[str]] | None = None

    def of(self, entities: Collection[str]) -> dict[str, Stored]:
        """The stored features of these; StoredSchemaError where they are another version's."""
        with reading(self._engine) as connection:
            if len(entities) >= MANY:
                entities = self._all(connection).intersection(entities)
            known = online.texts(connection, self._spec.name, entities)
        if not self._spec.serving_class().reads_by_name:
            for name, one in known.items():
                if one.schema_hash != self._schema_hash:
                    raise StoredSchemaError(
                        f"The stored features of {name!r} have schema {one.schema_hash}, the"
                        f" version of {self._spec.title} that answers here has"
                        f" {self._schema_hash}: score again, then send the file again."
                    )
        return {
            name: Stored(StoredFeatures(one.features), one.as_of, one.data_version)
            for name, one in known.items()
        }

    def _all(self, connection: Connection) -> frozenset[str]:
        """The names of all entities; they are read again where they have been replaced since."""
        stamp = online.stamp(connection, self._spec.name)
        if stamp is None:
            return frozenset()
        held = self._names
        if held is None or held[0] != stamp:
            each = online.entities(connection, self._spec.name)
            held = self._names = stamp, frozenset(name for some in each for name in some)
        return held[1]
