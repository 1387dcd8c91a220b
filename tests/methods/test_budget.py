"""Budget on demand: an answer to the stored question is the stored decision, bit for bit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec, default_registry
from ml.serving.base import Asked
from tests.serving.asking import ask, of_fitted
from tests.small_firm import Firm, write_csv
from warehouse.database import reading
from warehouse.scored import scored_table

WEEKS = pd.date_range("2023-01-02", periods=130, freq="7D")
TRAINED, SCORED = 100, 130


def export(folder: Path, weeks: int, also: str = "") -> None:
    """Spend moves from b to a after the training, so today's amounts are not the training's."""
    rng = np.random.default_rng(0)
    spend: list[dict[str, Any]] = []
    outcome: list[dict[str, Any]] = []
    for number, week in enumerate(WEEKS[:weeks]):
        amounts = rng.gamma(4, 250, 2) * ([1, 1] if number < TRAINED else [4, 0.25])
        brought = 5000 + 60 * np.sqrt(amounts[0]) + 30 * np.sqrt(amounts[1]) + rng.normal(0, 50)
        given = dict(zip("ab", amounts, strict=True))
        if also and number >= TRAINED:
            given[also] = 77.0
        spend += [
            {"channel": name, "spent_on": week.date(), "amount": round(amount, 2)}
            for name, amount in given.items()
        ]
        outcome.append(
            {"series_id": "revenue", "observed_at": week.date(), "value": round(brought, 2)}
        )
    write_csv(folder, "channel_spend", spend)
    write_csv(folder, "series", outcome)


def day_of(weeks: int) -> dt.date:
    return (WEEKS[weeks - 1] + pd.Timedelta(days=6)).date()


@pytest.fixture(scope="module", params=["", "new"], ids=["the same channels", "a new channel"])
def scored(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Workspace]:
    """A champion of one day, and the decisions it made thirty weeks later."""
    made = Firm(tmp_path_factory.mktemp("budget"))
    export(made.export_folder, TRAINED)
    workspace = made.on(day_of(TRAINED), registry=default_registry())
    workspace.ingest("first")
    spec = workspace.registry["budget"]
    train(workspace, spec, "train")
    promote_if_passed(workspace, spec, "me")
    workspace.engine.dispose()
    export(made.export_folder, SCORED, also=request.param)
    workspace = made.on(day_of(SCORED), registry=default_registry())
    workspace.ingest("second")
    score(workspace, spec, [day_of(SCORED)], "score")
    yield workspace
    workspace.engine.dispose()


def stored(workspace: Workspace, spec: ModelSpec) -> dict[str, dict[str, Any]]:
    table = scored_table(spec)
    with reading(workspace.engine) as connection:
        rows = connection.execute(select(table).where(table.c.as_of == day_of(SCORED))).mappings()
        names = list(spec.Decision.model_fields)
        return {row["channel"]: {name: row[name] for name in names} for row in rows}


def test_the_stored_question_has_the_stored_answer(scored: Workspace) -> None:
    spec = scored.registry["budget"]
    rows = stored(scored, spec)
    shift = scored.ml.max_budget_shift
    now = {name: row["current_amount"] for name, row in rows.items()}
    assert now["a"] > 2000 > 500 > now["b"]
    question = {
        "total": round(sum(now.values()), 2),
        "periods": 1,
        "bounds": {
            name: {
                "low": round(amount * (1 - shift), 2),
                "high": round(amount * (1 + shift) + 0.01, 2),
            }
            for name, amount in now.items()
        },
    }
    answer = ask(scored, spec, spec.Query.model_validate(question))
    assert list(answer.stored) == ["current_amounts"]
    assert {row["channel"]: row for row in answer.decisions} == rows


def test_several_periods_have_as_many_times_todays_amount(scored: Workspace) -> None:
    spec = scored.registry["budget"]
    rows = stored(scored, spec)
    answer = ask(scored, spec, spec.Query(total=9000, periods=4))
    assert sum(row["recommended_amount"] for row in answer.decisions) == pytest.approx(9000)
    for row in answer.decisions:
        assert row["current_amount"] == rows[row["channel"]]["current_amount"] * 4
        assert row["marginal_return"] == rows[row["channel"]]["marginal_return"]
    # Without bounds the best split leaves one more unit worth the same in every channel.
    assert answer.detail is not None
    at_split = list(answer.detail["marginal_return_of_split"].values())
    assert at_split[0] == pytest.approx(at_split[1], rel=1e-3)


def test_before_the_first_scoring_todays_amounts_are_those_of_the_training(
    scored: Workspace,
) -> None:
    spec = scored.registry["budget"]
    champion = scored.champion(spec)
    assert champion is not None
    fitted: Any = scored.fitted(spec, champion)
    answer = of_fitted(spec, fitted).answer(Asked(spec.Query(total=1000), None, day_of(SCORED)))
    assert not answer.stored
    said = {row["channel"]: row["current_amount"] for row in answer.decisions}
    assert said == pytest.approx(fitted.mix.current_.to_dict())
