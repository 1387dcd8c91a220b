"""All seven models on a small sample firm: from ingestion to replay, day after day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from ml.lifecycle.replay import replay
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec, default_registry
from ml.settings import MlSettings
from orchestration.pipeline import Step, run_pipeline
from orchestration.resources import prepare_dagster_home
from tests.small_firm import morning_after
from warehouse.database import reading
from warehouse.repositories import models, scores
from warehouse.scored import scored_table
from warehouse.settings import WarehouseSettings

pytestmark = pytest.mark.long

DAY = date(2026, 6, 30)
NEXT = DAY + timedelta(days=1)
SPECS = list(default_registry().values())


def opened(home: Any, day: date) -> Workspace:
    settings = WarehouseSettings(home=home, source=f"sample:clients=80,seed=11,end={day}")
    ml = MlSettings(training_months=6)
    return Workspace.open(settings, ml, clock=morning_after(day))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, list[list[Step]]]]:
    """A run, another on the same data, and one of the day after; the last one's workspace."""
    home = tmp_path_factory.mktemp("seven")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DAGSTER_HOME", "SEVENFOLD_HOME"):
            patch.setenv(name, "")
        steps = []
        for day in (DAY, DAY, NEXT):
            workspace = opened(home, day)
            prepare_dagster_home(workspace.settings)
            steps.append(run_pipeline(workspace, SPECS, None, lambda _: None))
        yield workspace, steps
        workspace.engine.dispose()


def scored_specs(workspace: Workspace) -> list[ModelSpec]:
    with reading(workspace.engine) as connection:
        return [spec for spec in SPECS if models.champion(connection, spec.name)]


def stored(workspace: Workspace, spec: ModelSpec, day: date) -> list[dict[str, Any]]:
    table = scored_table(spec)
    with reading(workspace.engine) as connection:
        rows = connection.execute(select(table).where(table.c.as_of == day).limit(3)).mappings()
        return [dict(row) for row in rows]


def test_every_model_trains_and_scores_or_says_what_its_gate_missed(
    runs: tuple[Workspace, list[list[Step]]],
) -> None:
    workspace, (first, second, third) = runs
    assert len(scored_specs(workspace)) >= 5
    for step in first:
        assert step.trained
        assert step.scored or "did not pass the gate" in (step.problem or "")
    assert not any(step.trained or step.scored for step in second)
    # Newer data: a champion scores the new day, and a model without one tries again.
    assert [step.trained for step in third] == [not step.scored for step in first]
    assert all(now.scored for then, now in zip(first, third, strict=True) if then.scored)


def test_a_stored_decision_of_each_model_replays_bit_for_bit_after_newer_data(
    runs: tuple[Workspace, list[list[Step]]],
) -> None:
    workspace, _ = runs
    for spec in scored_specs(workspace):
        with reading(workspace.engine) as connection:
            there = scores.day(connection, spec.name, DAY)
        assert there is not None
        rows = stored(workspace, spec, DAY)
        assert bool(rows) == bool(there.rows)
        for row in rows[:1]:
            key = {n: str(row[n]) for n in spec.entity if n != spec.entity_column}
            found = replay(workspace, spec, row[spec.entity_column], DAY, key)
            assert found.equal, f"{spec.name}: {found.rows()}"
            assert found.data_version != workspace.data_version().snapshot
