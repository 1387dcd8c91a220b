"""Versions that today's code cannot use any more are refused in words, and replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from ml.artifacts import DamagedArtifactError
from ml.estimators.tabular import ColumnMismatchError
from ml.lifecycle.replay import replay
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.refusals import OtherColumnsError, OtherFormatError
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH, MonthlyRate
from tests.small_firm import LAST


def _without_a_feature(self: MonthlyRate, X: pd.DataFrame) -> Any:
    raise ColumnMismatchError("X lacks 1 of the 3 fitted columns: ['revenue_90d']")


@pytest.fixture
def scored(life: Life) -> Life:
    workspace = life.ingested()
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    score(workspace, EIGHTH, [LAST], "run-2")
    return life


def test_replay_and_scoring_name_the_columns_and_what_to_do(
    scored: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MonthlyRate, "predict", _without_a_feature)
    told = r"repeat_orders-\S+ and today's code or data differ: .*revenue_90d.*run --train"
    with pytest.raises(OtherColumnsError, match=told):
        replay(scored.on(), EIGHTH, "c07", LAST, {})
    with pytest.raises(OtherColumnsError, match=told):
        score(scored.on(), EIGHTH, [LAST], "run-3")


def test_a_champion_that_cannot_decide_any_more_is_replaced_by_one_that_can(
    scored: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = scored.on().champion(EIGHTH)
    assert old is not None
    loaded = MonthlyRate.load(old.fitted_folder).weights
    right = MonthlyRate.predict

    def predict(self: MonthlyRate, X: pd.DataFrame) -> Any:
        return _without_a_feature(self, X) if self.weights == loaded else right(self, X)

    monkeypatch.setattr(MonthlyRate, "predict", predict)
    later = scored.ingested(LAST.replace(month=8))
    trained = train(later, EIGHTH, "run-4")
    assert trained.gate.passed, trained.gate.reasons
    assert promote_if_passed(later, EIGHTH, "me").champion == trained.version


def test_a_version_with_files_of_another_format_is_named_and_replaced(
    scored: Life,
) -> None:
    newer = replace(EIGHTH, format=2)
    told = r"repeat_orders-\S+ was written by another Sevenfold \(format 1 .* is 2\).*run --train"
    with pytest.raises(OtherFormatError, match=told):
        score(scored.on(), newer, [LAST], "run-3")
    with pytest.raises(OtherFormatError, match=told):
        replay(scored.on(), newer, "c07", LAST, {})
    later = scored.ingested(LAST.replace(month=8))
    trained = train(later, newer, "run-4")
    assert promote_if_passed(later, newer, "me").champion == trained.version
    score(later, newer, [LAST.replace(month=8)], "run-5")


def test_a_damaged_champion_is_refused_and_replaced(scored: Life) -> None:
    champion = scored.on().champion(EIGHTH)
    assert champion is not None
    (champion.fitted_folder / "weights.json").write_text("[0, 0, 0]")
    with pytest.raises(DamagedArtifactError, match="is not the file that was written"):
        score(scored.on(), EIGHTH, [LAST], "run-3")
    later = scored.ingested(LAST.replace(month=8))
    trained = train(later, EIGHTH, "run-4")
    assert promote_if_passed(later, EIGHTH, "me").champion == trained.version
    score(later, EIGHTH, [LAST.replace(month=8)], "run-5")
