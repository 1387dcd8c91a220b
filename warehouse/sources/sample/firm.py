"""The sample firm as a source: contract tables as Arrow, and its planted truth kept apart."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from warehouse.sources.sample import tables
from warehouse.sources.sample.days import day_of
from warehouse.sources.sample.spec import DEFAULT_CLIENTS, DEFAULT_SEED, SampleSpec, parse
from warehouse.sources.sample.world import World, build_world, simulate

if TYPE_CHECKING:
    import duckdb

TABLE_NAMES = (
    "clients",
    "services",
    "invoices",
    "invoice_lines",
    "work_entries",
    "rates",
    "quotes",
    "channel_spend",
    "series",
    "client_outcomes",
)


class SampleFirm:
    """A generated services firm: about ``clients`` clients, deterministic in (clients, seed).

    ``end`` is the last day of the books (default: yesterday). Ending one day later adds the rows
    known that day and changes nothing else but the ``paid_on``, ``decided_on`` (with ``won``) and
    ``ended_on`` of that day. At 100,000 clients all tables together hold some 3 GB.
    """

    def __init__(
        self,
        clients: int = DEFAULT_CLIENTS,
        seed: int = DEFAULT_SEED,
        end: dt.date | None = None,
    ) -> None:
        self.end = end or dt.date.today() - dt.timedelta(days=1)
        self.spec = SampleSpec(clients, seed, self.end)

    @classmethod
    def parse(cls, text: str, today: dt.date | None = None) -> SampleFirm:
        """The firm that ``sample[:clients=N,seed=S,end=DATE]`` names.

        ``today`` is the day in the firm's time zone; without an end the books end the day before.
        Raises SampleSpecError, a SourceError.
        """
        spec = parse(text)
        yesterday = (today or dt.date.today()) - dt.timedelta(days=1)
        return cls(spec.clients, spec.seed, spec.end or yesterday)

    @property
    def identity(self) -> str:
        """Names the firm whatever the last day, for instance ``sample:clients=1000,seed=7``."""
        return f"sample:clients={self.spec.clients},seed={self.spec.seed}"

    def tables(self) -> list[str]:
        """Names of the tables: all ten of the contract."""
        return list(TABLE_NAMES)

    def table(self, name: str) -> pa.Table:
        """A contract table; KeyError for an unknown name."""
        if name not in TABLE_NAMES:
            raise KeyError(f"the sample firm has no table {name!r}; it has {list(TABLE_NAMES)}")
        if name == "services":
            return tables.services_table()
        if name == "channel_spend":
            return tables.spend_table(self.world)
        if name == "series":
            return tables.series_table(self.world)
        return self._by_client[name]

    def relation(self, table: str, duck: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
        """A contract table as a DuckDB relation of the given connection."""
        return duck.from_arrow(self.table(table))

    def truth(self) -> dict[str, pa.Table]:
        """What was planted, by table name; see :mod:`warehouse.sources.sample.truth`."""
        from warehouse.sources.sample.truth import truth_tables

        return truth_tables(self.world)

    def write_truth(self, folder: Path) -> None:
        """Write each truth table as ``folder/<name>.parquet``. Only tests read them."""
        import pyarrow.parquet as pq

        folder.mkdir(parents=True, exist_ok=True)
        for name, table in self.truth().items():
            pq.write_table(table, folder / f"{name}.parquet")

    @cached_property
    def world(self) -> World:
        """What all clients of the firm share."""
        return build_world(self.spec.clients, self.spec.seed, day_of(self.end))

    @cached_property
    def _by_client(self) -> dict[str, pa.Table]:
        """The tables made client by client, in one pass over chunks of clients."""
        parts: dict[str, list[pa.Table]] = {"rates": [tables.list_rates_table(self.world)]}
        for number in self.world.numbers():
            chunk = simulate(self.world, number)
            for name, table in (
                ("clients", tables.clients_table(self.world, chunk)),
                ("invoices", tables.invoices_table(self.world, chunk)),
                ("invoice_lines", tables.lines_table(chunk)),
                ("work_entries", tables.work_table(self.world, chunk)),
                ("rates", tables.client_rates_table(chunk)),
                ("quotes", tables.quotes_table(self.world, chunk)),
                ("client_outcomes", tables.outcomes_table(self.world, chunk)),
            ):
                parts.setdefault(name, []).append(table)
        return {name: pa.concat_tables(pieces) for name, pieces in parts.items()}
