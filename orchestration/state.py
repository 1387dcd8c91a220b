"""What the code location must know of a home before it loads: its tables and first day."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from warehouse.settings import WarehouseSettings


@dataclass(frozen=True)
class State:
    """``tables`` is None before the first ingestion: every model may still become available."""

    tables: Collection[str] | None
    start: date | None


def read_state(settings: WarehouseSettings) -> State:
    """Read it from the warehouse; an empty or absent one is a home before its first ingestion."""
    from sqlalchemy import inspect

    from warehouse.database import connect, reading
    from warehouse.repositories import data_versions

    engine = connect(settings.warehouse_url)
    try:
        if not inspect(engine).has_table("data_versions"):
            return State(None, settings.start_date)
        with reading(engine) as connection:
            newest = data_versions.newest(connection)
            firm = data_versions.get_firm(connection)
    finally:
        engine.dispose()
    start = settings.start_date or (firm.start_date if firm else None)
    return State(list(newest.table_versions) if newest else None, start)
