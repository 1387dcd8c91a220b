"""A workspace: the lake, warehouse, artifacts and settings of one home, opened together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from ml.artifacts import Artifact, ArtifactStore
from ml.models import ModelSpec, Registry, default_registry
from ml.models.spec import load
from ml.refusals import DayError, NoDataError, NotAvailableError, OtherFormatError, QualityError
from ml.settings import MlSettings
from warehouse import scored
from warehouse.database import connect, reading
from warehouse.lake import Lake
from warehouse.repositories import data_versions, models, verdicts
from warehouse.settings import WarehouseSettings
from warehouse.snapshot import Snapshot

if TYPE_CHECKING:
    import pandas as pd

    from ml.methods.method import Fitted, Method
    from warehouse.ingestion import IngestReport


@dataclass(frozen=True)
class Workspace:
    """Everything that a step of a model's life needs; ``clock`` tells the firm's local time."""

    settings: WarehouseSettings
    ml: MlSettings
    engine: Engine
    lake: Lake
    artifacts: ArtifactStore
    registry: Registry
    clock: Callable[[], datetime]

    @classmethod
    def open(
        cls,
        settings: WarehouseSettings | None = None,
        ml: MlSettings | None = None,
        registry: Registry | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> Workspace:
        """Open a home and bring its warehouse up to date; settings default to the environment."""
        settings = settings or WarehouseSettings()
        registry = registry or default_registry()
        zone = settings.zone
        settings.home.mkdir(parents=True, exist_ok=True)
        engine = connect(settings.warehouse_url)
        scored.migrate(engine, list(registry.values()))
        return cls(
            settings=settings,
            ml=ml or MlSettings(),
            engine=engine,
            lake=Lake(settings.lake, retention_days=settings.retention_days),
            artifacts=ArtifactStore(settings.models, settings.home / "copies"),
            registry=registry,
            clock=clock or (lambda: datetime.now(zone)),
        )

    @classmethod
    @cache
    def current(cls) -> Workspace:
        """The workspace of this process's environment, opened once."""
        return cls.open()

    @property
    def yesterday(self) -> date:
        """The newest whole day in the firm's time zone."""
        return self.clock().date() - timedelta(days=1)

    def ingest(
        self, run_id: str, progress: Callable[[str, int, int], None] | None = None
    ) -> IngestReport:
        """Read the configured source into the lake and record a snapshot if anything changed."""
        from warehouse.ingestion import ingest
        from warehouse.sources import open_source

        return ingest(
            open_source(self.settings.source, self.settings),
            self.lake,
            self.engine,
            self.settings,
            self.clock().date(),
            run_id,
            progress,
        )

    def data_version(self) -> data_versions.DataVersion:
        """The newest recorded snapshot; NoDataError before the first ingestion."""
        with reading(self.engine) as connection:
            newest = data_versions.newest(connection)
        if newest is None:
            raise NoDataError(
                "Nothing was ingested yet: run `sevenfold run`, or materialise the raw assets."
            )
        return newest

    def snapshot(self, snapshot_id: str | None = None) -> Snapshot:
        """The data of a snapshot, the newest one unless its id is given."""
        if snapshot_id is None:
            version = self.data_version()
        else:
            with reading(self.engine) as connection:
                found = data_versions.get(connection, snapshot_id)
            if found is None:
                raise NoDataError(f"There is no data version {snapshot_id!r} in this home.")
            version = found
        return Snapshot(self.lake, version.snapshot, version.table_versions)

    def as_of(self, data: data_versions.DataVersion | None = None) -> date:
        """The default day: the earlier of yesterday and the newest event date in the source."""
        newest = (data or self.data_version()).newest_event
        return min(self.yesterday, newest) if newest else self.yesterday

    def require_day(self, day: date) -> None:
        """Refuse a day that cannot be scored: before the first one with data, or not over yet."""
        with reading(self.engine) as connection:
            firm = data_versions.get_firm(connection)
        first = self.settings.start_date or (firm.start_date if firm else None)
        if day > self.yesterday or (first is not None and day < first):
            raise DayError(
                f"{day} cannot be scored: days from {first} to {self.yesterday}, the newest whole"
                " one, can (see SEVENFOLD_START_DATE)."
            )

    def method(self, spec: ModelSpec) -> Method:
        """How the model learns and decides, under this workspace's settings."""
        method: Method = load(spec.method)(spec, self.ml)
        return method

    def fitted(self, spec: ModelSpec, artifact: Artifact) -> Fitted:
        """What a version learned; OtherFormatError where today's code writes other files."""
        self.require_format(spec, artifact)
        return self.method(spec).load(artifact.fitted_folder)

    def require_format(self, spec: ModelSpec, artifact: Artifact) -> None:
        """Refuse a version whose files today's code cannot read."""
        written = artifact.manifest.get("format", 1)
        if written != spec.format:
            raise OtherFormatError(
                f"Version {artifact.version} was written by another Sevenfold (format {written} of"
                f" its files, today's is {spec.format}): train again with `sevenfold run --train"
                f" --models {spec.route}`."
            )

    def require_fit(self, spec: ModelSpec, data: Snapshot) -> None:
        """Refuse where tables are missing, or where one that is used failed its verdict."""
        lacking = spec.lacking(data.tables)
        if lacking:
            raise NotAvailableError(lacking)
        with reading(self.engine) as connection:
            blocked = verdicts.blocking(connection, spec.uses & set(data.tables))
        if blocked:
            table, rules = next(iter(blocked.items()))
            raise QualityError(
                f"{spec.title} is stopped: table {table} failed its quality verdict"
                f" ({rules[0].message}). Fix the source and ingest again, or accept it with"
                f" `sevenfold quality accept {table} {rules[0].rule} --reason …`."
            )

    def champion(self, spec: ModelSpec) -> Artifact | None:
        """The serving version's artifact, its sums checked; None before the first promotion."""
        with reading(self.engine) as connection:
            version = models.champion(connection, spec.name)
        return None if version is None else self.artifacts.open(spec.name, version.version)


def schema_hash(frame: pd.DataFrame) -> str:
    """A hash of names and kinds of a frame's columns, in order."""
    columns: list[Any] = [[str(name), frame[name].dtype.kind] for name in frame.columns]
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:16]
