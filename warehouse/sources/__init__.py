"""Where billing data comes from: a generated firm, a folder of files, or a database."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from warehouse.sources.errors import SourceError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from warehouse.settings import WarehouseSettings

__all__ = ["Source", "SourceError", "open_source"]


class Source(Protocol):
    """A full export of some of the contract's tables, read anew each time."""

    @property
    def identity(self) -> str:
        """What a home is bound to: equal for later exports of the same data, without secrets."""

    def tables(self) -> list[str]:
        """The contract's tables that the source has, in the contract's order."""

    def relation(self, table: str, duck: DuckDBPyConnection) -> DuckDBPyRelation:
        """The table's rows as they are, to be read more than once on this connection.

        Raises SourceError where the table cannot be read.
        """


def open_source(spec: str, settings: WarehouseSettings) -> Source:
    """The source that a ``SEVENFOLD_SOURCE`` names.

    ``sample[:clients=N,seed=S,end=DATE]``, ``folder:PATH`` or a SQLAlchemy URL. Raises SourceError
    for anything else, for a folder that is not there and for a database that does not answer.
    """
    kind, _, rest = spec.strip().partition(":")
    if kind == "sample":
        from warehouse.sources.sample import SampleFirm

        return SampleFirm.parse(spec, today=dt.datetime.now(settings.zone).date())
    if kind == "folder":
        from warehouse.sources.folder import FolderSource

        return FolderSource(Path(rest).expanduser().resolve(), data=settings.example_data)
    if "://" in spec:
        from warehouse.sources.database import DatabaseSource

        return DatabaseSource(spec)
    raise SourceError(
        f"{spec!r} is not a source: give sample[:clients=N,seed=S,end=DATE], folder:PATH"
        " or a SQLAlchemy URL such as postgresql://user:password@host/database"
    )
