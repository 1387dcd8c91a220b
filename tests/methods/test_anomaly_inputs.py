"""What the anomaly method reads of each day, and days and books with little in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ml.lifecycle import scoring
from ml.lifecycle.monitoring import check_drift
from ml.lifecycle.training import train
from ml.lifecycle.workspace import Workspace
from ml.methods.anomaly import AnomalyMethod
from ml.methods.anomaly_data import DayFrames, anomaly_frames
from ml.models import default_registry
from ml.refusals import NotEnoughDataError
from tests.small_firm import FIRST, LAST, Firm, lines, write_csv
from warehouse.database import writing
from warehouse.repositories import models
from warehouse.snapshot import Snapshot

REGISTRY = default_registry()
SPEC = REGISTRY["anomaly"]


@dataclass
class Shuffled:
    """A snapshot whose rows come in another order, as those of other file names do."""

    snapshot: Snapshot
    seed: int

    @property
    def tables(self) -> list[str]:
        return self.snapshot.tables

    def columns(self, table: str) -> list[str]:
        return self.snapshot.columns(table)

    def read(self, table: str, columns: Sequence[str]) -> pa.Table:
        rows = self.snapshot.read(table, columns)
        return rows.take(np.random.default_rng(self.seed).permutation(rows.num_rows))

    def as_of(self, table: str, day: date, columns: Sequence[str]) -> pa.Table:
        rows = self.snapshot.as_of(table, day, columns)
        return rows.take(np.random.default_rng(self.seed).permutation(rows.num_rows))


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    return Firm(tmp_path)


@pytest.fixture
def workspace(firm: Firm) -> Iterator[Workspace]:
    """Books exported three times; between the exports some prices were put right."""
    for day in (LAST - timedelta(days=40), LAST - timedelta(days=20), LAST):
        rows = lines(day)
        for row in rows[: 5 * (LAST - day).days]:
            row["unit_price"] = row["unit_price"] + 1
        write_csv(firm.export_folder, "invoice_lines", rows)
        opened = firm.on(day, registry=REGISTRY)
        opened.ingest(str(day))
        if day < LAST:
            opened.engine.dispose()
    yield opened
    opened.engine.dispose()


def make_champion(workspace: Workspace) -> None:
    """Whatever the gate says of these books, where all is found by either side."""
    version = train(workspace, SPEC, "run-1").version
    with writing(workspace.engine) as connection:
        models.promote(connection, SPEC.name, version, "", "test", at=workspace.clock())


def test_days_read_at_once_hold_what_each_day_knew(workspace: Workspace) -> None:
    data = workspace.snapshot()
    days = [
        LAST - timedelta(days=back) for back in (45, 40, 30, 20, 19, 0, -1)
    ]  # seen on the morning after
    frames = DayFrames(data, days)
    assert list(frames) == days
    columns = ["line_id", "issued_on", "quantity", "unit_price"]
    corrected: set[float] = set()
    for day in days:
        known = data.as_of("invoice_lines", day, columns).to_pandas()
        known = known[known["issued_on"] >= day - timedelta(days=540)]
        held = frames[day]["lines"]
        assert dict(zip(held["line_id"], held["unit_price"], strict=True)) == dict(
            zip(known["line_id"], known["unit_price"], strict=True)
        )
        corrected.update(held.loc[held["line_id"] == lines()[30]["line_id"], "unit_price"])
        billed = frames[day]["series"].set_index("observed_at")["value"]
        amounts = (known["quantity"] * known["unit_price"]).groupby(known["issued_on"]).sum()
        np.testing.assert_allclose(billed[pd.to_datetime(amounts.index)], amounts)
        alone = anomaly_frames(data, day)
        for name, frame in alone.items():
            pd.testing.assert_frame_equal(frame, frames[day][name])
    assert len(corrected) == 2


def test_a_day_that_was_not_asked_for_is_refused(workspace: Workspace) -> None:
    with pytest.raises(KeyError, match="none of the days"):
        DayFrames(workspace.snapshot(), [LAST])[LAST - timedelta(days=1)]
    assert not DayFrames(workspace.snapshot(), [])


def test_the_order_of_the_rows_at_rest_decides_nothing(workspace: Workspace) -> None:
    method = workspace.method(SPEC)
    frames: list[pd.DataFrame] = []
    for seed in (1, 2):
        shuffled: Any = Shuffled(workspace.snapshot(), seed)
        judged = method.backtest(shuffled, LAST)
        assert judged is not None
        frames.append(judged.frame)
    assert (frames[0]["outcome"] > 0).sum() > 10
    pd.testing.assert_frame_equal(frames[0], frames[1])


def test_a_day_before_the_first_line_has_no_decisions(workspace: Workspace) -> None:
    method = workspace.method(SPEC)
    data = workspace.snapshot()
    fitted = method.learn(data, LAST)
    day = FIRST - timedelta(days=10)
    inputs = method.inputs(data, [day])[day]
    decided = method.decide(fitted, inputs, day, "all")
    assert list(decided.columns) == list(SPEC.Decision.model_fields)
    assert len(decided) == len(method.online(inputs, decided)) == 0
    usual = method.monitored(method.inputs(data, [LAST])[LAST])
    assert list(method.monitored(inputs).columns) == list(usual.columns)


def test_such_a_day_is_scored_and_watched_beside_others(workspace: Workspace) -> None:
    make_champion(workspace)
    days = [FIRST - timedelta(days=1), LAST]
    done = scoring.score(workspace, SPEC, days, "run-2")
    assert [day.rows > 0 for day in done] == [False, True]
    verdicts = check_drift(workspace, SPEC, days, "run-3")
    assert set(verdicts) == set(days)


def test_drift_reads_no_more_days_at_once_than_scoring(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_champion(workspace)
    asked = []
    inputs = AnomalyMethod.inputs

    def spied(self: AnomalyMethod, data: Snapshot, days: Sequence[date]) -> Any:
        asked.append(len(days))
        return inputs(self, data, days)

    monkeypatch.setattr(AnomalyMethod, "inputs", spied)
    monkeypatch.setattr(scoring, "DAYS_AT_ONCE", 2)
    days = [LAST - timedelta(days=back) for back in range(5)]
    assert set(check_drift(workspace, SPEC, days, "run-2")) == set(days)
    assert asked == [2, 2, 1]


def test_planted_lines_that_nothing_scores_are_no_test(firm: Firm) -> None:
    few = lines(LAST, clients=3)
    assert len(few) < 200
    write_csv(firm.export_folder, "invoice_lines", few)
    workspace = firm.on(LAST, registry=REGISTRY)
    workspace.ingest("once")
    with pytest.raises(NotEnoughDataError, match="200 purchases up to"):
        train(workspace, SPEC, "run-1")
    workspace.engine.dispose()


def test_monthly_series_do_not_stretch_the_days_that_corrected_lines_are_counted_over(
    firm: Firm,
) -> None:
    rows = [dict(row, corrects_line_id="") for row in lines(LAST)]
    for row in rows[-300::10]:
        rows.append(
            dict(row, line_id=row["line_id"] + "x", corrects_line_id=row["line_id"], quantity=-1)
        )
    write_csv(firm.export_folder, "invoice_lines", rows)
    months = pd.date_range("2015-01-31", periods=126, freq="ME")
    values = np.random.default_rng(0).normal(100, 10, 126)
    monthly = pd.DataFrame({"series_id": "monthly", "observed_at": months, "value": values})
    monthly.to_csv(firm.export_folder / "series.csv", index=False)
    workspace = firm.on(LAST, registry=REGISTRY)
    workspace.ingest("once")
    method = workspace.method(SPEC)
    judged = method.backtest(workspace.snapshot(), LAST)
    assert judged is not None
    assert judged.frame["observed_at"].min() < pd.Timestamp("2024-01-01")
    value = method.value(judged)
    assert value.amount is not None
    assert value.assumptions["days"] <= 90
    assert method.dates(judged).min() > pd.Timestamp(LAST - timedelta(days=90))
    workspace.engine.dispose()
