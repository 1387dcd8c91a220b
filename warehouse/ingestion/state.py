"""The state of one ingestion while its tables come in: what is in the lake, and what to record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from warehouse import contract, duck
from warehouse.contract_types import Table
from warehouse.ingestion import incoming
from warehouse.ingestion.incoming import Held, Incoming
from warehouse.ingestion.report import IngestReport, TableReport
from warehouse.lake import Lake
from warehouse.quality import Limits, Rule, judge, structural
from warehouse.repositories.data_versions import DataVersion
from warehouse.repositories.verdicts import Acceptance, FailedRule, Verdict
from warehouse.snapshot import raw
from warehouse.sources import Source

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from warehouse.settings import WarehouseSettings

QUARANTINE = "quarantine"
BATCH_ROWS = 131_072
Progress = Callable[[str, int, int], None]


@dataclass
class Ingestion:
    """The state of one ingestion while its tables come in one by one."""

    source: Source
    lake: Lake
    settings: WarehouseSettings
    today: dt.date
    run_id: str
    newest: DataVersion | None
    accepted: Mapping[tuple[str, str], Acceptance]
    done: dict[str, TableReport] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    first_event: dt.date | None = None
    newest_event: dt.date | None = None
    new_quarantine: bool = False

    def __post_init__(self) -> None:
        self.versions = dict(self.newest.table_versions) if self.newest else {}

    @property
    def ordinal(self) -> int:
        """The number of the data version that this run writes, if it writes one."""
        return int(self.newest.snapshot) + 1 if self.newest else 1

    @property
    def snapshot(self) -> str:
        """The id of that data version."""
        return f"{self.ordinal:06d}"

    def restore(self) -> None:
        """Bring every head back to what was recorded, past the remains of a run that died."""
        for name, version in self.versions.items():
            self.lake.restore(name if name == QUARANTINE else raw(name), version)

    def tables(self, connection: DuckDBPyConnection, progress: Progress | None) -> None:
        """Take in each table of the source, and lines made from invoices where there are none."""
        names = self.source.tables()
        for number, name in enumerate(names):
            if progress:
                progress(name, number, len(names))
            view = f"source_{name}"
            self.source.relation(name, connection).create_view(view, replace=True)
            self._table(contract.table(name), view, connection)
        if "invoice_lines" not in names and "invoices" in names:
            self._lines_of_invoices(connection)
        if progress:
            progress("done", len(names), len(names))

    def _table(self, table: Table, view: str, connection: DuckDBPyConnection) -> None:
        limits = Limits(self.settings.quarantine_warn_share, self.settings.quarantine_fail_share)
        held = self._held(table, connection)
        came = incoming.receive(
            table,
            view,
            held,
            connection,
            timezone=self.settings.timezone,
            today=self.today,
            ordinal=self.ordinal,
            limits=limits,
        )
        failed = judge(table.name, came.rules)
        broken = [rule for rule in failed if self._breaks(table, rule)]
        self._write(came, held, failed, not broken, connection)
        if table.name != "invoices":
            connection.execute(f"DROP TABLE {came.stage.name}")

    def _write(
        self,
        came: Incoming,
        held: Held | None,
        failed: list[FailedRule],
        applied: bool,
        connection: DuckDBPyConnection,
    ) -> None:
        table, found, staged = came.table, came.changes, came.stage
        if applied and (found.any or held is None):
            rows = connection.sql(found.sql).to_arrow_reader(BATCH_ROWS)
            note = {"sevenfold.snapshot": self.snapshot, "sevenfold.run_id": self.run_id}
            self.versions[table.name] = self.lake.append(
                raw(table.name), rows, note=note, fresh=held is None
            )
        kept = found.held + found.inserted - found.removed if applied else found.held
        self.done[table.name] = TableReport(
            name=table.name,
            version=self.versions.get(table.name),
            rows=kept,
            inserted=found.inserted if applied else 0,
            updated=found.updated if applied else 0,
            removed=found.removed if applied else 0,
            repeated=came.repeated,
            quarantined=came.quarantined,
            verdict=incoming.verdict_of(failed),
            failed_rules=failed,
            applied=applied,
        )
        if applied:
            self._events(table, staged.good, staged.columns, connection)
        elif held is not None:
            self._events(table, held.log, held.columns, connection)

    def _breaks(self, table: Table, rule: FailedRule) -> bool:
        """Whether the rule keeps the export out of the lake."""
        if rule.severity != "fail" or not structural(rule.rule):
            return False
        if rule.rule.removeprefix("missing_column:") in table.required:
            return True  # nothing that could be applied, whoever accepts it
        acceptance = self.accepted.get((table.name, rule.rule))
        return acceptance is None or rule.figure > acceptance.figure

    def _lines_of_invoices(self, connection: DuckDBPyConnection) -> None:
        """Each invoice with an amount as one line of the service ``all``."""
        described = connection.sql("SELECT * FROM stage_invoices LIMIT 0").columns
        if "amount" not in described:
            return
        # A price is never negative, so a credit note is a negative quantity.
        connection.execute(
            "CREATE OR REPLACE VIEW lines_of_invoices AS SELECT invoice_id AS line_id, client_id,"
            " 'all' AS service_id, issued_on, CASE WHEN amount < 0 THEN -1.0 ELSE 1.0 END AS"
            " quantity, abs(amount) AS unit_price, invoice_id, amount, known_at"
            " FROM stage_invoices WHERE __state = 0 AND amount IS NOT NULL"
        )
        if duck.one(connection, "SELECT 1 FROM lines_of_invoices LIMIT 1"):
            self._table(contract.TABLES["invoice_lines"], "lines_of_invoices", connection)

    def _held(self, table: Table, connection: DuckDBPyConnection) -> Held | None:
        version = self.versions.get(table.name)
        if version is None:
            return None
        return incoming.hold(self.lake.relation(raw(table.name), version, connection), connection)

    def _events(
        self, table: Table, rows: str, columns: Mapping[str, str], connection: DuckDBPyConnection
    ) -> None:
        first, last = incoming.event_range(table, rows, columns, self.today, connection)
        self.first_event = min(filter(None, (self.first_event, first)), default=None)
        self.newest_event = max(filter(None, (self.newest_event, last)), default=None)

    def quarantine(self, connection: DuckDBPyConnection) -> None:
        """Append this export's quarantined rows, if any of them is new."""
        version = self.versions.get(QUARANTINE)
        known = ""
        if version is not None:
            log = self.lake.relation(QUARANTINE, version, connection)
            last = f"(SELECT * FROM {log} WHERE snapshot = (SELECT max(snapshot) FROM {log}))"
            known = (
                f" ANTI JOIN {last} k ON q.table_name = k.table_name"
                " AND q.reasons = k.reasons AND q.raw IS NOT DISTINCT FROM k.raw"
            )
        self.new_quarantine = (
            duck.one(connection, f"SELECT 1 FROM quarantine_rows q{known} LIMIT 1") is not None
        )
        if not self.new_quarantine:
            return
        rows = connection.sql(
            f"SELECT table_name, place AS row, kind, reasons, raw, {self.ordinal}::BIGINT AS"
            f" snapshot, DATE '{self.today}' AS seen_on FROM quarantine_rows"
        ).to_arrow_reader(BATCH_ROWS)
        note = {"sevenfold.snapshot": self.snapshot, "sevenfold.run_id": self.run_id}
        self.versions[QUARANTINE] = self.lake.append(
            QUARANTINE, rows, note=note, fresh=version is None
        )

    def tables_gone(self) -> None:
        """Fail the tables that earlier exports had and this one lacks; the lake keeps them."""
        for name, version in self.versions.items():
            if name in self.done or name == QUARANTINE:
                continue
            message = f"{name} was in earlier exports and is missing from this one"
            rules = [Rule("missing_table", 1.0, message, fail_above=0.0)]
            rows = dict(self.newest.row_counts).get(name, 0) if self.newest else 0
            self.done[name] = TableReport(
                name=name,
                version=version,
                rows=rows,
                verdict="fail",
                failed_rules=judge(name, rules),
                applied=False,
            )

    def report(self, before: Mapping[str, Verdict]) -> IngestReport:
        """What happened; nothing is written where rows, quarantine and verdicts are the same."""
        same = self.newest is not None and not self.new_quarantine
        same = same and not any(table.changed for table in self.done.values())
        same = same and all(
            name in before and table.says_the_same_as(before[name])
            for name, table in self.done.items()
        )
        order = [self.done[name] for name in contract.TABLES if name in self.done]
        return IngestReport(
            snapshot=self.newest.snapshot if same and self.newest else self.snapshot,
            written=not same,
            tables=order,
            first_event=self.first_event,
            newest_event=self.newest_event,
        )

    def version(self) -> DataVersion:
        """The row that makes this ingestion visible."""
        return DataVersion(
            snapshot=self.snapshot,
            created_at=dt.datetime.now(dt.UTC),
            source=self.source.identity,
            table_versions=self.versions,
            row_counts={name: table.rows for name, table in self.done.items()},
            quarantined={name: table.quarantined for name, table in self.done.items()},
            first_event=self.first_event,
            newest_event=self.newest_event,
            run_id=self.run_id,
        )

    def verdict(self, table: TableReport) -> Verdict:
        """The verdict row of a table at this data version."""
        return Verdict(
            table_name=table.name,
            snapshot=self.snapshot,
            verdict=table.verdict,
            failed_rules=table.failed_rules,
            rows=table.rows,
            quarantined=table.quarantined,
            run_id=self.run_id,
        )
