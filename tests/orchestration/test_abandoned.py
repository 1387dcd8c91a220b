"""A run whose process was killed does not keep others waiting; one that lives is left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from orchestration.abandoned import end_abandoned, holding
from orchestration.definitions import build_definitions
from orchestration.resources import prepare_dagster_home
from tests.models.eighth import EIGHTH
from warehouse.faults import VARIABLE
from warehouse.settings import WarehouseSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Dagster's records of a home, as every process of that home has them."""
    monkeypatch.setenv("SEVENFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster_home(WarehouseSettings())
    with dg.DagsterInstance.get() as made:
        yield made


def statuses(instance: dg.DagsterInstance) -> list[str]:
    return [run.status.value for run in instance.get_runs()]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["multiprocess", "in_process"])
def test_a_launched_run_is_failed_once_its_process_is_gone(
    instance: dg.DagsterInstance, tmp_path: Path, how: str
) -> None:
    began = tmp_path / "began"
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"execution": {"config": {how: {}}}}))
    command = ["-m", "tests.orchestration.waiting_job", "-j", "waiting", "-c", str(config)]
    with subprocess.Popen(
        [sys.executable, "-m", "dagster", "job", "execute", *command],
        cwd=ROOT,
        env={**os.environ, "WAITING_BEGAN": str(began)},
        stderr=subprocess.DEVNULL,
    ) as process:
        until(began.exists)
        assert end_abandoned(instance) == [], "it lives"
        assert statuses(instance) == ["STARTED"]
        process.kill()
    [run] = instance.get_runs()
    assert end_abandoned(instance) == [run.run_id]
    assert statuses(instance) == ["FAILURE"]
    assert end_abandoned(instance) == []


def test_the_sensor_ends_the_run_of_a_command_that_was_killed(
    instance: dg.DagsterInstance,
) -> None:
    killed = subprocess.run(
        [
            *(sys.executable, "-c", "from orchestration.cli import main; main()"),
            *("run", "--source", "sample:clients=20", "--models", "churn"),
        ],
        env={**os.environ, VARIABLE: "verdict"},
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    [run] = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.STARTED, "Dagster does not see that it is dead"
    definitions = build_definitions([EIGHTH], date(2024, 1, 1), "UTC")
    sensor = definitions.resolve_sensor_def("abandoned_runs")
    with dg.build_sensor_context(
        instance=instance, repository_def=definitions.get_repository_def()
    ) as context:
        assert run.run_id in str(sensor.evaluate_tick(context).skip_message)
        assert statuses(instance) == ["FAILURE"]
        assert sensor.evaluate_tick(context).skip_message == "No run is without its process."


def test_a_run_that_has_ended_leaves_nothing_behind(instance: dg.DagsterInstance) -> None:
    @dg.job
    def quick() -> None: ...

    run_id = "11111111-1111-4111-8111-111111111111"
    with holding(instance, run_id):
        quick.execute_in_process(instance=instance, run_id=run_id)
        assert end_abandoned(instance) == []
    assert end_abandoned(instance) == []
    assert statuses(instance) == ["SUCCESS"]
    assert list((Path(instance.root_directory) / "running").iterdir()) == []


def test_files_that_a_run_left_before_it_began_go_after_a_while(
    instance: dg.DagsterInstance,
) -> None:
    with holding(instance, "run-1"):
        folder = Path(instance.root_directory) / "running"
        old, new = folder / "run-2.new", folder / "run-3.new"
        for path in (old, new):
            path.touch()
        os.utime(old, (time.time() - 7200,) * 2)
        assert end_abandoned(instance) == []
        assert sorted(path.name for path in folder.iterdir()) == ["run-1", "run-3.new"]
