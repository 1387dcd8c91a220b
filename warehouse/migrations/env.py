"""What Alembic runs: on the connection it is handed, else on SEVENFOLD_WAREHOUSE_URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from warehouse.database import connect, writing
from warehouse.settings import WarehouseSettings
from warehouse.webhook_tables import metadata


def _only_fixed_tables(name: str | None, kind: str, _parents: object) -> bool:
    """Scored tables have no migrations, so that autogenerate never proposes to drop them."""
    return kind != "table" or name in metadata.tables


def _run(connection: Connection) -> None:
    # The caller's transaction holds it all: SQLite's DDL is transactional once BEGIN is ours.
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,
        include_name=_only_fixed_tables,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    with writing(connect(WarehouseSettings().warehouse_url)) as own:
        _run(own)
