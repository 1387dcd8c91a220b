"""The code location: every asset, job and schedule, made from the registry."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from ml.models import default_registry
from orchestration.definitions import build_definitions
from warehouse.contract import TABLES

STEPS = ("candidate", "champion", "scores", "drift", "performance")
ZONE = "Europe/Berlin"
SPECS = list(default_registry().values())


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(SPECS, date(2024, 3, 1), ZONE)


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions) -> dg.AssetGraph:
    return definitions.resolve_asset_graph()


def test_there_is_an_asset_for_each_table_and_each_step_of_each_model(graph: dg.AssetGraph) -> None:
    expected = {f"raw/{table}" for table in TABLES} | {"features/client"}
    expected |= {f"{spec.name}/{step}" for spec in SPECS for step in STEPS}
    assert {key.to_user_string() for key in graph.materializable_asset_keys} == expected


def test_every_asset_has_a_group_kinds_owners_and_a_description(graph: dg.AssetGraph) -> None:
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.group_name == key.path[0]
        assert node.kinds, key
        assert node.owners, key
        assert len(node.description or "") > 10, key


def test_every_model_is_checked_at_each_judging_step(graph: dg.AssetGraph) -> None:
    checked = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    for spec in SPECS:
        assert {
            (f"{spec.name}/candidate", "gate"),
            (f"{spec.name}/scores", "has_rows"),
            (f"{spec.name}/drift", "drift"),
            (f"{spec.name}/performance", "beats_baseline"),
        } <= checked
    assert {(f"raw/{table}", "contract") for table in TABLES} <= checked


def test_daily_assets_start_with_the_firm_and_backfill_in_one_run(graph: dg.AssetGraph) -> None:
    for spec in SPECS:
        for step in ("scores", "drift", "performance"):
            node = graph.get(dg.AssetKey([spec.name, step]))
            assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition)
            assert node.partitions_def.get_first_partition_key() == "2024-03-01"
            assert str(node.partitions_def.timezone) == ZONE
            assert node.backfill_policy == dg.BackfillPolicy.single_run()
        for step in ("candidate", "champion"):
            assert graph.get(dg.AssetKey([spec.name, step])).partitions_def is None


def test_a_candidate_depends_on_the_tables_that_its_model_uses(graph: dg.AssetGraph) -> None:
    for spec in SPECS:
        parents = graph.get(dg.AssetKey([spec.name, "candidate"])).parent_keys
        assert {key.path[-1] for key in parents} == spec.uses


def test_scored_tables_have_a_freshness_of_their_own(graph: dg.AssetGraph) -> None:
    for spec in SPECS:
        policy = graph.get(dg.AssetKey([spec.name, "scores"])).freshness_policy
        assert isinstance(policy, dg.FreshnessPolicy)


def test_the_daily_schedule_scores_yesterday_in_the_firms_time_zone(
    definitions: dg.Definitions,
) -> None:
    schedule = definitions.resolve_schedule_def("churn_daily_scores")
    assert schedule.cron_schedule == "30 5 * * *"
    assert schedule.execution_timezone == ZONE
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    # The morning after the clocks went forward.
    at = datetime(2025, 3, 30, 5, 30, tzinfo=ZoneInfo(ZONE))
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at,
            repository_def=definitions.get_repository_def(),
        )
        [request] = schedule.evaluate_tick(context).run_requests
    assert request.partition_key == "2025-03-29"
    assert request.run_key == "churn:scores:2025-03-29"


def test_client_features_are_stored_daily_once_somebody_starts_it(
    definitions: dg.Definitions,
) -> None:
    schedule = definitions.resolve_schedule_def("daily_client_features")
    assert schedule.job_name == "client_features"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert definitions.resolve_job_def("client_features").partitions_def is not None


def test_training_runs_weekly_and_ingestion_daily(definitions: dg.Definitions) -> None:
    assert definitions.resolve_schedule_def("daily_ingest").cron_schedule == "0 5 * * *"
    for spec in SPECS:
        training = definitions.resolve_schedule_def(f"{spec.name}_weekly_training")
        assert training.cron_schedule == "0 6 * * 1"
        assert training.job_name == f"{spec.name}_training"


def test_every_model_has_its_jobs_and_sensors_running(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs()}
    for spec in SPECS:
        assert {f"{spec.name}_training", f"{spec.name}_daily"} <= jobs
        for kind in ("drift", "retraining"):
            sensor = repository.get_sensor_def(f"{spec.name}_{kind}")
            assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
