"""What the result table says of a model that is silent."""

from __future__ import annotations

import dataclasses

import pytest

from ml.gate import judge_candidate, why_not
from ml.lifecycle.scoring import score
from ml.lifecycle.summary import model_summary, run_table
from ml.lifecycle.training import train
from ml.methods.method import Comparison
from ml.models import Gate
from ml.refusals import NoChampionError
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from tests.small_firm import LAST


def test_a_tie_at_the_best_possible_value_says_plainly_that_it_is_not_better() -> None:
    both = {"leaked_value_found": 1.0}
    verdict = judge_candidate(
        Gate("leaked_value_found", "rules alone"), Comparison(both, both, 10, "errors"), None, False
    )
    assert not verdict.passed
    assert verdict.failed == ("leaked_value_found 1 is not better than rules alone (1)",)
    assert why_not("leak-1", dataclasses.asdict(verdict)) == (
        "leak-1 did not pass the gate: leaked_value_found 1 is not better than rules alone (1)"
    )


def test_a_silent_model_reads_not_better_than_naive_and_only_what_failed(life: Life) -> None:
    workspace = life.ingested()
    strict = dataclasses.replace(EIGHTH, gate=dataclasses.replace(EIGHTH.gate, limits={"mae": 0.0}))
    assert run_table(workspace, [strict], {})[0]["status"] == "not trained"
    trained = train(workspace, strict, "run-1")
    with pytest.raises(NoChampionError) as refused:
        score(workspace, strict, [LAST], "run-2")
    [row] = run_table(workspace, [strict], {strict.name: str(refused.value)})
    assert row["status"] == "not better than naive"
    assert row["remark"] == f"{trained.version} did not pass the gate: {trained.gate.failed[0]}."
    assert "against" not in row["remark"]
    assert row["value_naive"] is None
    [stopped] = run_table(workspace, [strict], {strict.name: "the disk is full"})
    assert (stopped["status"], stopped["remark"]) == ("stopped", "the disk is full")
    assert model_summary(workspace, strict)["reason"] == row["remark"]
