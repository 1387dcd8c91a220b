"""Alembic migrations of the warehouse's fixed tables, and the one call that applies them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

NEWEST = max(path.name.partition("_")[0] for path in Path(__file__).parent.glob("versions/0*.py"))
"""The migration that the fixed tables should be at: they are numbered, one after the other."""


def upgrade(connection: Connection) -> bool:
    """Bring the fixed tables to the newest form, in the caller's transaction.

    True where something was applied.
    """
    if _current(connection) == NEWEST:
        return False
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return True


def _current(connection: Connection) -> str | None:
    """The migration that the database is at, read without Alembic: most starts have none to do."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
