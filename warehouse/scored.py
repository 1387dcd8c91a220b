"""Scored tables: one typed table a model, made from its Decision, and how they are migrated."""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin

from pydantic import BaseModel
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Engine,
    Index,
    MetaData,
    Table,
)
from sqlalchemy.types import TypeEngine

from warehouse import evolve, migrations
from warehouse.database import SCORES_SCHEMA, writing
from warehouse.types import UtcDateTime, json_type, text_type

STAMP = ("model_version", "data_version", "run_id", "origin", "scored_at")
"""Where a scored row comes from; the same for all rows of one model and day."""


class ScoredSpec(Protocol):
    """What the warehouse needs to know of a model; ``ml.models.spec.ModelSpec`` is one."""

    @property
    def name(self) -> str:
        """The model, a Python identifier."""

    @property
    def entity(self) -> tuple[str, ...]:
        """The key columns beside ``as_of``."""

    @property
    def Decision(self) -> type[BaseModel]:  # noqa: N802
        """The columns of one scored row."""


@dataclass(frozen=True)
class FieldRule:
    """What a Decision's field becomes: its column type, and what its values may be."""

    type: TypeEngine[Any]
    optional: bool
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Migration:
    """What ``migrate`` did, in sentences, and what it could not do and why."""

    done: tuple[str, ...]
    notes: tuple[str, ...]


def field_rules(decision: type[BaseModel]) -> dict[str, FieldRule]:
    """The rule of each field of a Decision.

    Raises TypeError naming the field whose type no column can hold.
    """
    return {
        name: _rule(f"{decision.__name__}.{name}", field.annotation)
        for name, field in decision.model_fields.items()
    }


def _rule(where: str, annotation: Any) -> FieldRule:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _rule(where, get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not types.NoneType]
        if len(parts) < len(get_args(annotation)) and len(parts) == 1:
            inner = _rule(where, parts[0])
            return FieldRule(inner.type, True, inner.choices)
    if origin is Literal and all(isinstance(choice, str) for choice in get_args(annotation)):
        return FieldRule(text_type(), False, get_args(annotation))
    if origin in (list, dict, tuple):
        return FieldRule(json_type(), False)
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel) or annotation in (list, dict):
            return FieldRule(json_type(), False)
        # datetime is a date and bool an int, so the narrower comes first.
        for python, column in (
            (str, text_type()),
            (bool, Boolean()),
            (int, BigInteger()),
            (float, Double()),
            (datetime, DateTime()),
            (date, Date()),
        ):
            if issubclass(annotation, python):
                return FieldRule(column, False)
    raise TypeError(
        f"{where} has the type {annotation!r}, which no column can hold: use str, float, int,"
        " bool, date, datetime, a Literal of strings, a list, a dict or a model, or one of them"
        " or None"
    )


def scored_table(spec: ScoredSpec) -> Table:
    """The table ``<model>_scores``: as_of, the key, the stamp, the Decision's other columns."""
    return _table(spec.name, spec.entity, spec.Decision)


@lru_cache(maxsize=256)
def _table(name: str, entity: tuple[str, ...], decision: type[BaseModel]) -> Table:
    rules = field_rules(decision)
    if lost := [key for key in entity if key not in rules]:
        raise ValueError(f"{name}: Decision lacks the key columns {lost}")
    if taken := sorted({"as_of", *STAMP} & set(rules)):
        raise ValueError(f"{name}: Decision may not have the columns {taken}, which every row has")
    columns: list[Column[Any]] = [Column("as_of", Date, primary_key=True)]
    columns += [Column(key, rules[key].type, primary_key=True) for key in key_order(entity)]
    columns += [Column(stamp, text_type()) for stamp in STAMP[:-1]]
    columns += [Column("scored_at", UtcDateTime)]
    columns += [Column(field, rule.type) for field, rule in rules.items() if field not in entity]
    table = Table(
        f"{name}_scores",
        MetaData(),
        *columns,
        schema=SCORES_SCHEMA,
        # One b-tree instead of two: rows live in the order of their key.
        sqlite_with_rowid=False,
    )
    if "client_id" in rules and "client_id" not in entity:
        Index(f"ix_{name}_scores_client_id", table.c.client_id, table.c.as_of)
    return table


def key_order(entity: tuple[str, ...]) -> tuple[str, ...]:
    """The key's columns with the id first, so that the key itself finds an entity on a day.

    A second index by entity would find its history too, and halve the speed of bulk writes; the
    history is found by one look-up for each scored day instead.
    """
    main = next((key for key in entity if key.endswith("_id")), entity[0])
    return (main, *(key for key in entity if key != main))


def migrate(engine: Engine, specs: Iterable[ScoredSpec]) -> Migration:
    """Create what is missing, add new nullable columns; nothing is ever lost.

    Raises evolve.MigrationRefusedError, with what to do, where a column's type or a key changed;
    then nothing at all is changed.
    """
    with writing(engine) as connection:
        evolve.lock(connection)
        done = ["applied the migrations of the fixed tables"] * migrations.upgrade(connection)
        done += evolve.ensure_schema(connection)
        for spec in specs:
            done += evolve.ensure_table(connection, scored_table(spec))
            done += evolve.ensure_latest_view(connection, scored_table(spec))
        notes = evolve.ensure_analyst(connection)
    return Migration(tuple(done), tuple(notes))
