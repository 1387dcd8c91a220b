"""Evidently's page for people."""

from __future__ import annotations

import pandas as pd
import pytest

from ml.lifecycle.drift_report import write_drift_report
from ml.lifecycle.scoring import score
from ml.lifecycle.training import promote_if_passed, train
from ml.refusals import Refusal
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH, RepeatOrderMethod
from tests.small_firm import LAST


def test_the_page_names_every_column_that_has_values(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = RepeatOrderMethod.monitored

    def more(self: RepeatOrderMethod, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
        frame = watched(self, inputs)
        region = ["north", "south"] * (len(frame) // 2)
        return frame.assign(region=region, nothing=float("nan"), active=frame["revenue_90d"] > 0)

    monkeypatch.setattr(RepeatOrderMethod, "monitored", more)
    workspace = life.ingested()
    with pytest.raises(Refusal, match="no champion"):
        write_drift_report(workspace, EIGHTH)
    train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    with pytest.raises(Refusal, match="not scored yet"):
        write_drift_report(workspace, EIGHTH)
    score(workspace, EIGHTH, [LAST], "run-2")
    page = write_drift_report(workspace, EIGHTH)
    assert page == workspace.settings.home / "reports" / "drift-repeat-orders.html"
    text = page.read_text(encoding="utf-8")
    for column in ("revenue_30d", "revenue_90d", "region", "active"):
        assert column in text
