"""How a scored table in the database is brought to its declared form without losing anything."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Float,
    Integer,
    String,
    Table,
    inspect,
    text,
)
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.schema import CreateColumn
from sqlalchemy.types import TypeEngine

from warehouse.database import SCORES_SCHEMA, is_postgres

ANALYST_ROLE = "sevenfold_analyst"
# Any constant will do, so long as every instance takes the same one.
_MIGRATION_LOCK = 7_077_007
_FAMILIES: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (JSON, "JSON"),
    (Boolean, "boolean"),
    (Integer, "integer"),
    (Float, "number"),
    (DateTime, "timestamp"),
    (Date, "date"),
    (String, "text"),
)


class MigrationRefusedError(RuntimeError):
    """A change that would lose data; the message says what to do instead."""


def lock(connection: Connection) -> None:
    """Let one instance migrate at a time; SQLite's write transaction already does."""
    if is_postgres(connection):
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))


def ensure_schema(connection: Connection) -> list[str]:
    """Create PostgreSQL's schema of scored tables where it is missing."""
    if not is_postgres(connection) or inspect(connection).has_schema(SCORES_SCHEMA):
        return []
    connection.execute(text(f"CREATE SCHEMA {SCORES_SCHEMA}"))
    return [f"created the schema {SCORES_SCHEMA}"]


def ensure_table(connection: Connection, table: Table) -> list[str]:
    """Create the table, or add its new columns and indexes."""
    seen = inspect(connection)
    schema = _schema(connection)
    if not seen.has_table(table.name, schema=schema):
        # A table that was set aside by renaming took its view along.
        connection.execute(text(f"DROP VIEW IF EXISTS {_name(connection, latest_view(table))}"))
        table.create(connection)
        return [f"created {table.name}"]
    there = {column["name"]: column["type"] for column in seen.get_columns(table.name, schema)}
    key = tuple(seen.get_pk_constraint(table.name, schema)["constrained_columns"])
    _refuse_loss(connection, table, there, key)
    new = [column for column in table.columns if column.name not in there]
    for column in new:
        _add_column(connection, table, column)
    indexes = {index["name"] for index in seen.get_indexes(table.name, schema)}
    for index in table.indexes:
        if index.name not in indexes:
            index.create(connection)
    return [f"added {table.name}.{column.name}" for column in new]


def _refuse_loss(
    connection: Connection,
    table: Table,
    there: dict[str, TypeEngine[object]],
    key: tuple[str, ...],
) -> None:
    wanted_key = tuple(column.name for column in table.primary_key)
    way_out = (
        "set the old table aside with the SQL below and run `sevenfold migrate` again: its scores"
        f" stay readable as {table.name}_old, and past days can be backfilled into the new"
        f" table.\n{set_aside_sql(connection, table)}"
    )
    if key != wanted_key:
        raise MigrationRefusedError(
            f"{table.name}: its key is ({', '.join(key)}) in the database and"
            f" ({', '.join(wanted_key)}) in the model's declaration; changing it could merge rows."
            f" To go on, {way_out}"
        )
    changed = [
        f"{column.name} is {family(there[column.name])} in the database and"
        f" {family(column.type)} in the Decision"
        for column in table.columns
        if column.name in there and family(there[column.name]) != family(column.type)
    ]
    if changed:
        raise MigrationRefusedError(
            f"{table.name}: {'; '.join(changed)}; converting stored scores could lose data."
            f" Give the field a new name, which adds a column, or {way_out}"
        )


def set_aside_sql(connection: Connection, table: Table) -> str:
    """The statements, one a line, that keep the scores under another name."""
    statements = [
        f"ALTER TABLE {_name(connection, table.name)} RENAME TO {table.name}_old;",
        *(f"DROP INDEX {_name(connection, str(index.name))};" for index in table.indexes),
        f"DELETE FROM score_days WHERE model = '{_model(table)}';",
    ]
    return "\n".join(statements)


def latest_view(table: Table) -> str:
    """The view of the table's newest day."""
    return f"{_model(table)}_latest"


def _model(table: Table) -> str:
    return table.name.removesuffix("_scores")


def family(kind: TypeEngine[object]) -> str:
    """The kind of values a column type holds, whatever a database calls it."""
    generic = getattr(kind, "impl_instance", kind)
    for member, name in _FAMILIES:
        if isinstance(generic, member):
            return name
    return str(kind)


def _add_column(connection: Connection, table: Table, column: Column[object]) -> None:
    definition = CreateColumn(column).compile(dialect=connection.dialect)
    connection.execute(text(f"ALTER TABLE {_name(connection, table.name)} ADD COLUMN {definition}"))


def ensure_latest_view(connection: Connection, table: Table) -> list[str]:
    """Create ``<model>_latest``: the rows of the newest day scored, none where it had none."""
    view = latest_view(table)
    schema = _schema(connection)
    seen = inspect(connection)
    stored = [column["name"] for column in seen.get_columns(table.name, schema)]
    exists = view in seen.get_view_names(schema)
    if exists and [column["name"] for column in seen.get_columns(view, schema)] == stored:
        return []
    quote = connection.dialect.identifier_preparer.quote
    days = "public.score_days" if is_postgres(connection) else "score_days"
    replace = " OR REPLACE" if is_postgres(connection) else ""
    if exists and not replace:
        connection.execute(text(f"DROP VIEW {quote(view)}"))
    # On PostgreSQL a replaced view keeps its grants and may only gain columns at the end: so it
    # does, since a stored table only ever gains columns.
    connection.execute(
        text(
            f"CREATE{replace} VIEW {_name(connection, view)} AS"
            f" SELECT {', '.join(quote(column) for column in stored)}"
            f" FROM {_name(connection, table.name)}"
            f" WHERE as_of = (SELECT max(as_of) FROM {days} WHERE model = '{_model(table)}')"
        )
    )
    return [f"{'renewed' if exists else 'created'} {view}"]


def ensure_analyst(connection: Connection) -> list[str]:
    """Let PostgreSQL's analysts' role read the scored tables; says what was not permitted."""
    if not is_postgres(connection):
        return []
    facts = connection.execute(
        text(
            "SELECT (SELECT true FROM pg_roles WHERE rolname = :role) AS there,"
            " (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)"
            " AS may_create, current_user AS me"
        ),
        {"role": ANALYST_ROLE},
    ).one()
    if not facts.there and not facts.may_create:
        return [
            f"the read-only role {ANALYST_ROLE} is missing and {facts.me} may not create roles:"
            f" have an administrator run CREATE ROLE {ANALYST_ROLE} NOLOGIN, then migrate again"
        ]
    try:
        with connection.begin_nested():
            if not facts.there:
                connection.execute(text(f"CREATE ROLE {ANALYST_ROLE} NOLOGIN"))
            connection.execute(
                text(
                    f"GRANT USAGE ON SCHEMA {SCORES_SCHEMA} TO {ANALYST_ROLE};"
                    f" GRANT SELECT ON ALL TABLES IN SCHEMA {SCORES_SCHEMA} TO {ANALYST_ROLE};"
                    f" ALTER DEFAULT PRIVILEGES IN SCHEMA {SCORES_SCHEMA}"
                    f" GRANT SELECT ON TABLES TO {ANALYST_ROLE}"
                )
            )
    except ProgrammingError as error:
        return [
            f"{ANALYST_ROLE} could not be given read access to the schema {SCORES_SCHEMA}:"
            f" {str(error.orig).strip()}"
        ]
    return []


def _schema(connection: Connection) -> str | None:
    return SCORES_SCHEMA if is_postgres(connection) else None


def _name(connection: Connection, name: str) -> str:
    """The quoted name of a table or view among the scored ones."""
    quoted = connection.dialect.identifier_preparer.quote(name)
    return f"{SCORES_SCHEMA}.{quoted}" if is_postgres(connection) else quoted
