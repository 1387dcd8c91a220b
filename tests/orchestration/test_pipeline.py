"""The whole pipeline once: what it does, what it repeats not, and what it says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ml.lifecycle.summary import run_table
from ml.lifecycle.workspace import Workspace
from ml.methods.method import Judged
from ml.models import Registry, default_registry
from ml.refusals import DayError
from orchestration.cli import app
from orchestration.pipeline import Step, run_pipeline
from orchestration.resources import prepare_dagster_home
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH, RepeatOrderMethod
from tests.small_firm import LAST, lines, write_csv
from warehouse.database import reading, writing
from warehouse.repositories import models, scores

BUDGET = default_registry()["budget"]
REGISTRY = Registry([EIGHTH, BUDGET])


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Environment and open workspace as a fresh process has them."""
    for name in ("DAGSTER_HOME", "SEVENFOLD_HOME", "SEVENFOLD_SOURCE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    Workspace.current.cache_clear()
    yield
    Workspace.current.cache_clear()


def run(life: Life, day: date = LAST, as_of: date | None = None) -> tuple[Workspace, list[Step]]:
    """The pipeline on the morning after ``day``, with that day's export."""
    life.firm.export(day)
    workspace = life.on(day, registry=REGISTRY)
    prepare_dagster_home(workspace.settings)
    said: list[str] = []
    steps = run_pipeline(workspace, list(REGISTRY.values()), as_of, said.append)
    assert said[0] == "reading the source"
    return workspace, steps


def state(workspace: Workspace) -> list[Any]:
    with reading(workspace.engine) as connection:
        return [
            models.versions(connection, EIGHTH.name),
            models.log(connection, EIGHTH.name),
            scores.days(connection, EIGHTH.name),
            scores.between(connection, EIGHTH, date(2024, 1, 1), LAST + timedelta(days=30)),
        ]


def test_a_second_run_repeats_nothing_and_newer_data_only_what_is_due(life: Life) -> None:
    workspace, first = run(life)
    lacking = "Budget is not available: the source lacks channel_spend."
    assert first == [
        Step(EIGHTH.name, trained=True, scored=True),
        Step("budget", problem=lacking),
    ]
    [ours, budget] = run_table(workspace, list(REGISTRY.values()), {"budget": lacking})
    assert (ours["status"], ours["rows_scored"]) == ("scored", 40)
    assert (budget["status"], budget["remark"]) == ("not available", lacking)
    before = state(workspace)

    workspace, second = run(life)
    assert second[0] == Step(EIGHTH.name)
    assert state(workspace) == before

    workspace, next_day = run(life, LAST + timedelta(days=1))
    assert next_day[0] == Step(EIGHTH.name, trained=False, scored=True)
    workspace, next_week = run(life, LAST + timedelta(days=7))
    assert next_week[0] == Step(EIGHTH.name, trained=True, scored=True)
    with reading(workspace.engine) as connection:
        assert len(models.versions(connection, EIGHTH.name)) == 2
        assert [one.as_of for one in scores.days(connection, EIGHTH.name)] == [
            LAST + timedelta(days=7),
            LAST + timedelta(days=1),
            LAST,
        ]


def test_a_past_day_is_scored_again_only_where_its_own_champion_or_the_data_changed(
    life: Life,
) -> None:
    run(life)
    week, earlier = LAST + timedelta(days=7), LAST + timedelta(days=1)
    workspace, [trained, _] = run(life, week)
    assert trained.trained
    with writing(workspace.engine) as connection:
        newest = models.latest(connection, EIGHTH.name)
        assert newest is not None
        models.promote(connection, EIGHTH.name, newest.version, "a try", "me", at=workspace.clock())
    _, first = run(life, week, as_of=earlier)
    _, second = run(life, week, as_of=earlier)
    assert (first[0].scored, second[0].scored) == (True, False)
    with reading(workspace.engine) as connection:
        by = {one.as_of: one.model_version for one in scores.days(connection, EIGHTH.name)}
    assert by[earlier] != newest.version, "a past day is scored by the champion of its morning"


def test_bad_data_stop_the_model_and_not_the_run(life: Life) -> None:
    run(life)
    rows = lines(LAST + timedelta(days=1))
    for row in rows[::10]:
        row["unit_price"] = -1.0
    write_csv(life.firm.export_folder, "invoice_lines", rows)
    workspace = life.on(LAST + timedelta(days=1), registry=REGISTRY)
    [step, _] = run_pipeline(workspace, list(REGISTRY.values()), None, lambda _: None)
    assert step.scored is False
    assert "table invoice_lines failed its quality verdict" in (step.problem or "")
    assert "sevenfold quality accept invoice_lines" in (step.problem or "")
    assert step.to_mend
    assert not step.failed


class InterruptedMethod(RepeatOrderMethod):
    """Somebody presses Ctrl-C while it learns."""

    def learn(self, data: Any, as_of: date) -> Any:
        signal.raise_signal(signal.SIGINT)
        return super().learn(data, as_of)


class BrokenMethod(RepeatOrderMethod):
    """The eighth model's method with a mistake in it."""

    def backtest(self, *args: Any, **kwargs: Any) -> Judged | None:
        raise ZeroDivisionError("division by zero")


def test_an_interrupt_stops_the_whole_run_and_not_only_the_model_it_was_at(life: Life) -> None:
    stopped = replace(EIGHTH, name="stopped_at", method=f"{__name__}:InterruptedMethod")
    registry = Registry([stopped, EIGHTH])
    life.firm.export()
    workspace = life.on(registry=registry)
    prepare_dagster_home(workspace.settings)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(workspace, list(registry.values()), None, lambda _: None)
    with reading(workspace.engine) as connection:
        assert models.versions(connection, EIGHTH.name) == []


def test_a_model_that_fails_is_a_row_of_its_own_and_the_others_go_on(life: Life) -> None:
    broken = replace(EIGHTH, name="broken", method=f"{__name__}:BrokenMethod")
    registry = Registry([broken, EIGHTH])
    life.firm.export()
    workspace = life.on(registry=registry)
    prepare_dagster_home(workspace.settings)
    [failed, whole] = run_pipeline(workspace, list(registry.values()), None, lambda _: None)
    assert failed.failed
    assert failed.to_mend
    assert "ZeroDivisionError: division by zero" in (failed.problem or "")
    assert whole == Step(EIGHTH.name, trained=True, scored=True)
    rows = run_table(
        workspace, list(registry.values()), {"broken": failed.problem or ""}, ["broken"]
    )
    assert [row["status"] for row in rows] == ["failed", "scored"]


@pytest.mark.parametrize("day", [LAST + timedelta(days=1), date(2023, 12, 31)])
def test_a_day_that_cannot_be_scored_is_refused_with_those_that_can(life: Life, day: date) -> None:
    with pytest.raises(DayError, match="days from 2024-01-01 to 2025-06-30"):
        run(life, as_of=day)


def sevenfold(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: a run lowers its process's priority for good."""
    return subprocess.run(
        [sys.executable, "-c", "from orchestration.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )


def test_the_command_prints_a_row_a_model_with_the_table_it_lacks(life: Life) -> None:
    life.firm.export()
    home = str(life.firm.folder / "home")
    source = f"folder:{life.firm.export_folder}"
    args = ["run", "--home", home, "--source", source, "--models", "budget", "--json"]
    ran = sevenfold(*args)
    assert ran.returncode == 0, ran.stderr
    [row] = json.loads(ran.stdout)
    assert row["status"] == "not available"
    assert row["remark"] == "Budget is not available: the source lacks channel_spend."
    assert (life.firm.folder / "home" / "report.html").exists()

    listed = CliRunner().invoke(app, ["models", "list", "--home", home, "--json"])
    found = {row["model"]: row for row in json.loads(listed.stdout)}
    assert len(found) == 7
    assert found["churn"]["status"] == "not trained"
    asked = CliRunner().invoke(
        app, ["sql", "SELECT count(*) n FROM data_versions", "--json", "--home", home]
    )
    assert json.loads(asked.stdout) == [{"n": 1}]


def test_another_source_in_the_same_home_is_one_sentence_and_status_1(life: Life) -> None:
    life.ingested().engine.dispose()
    home = str(life.firm.folder / "home")
    done = sevenfold("run", "--home", home, "--source", "sample:clients=20", "--models", "churn")
    assert done.returncode == 1
    assert "this home holds the data of the source" in done.stderr
    assert "sevenfold reset" in done.stderr
    assert "Traceback" not in done.stderr
