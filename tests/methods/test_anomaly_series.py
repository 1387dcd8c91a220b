"""Sources that hold series and no lines: each series is judged on its own last values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.lifecycle.training import train
from ml.lifecycle.workspace import Workspace
from ml.models import default_registry
from ml.refusals import NotEnoughDataError
from tests.small_firm import Firm

SPEC = default_registry()["anomaly"]
Holding = Callable[[pd.DataFrame], Workspace]


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Holding]:
    """A workspace whose source is one table of series."""
    opened: list[Workspace] = []

    def ingested(series: pd.DataFrame) -> Workspace:
        firm = Firm(tmp_path)
        firm.export_folder.mkdir(exist_ok=True)
        series.to_csv(firm.export_folder / "series.csv", index=False)
        opened.append(firm.on(date(2025, 6, 30)))
        opened[-1].ingest("once")
        return opened[-1]

    yield ingested
    for workspace in opened:
        workspace.engine.dispose()


def series(name: str, start: str, freq: str, rows: int) -> pd.DataFrame:
    noise = np.random.default_rng(len(name)).normal(0, 1, rows)
    days = pd.date_range(start, periods=rows, freq=freq)
    return pd.DataFrame({"series_id": name, "observed_at": days, "value": 100 + noise})


def test_series_that_are_weekly_or_ended_years_ago_are_judged_all_the_same(
    holding: Holding,
) -> None:
    weekly, ended = (
        series("weekly", "2023-01-01", "7D", 130),
        series("ended", "2019-01-01", "D", 300),
    )
    workspace = holding(pd.concat([weekly, ended]))
    trained = train(workspace, SPEC, "run-1")
    judged = pd.read_parquet(
        workspace.artifacts.open("anomaly", trained.version).folder / "judged.parquet"
    )
    assert judged.loc[judged["outcome"] > 0, "subject_id"].value_counts().to_dict() == {
        "weekly": 2,
        "ended": 2,
    }
    assert judged.groupby("subject_id").size().to_dict() == {"weekly": 24, "ended": 90}
    assert trained.comparison.ours["recall_at_budget"] > 0.5


def test_series_too_short_to_be_judged_are_refused_in_words(holding: Holding) -> None:
    many = pd.concat([series(f"s{number}", "2025-06-01", "D", 5) for number in range(3)])
    with pytest.raises(NotEnoughDataError, match="needs 200 purchases or a series of 60 values"):
        train(holding(many), SPEC, "run-1")
