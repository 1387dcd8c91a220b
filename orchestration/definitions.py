"""The Dagster code location: every asset, job, schedule and sensor, made from the registry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import dagster as dg

from assets.drift import build_drift
from assets.features import build_features
from assets.ingest import build_ingestion
from assets.performance import build_performance
from assets.scoring import build_scores
from assets.training import build_training
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec, default_registry
from orchestration.executor import watched
from orchestration.housekeeping import housekeeping_job, housekeeping_schedule
from orchestration.jobs import (
    JobDefinition,
    bulk_job,
    daily_job,
    features_job,
    ingest_job,
    training_job,
)
from orchestration.partitions import daily_partitions
from orchestration.resources import resources
from orchestration.schedules import build_schedules
from orchestration.sensors import build_sensors
from orchestration.state import read_state
from warehouse.settings import WarehouseSettings


def build_definitions(
    specs: Sequence[ModelSpec],
    start: date | None,
    timezone: str,
    workspace: Workspace | None = None,
) -> dg.Definitions:
    """Everything for these models, with daily partitions from ``start``.

    Without an open ``workspace`` each process opens that of its environment.
    """
    partitions = daily_partitions(start, timezone)
    assets = [build_ingestion(), *build_features(partitions)]
    for spec in specs:
        assets += build_training(spec)
        assets += build_scores(spec, partitions)
        assets += build_drift(spec, partitions)
        assets += build_performance(spec, partitions)
    jobs: list[JobDefinition] = [ingest_job(), features_job(), bulk_job(), housekeeping_job()]
    for spec in specs:
        jobs += [training_job(spec), daily_job(spec)]
    return dg.Definitions(
        assets=assets,
        jobs=jobs,
        schedules=[*build_schedules(specs, timezone), housekeeping_schedule(timezone)],
        sensors=build_sensors(specs, {job.name: job for job in jobs}, partitions.start.date()),
        resources=resources(workspace),
        # A process for each step would take longer to start than most steps take.
        executor=watched(dg.in_process_executor),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of this home: the models its source is enough for, from its first month."""
    settings = WarehouseSettings()
    state = read_state(settings)
    registry = default_registry()
    specs = [
        spec
        for spec in registry.values()
        if state.tables is None or spec.lacking(state.tables) is None
    ]
    return build_definitions(specs, state.start, settings.timezone)
