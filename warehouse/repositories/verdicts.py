"""Quality verdicts on tables, and which of their failed rules someone has accepted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select

from warehouse.database import upsert, utc_now
from warehouse.repositories.rows import record, values
from warehouse.tables import quality_acceptances, quality_verdicts


@dataclass(frozen=True)
class FailedRule:
    """A rule that a table broke. ``figure`` says how badly: the greater, the worse."""

    rule: str
    severity: Literal["warn", "fail"]
    figure: float
    message: str
    limit: float | None = None
    examples: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Verdict:
    """The verdict on one table at one snapshot."""

    table_name: str
    snapshot: str
    verdict: Literal["pass", "warn", "fail"]
    failed_rules: Sequence[FailedRule] = ()
    rows: int = 0
    quarantined: int = 0
    decided_at: datetime = field(default_factory=utc_now)
    run_id: str | None = None


@dataclass(frozen=True)
class Acceptance:
    """Someone takes a failed rule as it is, until its figure gets worse than it was then."""

    table_name: str
    rule: str
    figure: float
    accepted_by: str
    reason: str
    accepted_at: datetime


class NothingToAcceptError(LookupError):
    """The newest verdict on that table has no such failed rule; the message lists what failed."""


def add(connection: Connection, verdict: Verdict) -> None:
    """Record a verdict; a retry of the same table and snapshot replaces it."""
    row = values(verdict) | {"failed_rules": [asdict(rule) for rule in verdict.failed_rules]}
    upsert(connection, quality_verdicts, [row], key=("table_name", "snapshot"))


def newest(connection: Connection, tables: Collection[str] | None = None) -> dict[str, Verdict]:
    """The newest verdict on each table that has one."""
    table = quality_verdicts
    last = select(func.max(table.c.id)).group_by(table.c.table_name)
    query = select(table).where(table.c.id.in_(last)).order_by(table.c.table_name)
    if tables is not None:
        query = query.where(table.c.table_name.in_(sorted(tables)))
    return {row["table_name"]: _verdict(row) for row in connection.execute(query).mappings()}


def at_snapshot(connection: Connection, snapshot: str) -> dict[str, Verdict]:
    """The verdict on each table at that snapshot."""
    query = select(quality_verdicts).where(quality_verdicts.c.snapshot == snapshot)
    return {row["table_name"]: _verdict(row) for row in connection.execute(query).mappings()}


def accept(
    connection: Connection,
    table_name: str,
    rule: str,
    by: str,
    reason: str,
    at: datetime | None = None,
) -> Acceptance:
    """Accept a rule that the newest verdict on the table failed, at its present figure.

    Raises NothingToAcceptError where that rule did not fail there.
    """
    verdict = newest(connection, [table_name]).get(table_name)
    failed = {broken.rule: broken for broken in verdict.failed_rules} if verdict else {}
    if rule not in failed:
        there = ", ".join(sorted(failed)) or "none"
        raise NothingToAcceptError(
            f"{table_name} has no failed rule {rule!r} to accept; its failed rules: {there}"
        )
    accepted = Acceptance(table_name, rule, failed[rule].figure, by, reason, at or utc_now())
    connection.execute(insert(quality_acceptances).values(**values(accepted)))
    return accepted


def acceptances(connection: Connection) -> dict[tuple[str, str], Acceptance]:
    """The newest acceptance of each table and rule."""
    query = select(quality_acceptances).order_by(quality_acceptances.c.id)
    found = [record(Acceptance, row) for row in connection.execute(query).mappings()]
    return {(one.table_name, one.rule): one for one in found}


def blocking(connection: Connection, tables: Collection[str]) -> dict[str, list[FailedRule]]:
    """The rules that stop a model which uses these tables: failed at the newest verdict of their
    table, in whatever run, and not accepted, or worse now than when they were."""
    accepted = acceptances(connection)
    blocked = {}
    for name, verdict in newest(connection, tables).items():
        open_rules = [
            broken
            for broken in verdict.failed_rules
            if broken.severity == "fail" and not _covers(accepted.get((name, broken.rule)), broken)
        ]
        if open_rules:
            blocked[name] = open_rules
    return blocked


def _covers(acceptance: Acceptance | None, broken: FailedRule) -> bool:
    return acceptance is not None and broken.figure <= acceptance.figure


def _verdict(row: Mapping[Any, Any]) -> Verdict:
    rules = tuple(
        FailedRule(**broken | {"examples": tuple(broken["examples"])})
        for broken in row["failed_rules"]
    )
    return record(Verdict, {**row, "failed_rules": rules})
