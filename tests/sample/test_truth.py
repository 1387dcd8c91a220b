"""What was planted agrees with the books, and stays out of them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from warehouse.contract import TABLES
from warehouse.sources.sample import SampleFirm
from warehouse.sources.sample.days import calendar, day_of
from warehouse.sources.sample.streams import Streams

Frames = dict[str, pd.DataFrame]


def test_nobody_buys_after_leaving(frames: Frames, oracle: Any) -> None:
    left = oracle.truth["leaves"].set_index("client_id").left_on
    last = frames["invoice_lines"].groupby("client_id").issued_on.max()
    both = left.index.intersection(last.index)
    assert len(both) > 50
    assert (last[both] < left[both]).all()


def test_notice_is_the_day_of_leaving(frames: Frames, oracle: Any) -> None:
    ended = frames["clients"].dropna(subset=["ended_on"]).set_index("client_id").ended_on
    leaves = oracle.truth["leaves"].set_index("client_id")
    assert (ended == leaves.left_on[ended.index]).all()
    assert set(ended.index) == set(leaves.index[leaves.gave_notice])


def test_between_a_seventh_and_a_quarter_of_the_clients_leave_a_year(oracle: Any) -> None:
    churn = oracle.truth["churn"]
    there = (~churn.has_left).groupby(churn.as_of).sum().mean()
    years = (oracle.firm.end - dt.date(2023, 11, 1)).days / 365.25
    assert 0.13 < len(oracle.truth["leaves"]) / there / years < 0.26


def test_the_true_chance_of_no_purchase_is_calibrated(frames: Frames, oracle: Any) -> None:
    lines = frames["invoice_lines"]
    churn = oracle.truth["churn"]
    chances, silent = [], []
    for as_of in sorted(set(churn.as_of)):
        until = as_of + dt.timedelta(days=90)
        if until > oracle.firm.end:
            continue
        bought = set(lines.client_id[(lines.issued_on > as_of) & (lines.issued_on <= until)])
        rows = churn[(churn.as_of == as_of) & ~churn.has_left]
        chances.append(rows.probability.to_numpy())
        silent.append(~rows.client_id.isin(bought).to_numpy())
    chance, happened = np.concatenate(chances), np.concatenate(silent)
    assert chance.mean() == pytest.approx(happened.mean(), abs=0.03)
    for low, high in ((0.0, 0.1), (0.1, 0.4), (0.4, 0.7), (0.7, 1.0)):
        band = (chance >= low) & (chance <= high)
        assert chance[band].mean() == pytest.approx(happened[band].mean(), abs=0.08)


def test_a_leak_is_what_the_firm_is_short_of(frames: Frames, oracle: Any) -> None:
    leaks = oracle.truth["leaks"]
    lines = frames["invoice_lines"].set_index("line_id")
    assert set(leaks.leak_kind) == {"unbilled", "underbilled", "zero_price", "double_credit"}
    assert (leaks.amount > 0).all()
    fixed = leaks.dropna(subset=["corrected_on"])
    assert 0.25 < len(fixed) / len(leaks) < 0.5
    for leak in fixed.itertuples():
        made_good = lines.loc[leak.corrected_by]
        assert made_good.issued_on == leak.corrected_on > leak.happened_on
        if leak.leak_kind in ("unbilled", "double_credit"):
            assert made_good.amount == pytest.approx(leak.amount, abs=0.011)
        else:
            before = lines.loc[leak.item_id].amount
            assert made_good.amount - before == pytest.approx(leak.amount, abs=0.011)


def test_leaks_name_rows_of_the_books(frames: Frames, oracle: Any) -> None:
    leaks = oracle.truth["leaks"]
    lines, entries = frames["invoice_lines"], frames["work_entries"].set_index("entry_id")
    assert set(leaks.item_id[leaks.item_kind == "line"]) <= set(lines.line_id)
    unbilled = leaks[leaks.item_kind == "work_entry"]
    rows = entries.loc[unbilled.item_id]
    assert rows.line_id.isna().all()
    assert rows.billable.all()
    assert 0.004 < len(unbilled) / len(entries) < 0.015


def test_unbilled_work_has_honest_look_alikes(frames: Frames, oracle: Any) -> None:
    entries = frames["work_entries"]
    leaks = set(oracle.truth["leaks"].item_id)
    without = entries[entries.line_id.isna() & ~entries.entry_id.isin(leaks)]
    assert (~without.billable).sum() > 100
    assert without.billable.sum() > 10


def test_contributions_add_up_to_the_outcome(frames: Frames, oracle: Any) -> None:
    series = frames["series"]
    outcome = series[series.series_id == "new_business_revenue"].value.to_numpy()
    by_week = oracle.truth["contributions"].groupby("period").contribution.sum()
    rest = outcome - by_week.to_numpy() - oracle.truth["baseline"].baseline.to_numpy()
    assert abs(rest.mean()) < 0.01 * outcome.mean()
    assert rest.std() < 0.06 * outcome.mean()
    assert 0.3 < by_week.sum() / outcome.sum() < 0.55


def test_no_split_beats_the_best_one(oracle: Any) -> None:
    weekly = oracle.truth["contributions"].groupby("channel").spend.mean()
    total = float(weekly.sum())
    best = oracle.optimal_split(total)
    assert sum(best.values()) == pytest.approx(total)
    top = oracle.response(best)
    assert top > oracle.response(weekly.to_dict())
    draw = np.random.default_rng(5)
    for shares in draw.dirichlet(np.ones(len(best)), size=300):
        assert oracle.response(dict(zip(best, shares * total, strict=True))) <= top + 1e-6


def test_elasticities_stay_within_bounds(oracle: Any) -> None:
    rows = oracle.truth["elasticities"]
    assert len(rows) == 48
    assert rows.elasticity.between(-3.0, -0.4).all()
    assert -3.0 <= oracle.elasticity("S01", "mid") <= -0.4


def test_won_quotes_follow_their_true_chance(frames: Frames, oracle: Any) -> None:
    decided = frames["quotes"].dropna(subset=["won"])
    chance = oracle.win_probability(decided.quote_id)
    assert decided.won.astype(float).mean() == pytest.approx(chance.mean(), abs=0.05)
    high = chance > np.median(chance)
    won = decided.won.astype(float).to_numpy()
    assert won[high].mean() > won[~high].mean() + 0.1


def test_anomalies_lie_within_the_books(frames: Frames, oracle: Any) -> None:
    found = oracle.truth["anomalies"]
    assert set(found.kind) >= {"spike", "drop", "level_shift", "flat", "price_typo", "burst"}
    assert found.observed_at.max() <= oracle.firm.end
    assert set(oracle.anomalies("series").subject_id) <= set(frames["series"].series_id)
    assert set(oracle.anomalies("client").subject_id) <= set(frames["clients"].client_id)
    assert set(oracle.anomalies("line").subject_id) <= set(frames["invoice_lines"].line_id)


def test_truth_stays_out_of_the_tables(firm: SampleFirm, oracle: Any) -> None:
    secret = {"probability", "cause", "left_on", "leak_kind", "elasticity", "contribution"}
    for name in TABLES:
        assert not secret & set(firm.table(name).column_names)
    assert "leaks" not in firm.tables()


def test_truth_is_written_as_one_file_a_table(tmp_path: Path) -> None:
    firm = SampleFirm(clients=40, seed=59, end=dt.date(2025, 2, 28))
    firm.write_truth(tmp_path / "truth")
    for name, table in firm.truth().items():
        assert pq.read_table(tmp_path / "truth" / f"{name}.parquet").num_rows == table.num_rows


def test_draws_are_uniform_and_normal_and_independent_of_their_neighbours() -> None:
    streams = Streams(61)
    grid = streams.uniform("x", np.arange(400)[:, None], np.arange(400))
    assert grid.mean() == pytest.approx(0.5, abs=0.004)
    assert abs(np.corrcoef(grid[:, :-1].ravel(), grid[:, 1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(grid[:-1].ravel(), grid[1:].ravel())[0, 1]) < 0.01
    assert streams.normal("y", np.arange(50_000)).std() == pytest.approx(1.0, abs=0.02)
    assert streams.uniform("x", 3, 5)[0] == grid[3, 5]


def test_a_longer_calendar_begins_like_a_shorter_one() -> None:
    short, long = calendar(800), calendar(1200)
    assert (long.weight[:800] == short.weight).all()
    assert (long.month[:800] == short.month).all()
    christmas = day_of(dt.date(2024, 12, 25))
    assert not short.is_open[christmas]
