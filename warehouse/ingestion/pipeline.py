"""One ingestion: every table of the source into the lake, then one transaction that records it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from warehouse import duck, faults
from warehouse.database import reading, writing
from warehouse.exclusive import alone
from warehouse.ingestion import incoming
from warehouse.ingestion.report import IngestReport
from warehouse.ingestion.state import Ingestion, Progress
from warehouse.lake import Lake
from warehouse.repositories import data_versions, verdicts
from warehouse.repositories.data_versions import OtherSourceError
from warehouse.sources import Source

if TYPE_CHECKING:
    from warehouse.settings import WarehouseSettings

LAKE = "lake"
"""The lock of whoever writes or tidies the lake."""


def ingest(
    source: Source,
    lake: Lake,
    engine: Engine,
    settings: WarehouseSettings,
    today: dt.date,
    run_id: str,
    progress: Progress | None = None,
) -> IngestReport:
    """Bring a full export of the source into the lake and record a data version if it changed.

    ``today`` is the day in the firm's time zone from which changes hold. The lake comes first and
    the record last, so a crash in between leaves nothing that a reader could see; the next call
    goes on from the recorded versions. A second ingestion at the same time waits for the first.
    Raises OtherSourceError where the home belongs to another source and SourceError where the
    source cannot be read.
    """
    with alone(engine, LAKE):
        with reading(engine) as connection:
            owner = data_versions.get_firm(connection)
            newest = data_versions.newest(connection)
            accepted = verdicts.acceptances(connection)
            before = verdicts.newest(connection)
        if owner is not None and owner.source != source.identity:
            raise OtherSourceError(owner.source, source.identity)
        run = Ingestion(source, lake, settings, today, run_id, newest, accepted)
        _take_in(run, settings, progress)
        report = run.report(before)
        if report.written:
            faults.reach("lake-committed")
            _record(run, engine, settings)
        return report


def _take_in(run: Ingestion, settings: WarehouseSettings, progress: Progress | None) -> None:
    run.restore()
    data = str(settings.example_data) if settings.example_data else None
    with duck.session(timezone=settings.timezone, data=data) as connection:
        incoming.prepare_quarantine(connection)
        run.tables(connection, progress)
        run.quarantine(connection)
    run.tables_gone()


def _record(run: Ingestion, engine: Engine, settings: WarehouseSettings) -> None:
    with writing(engine) as connection:
        start = settings.start_date or (run.first_event.replace(day=1) if run.first_event else None)
        data_versions.claim(connection, run.source.identity, start)
        data_versions.add(connection, run.version())
        faults.reach("verdict")
        for table in run.done.values():
            verdicts.add(connection, run.verdict(table))
