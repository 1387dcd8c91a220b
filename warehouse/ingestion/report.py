"""What an ingestion did, table by table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from warehouse.repositories.verdicts import FailedRule, Verdict


@dataclass(frozen=True)
class TableReport:
    """One table: its rows now, what changed, and the verdict.

    ``version`` is its Delta version, None where the table was refused before it ever came in.
    ``applied`` is False where the export itself is broken, so that the lake keeps what it had.
    """

    name: str
    version: int | None
    rows: int
    inserted: int = 0
    updated: int = 0
    removed: int = 0
    repeated: int = 0
    quarantined: int = 0
    verdict: Literal["pass", "warn", "fail"] = "pass"
    failed_rules: Sequence[FailedRule] = ()
    applied: bool = True

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the rules that warn or fail."""
        return tuple(rule.rule for rule in self.failed_rules)

    @property
    def changed(self) -> bool:
        """Whether any row was written."""
        return self.inserted + self.updated + self.removed > 0

    def says_the_same_as(self, before: Verdict) -> bool:
        """Whether the recorded verdict is this one, rule by rule."""
        figures = (self.verdict, self.rows, self.quarantined)
        return figures == (before.verdict, before.rows, before.quarantined) and (
            _figures(self.failed_rules) == _figures(before.failed_rules)
        )


@dataclass(frozen=True)
class IngestReport:
    """The data version that readers see now; ``written`` tells whether this ingestion made it."""

    snapshot: str
    written: bool
    tables: Sequence[TableReport]
    first_event: dt.date | None
    newest_event: dt.date | None

    def summary(self) -> str:
        """One sentence for a log."""
        if not self.written:
            return f"Nothing changed since data version {self.snapshot}."
        inserted, updated, removed, quarantined = (
            sum(getattr(table, figure) for table in self.tables)
            for figure in ("inserted", "updated", "removed", "quarantined")
        )
        text = (
            f"Data version {self.snapshot}: {len(self.tables)} tables,"
            f" {inserted:,} rows new, {updated:,} changed, {removed:,} removed,"
            f" {quarantined:,} in quarantine."
        )
        failed = [table.name for table in self.tables if table.verdict == "fail"]
        return text + (f" Failed quality: {', '.join(failed)}." if failed else "")


def _figures(rules: Sequence[FailedRule]) -> set[tuple[str, str, float]]:
    return {(rule.rule, rule.severity, round(rule.figure, 9)) for rule in rules}
