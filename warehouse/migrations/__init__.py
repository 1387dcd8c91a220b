"""Alembic migrations of the warehouse's fixed tables, and the one call that applies them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection


def upgrade(connection: Connection) -> bool:
    """Bring the fixed tables to the newest form, in the caller's transaction.

    True where something was applied.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    wanted = set(ScriptDirectory.from_config(config).get_heads())
    if set(MigrationContext.configure(connection).get_current_heads()) == wanted:
        return False
    command.upgrade(config, "head")
    return True
