"""Online features: what on-demand calls about a known entity read, of the newest day only."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Text,
    any_,
    cast,
    func,
    literal,
    select,
)

from warehouse.database import is_postgres
from warehouse.repositories.rows import record
from warehouse.tables import online_features


@dataclass(frozen=True)
class OnlineFeatures:
    """The stored inputs of one entity, and which data and feature schema made them."""

    model: str
    entity: str
    as_of: date
    data_version: str
    schema_hash: str
    features: Mapping[str, Any]


@dataclass(frozen=True)
class OnlineBatch:
    """Features to store: one mapping an entity, all of one feature schema."""

    schema_hash: str
    entities: Sequence[str]
    features: Iterable[Mapping[str, Any] | str]


def newest_as_of(connection: Connection, model: str) -> date | None:
    """The day of the stored features."""
    query = select(func.max(online_features.c.as_of)).where(online_features.c.model == model)
    found: date | None = connection.execute(query).scalar_one()
    return found


def replace_if_newest(
    connection: Connection, model: str, as_of: date, data_version: str, batch: OnlineBatch
) -> bool:
    """Replace the model's features unless newer ones are stored; says whether it did."""
    # Servers read features, and do without pyarrow, which only writing needs.
    from warehouse.bulk import replace_partition
    from warehouse.jsontext import json_texts

    there = newest_as_of(connection, model)
    if there is not None and as_of < there:
        return False
    replace_partition(
        connection,
        online_features,
        where={"model": model},
        rows={"entity": list(batch.entities), "features": json_texts(batch.features)},
        constants={
            "as_of": as_of,
            "data_version": data_version,
            "schema_hash": batch.schema_hash,
        },
    )
    return True


def first(connection: Connection, model: str) -> OnlineFeatures | None:
    """The stored features of the first entity by name; None where none are stored."""
    table = online_features
    query = select(table).where(table.c.model == model).order_by(table.c.entity).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else record(OnlineFeatures, row)


def count(connection: Connection, model: str) -> int:
    """How many entities have stored features."""
    query = select(func.count()).where(online_features.c.model == model)
    return int(connection.execute(query).scalar_one())


def entities(connection: Connection, model: str, some: int = 10_000) -> Iterator[list[str]]:
    """The entities with stored features by name, ``some`` at a time."""
    table = online_features.c
    query = select(table.entity).where(table.model == model).order_by(table.entity).limit(some)
    found = list(connection.execute(query).scalars())
    while found:
        yield found
        found = list(connection.execute(query.where(table.entity > found[-1])).scalars())


@dataclass(frozen=True)
class OnlineStamp:
    """What the stored features of a model, which are replaced all at once, were made of."""

    as_of: date
    data_version: str
    schema_hash: str


def stamp(connection: Connection, model: str) -> OnlineStamp | None:
    """Of the features that are stored now; None where none are."""
    table = online_features.c
    query = select(table.as_of, table.data_version, table.schema_hash).limit(1)
    row = connection.execute(query.where(table.model == model)).mappings().one_or_none()
    return None if row is None else record(OnlineStamp, row)


@dataclass(frozen=True)
class OnlineText:
    """The stored inputs of one entity as JSON text."""

    as_of: date
    data_version: str
    schema_hash: str
    features: str


def texts(connection: Connection, model: str, entities: Collection[str]) -> dict[str, OnlineText]:
    """The stored features of these entities, any number; those not stored are absent."""
    table = online_features.c
    columns = (table.as_of, table.data_version, table.schema_hash)
    query = select(table.entity, *columns, cast(table.features, Text).label("features"))
    wanted = sorted(name for name in entities if "\0" not in name)
    if not wanted:
        return {}
    rows = connection.execute(query.where(table.model == model, _among(connection, wanted)))
    return {
        entity: OnlineText(as_of, data_version, schema_hash, features)
        for entity, as_of, data_version, schema_hash, features in rows
    }


def _among(connection: Connection, names: Sequence[str]) -> ColumnElement[bool]:
    """Whether an entity is one of these, which are one parameter however many they are.

    A parameter each would take longer to be put into the statement than the look-up takes.
    """
    if is_postgres(connection):
        return online_features.c.entity == any_(literal(list(names), ARRAY(Text)))
    each = func.json_each(json.dumps(list(names))).table_valued("value")
    return online_features.c.entity.in_(select(each.c.value))


def get(connection: Connection, model: str, entities: Sequence[str]) -> dict[str, OnlineFeatures]:
    """The stored features of these entities; those not stored are absent."""
    table = online_features
    query = select(table).where(table.c.model == model, table.c.entity.in_(list(entities)))
    found = (record(OnlineFeatures, row) for row in connection.execute(query).mappings())
    return {one.entity: one for one in found}
