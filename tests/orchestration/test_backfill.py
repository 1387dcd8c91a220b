"""Several days in one Dagster run: each day is written, and told of, on its own."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from ml.lifecycle.feature_store import TABLE
from ml.lifecycle.training import promote_if_passed, train
from ml.models import Registry
from orchestration.definitions import build_definitions
from orchestration.jobs import CLIENT_FEATURES, daily_job_name
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST
from warehouse.database import reading
from warehouse.repositories import drift, performance, scores, value

DAYS = [LAST - timedelta(days=n) for n in (2, 1, 0)]
RANGE = {
    "dagster/asset_partition_range_start": DAYS[0].isoformat(),
    "dagster/asset_partition_range_end": DAYS[-1].isoformat(),
}


def test_a_backfill_of_days_is_one_run_that_tells_of_each_day(life: Life) -> None:
    workspace = life.ingested(registry=Registry([EIGHTH]), drift_min_rows=20)
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    definitions = build_definitions([EIGHTH], date(2024, 1, 1), "UTC", workspace)
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def(daily_job_name(EIGHTH))
        result = job.execute_in_process(instance=instance, tags=RANGE)
    assert result.success
    told = {
        (made.asset_key.path[-1], made.partition): made.metadata
        for event in result.get_asset_materialization_events()
        for made in [event.step_materialization_data.materialization]
    }
    keys = [day.isoformat() for day in DAYS]
    assert set(told) == {(name, key) for name in ("scores", "drift", "performance") for key in keys}
    with reading(workspace.engine) as connection:
        written = {one.as_of: one.rows for one in scores.days(connection, EIGHTH.name)}
        assert {one.as_of for one in drift.overall(connection, EIGHTH.name)} == set(DAYS)
        measured = performance.over_time(connection, EIGHTH.name, EIGHTH.gate.metric)
        assert {one.as_of for one in measured} == set(DAYS)
        assert value.newest(connection)[EIGHTH.name].as_of == LAST
    for day, key in zip(DAYS, keys, strict=True):
        assert told["scores", key]["dagster/partition_row_count"].value == written[day]
        assert f"on {key}" in told["scores", key]["plot"].value


def test_the_job_of_client_features_stores_each_day_in_the_lake(life: Life) -> None:
    workspace = life.ingested(registry=Registry([EIGHTH]))
    definitions = build_definitions([EIGHTH], date(2024, 1, 1), "UTC", workspace)
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def(CLIENT_FEATURES)
        result = job.execute_in_process(instance=instance, tags=RANGE)
    told = {
        made.partition: made.metadata["dagster/partition_row_count"].value
        for event in result.get_asset_materialization_events()
        for made in [event.step_materialization_data.materialization]
    }
    assert told == {day.isoformat(): 40 for day in DAYS}
    head = workspace.lake.version(TABLE)
    assert head is not None
    stored = workspace.lake.read(TABLE, head)["as_of"].value_counts().to_pylist()
    assert {one["values"]: one["counts"] for one in stored} == dict.fromkeys(DAYS, 40)
