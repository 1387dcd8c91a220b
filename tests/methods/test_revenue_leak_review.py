"""What leaks are judged and valued by: corrections to come, the order of review, planted errors."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.methods.leak_data import LEAST_PLANTED, MOST_COPIES, injected_copies, with_injected_errors
from ml.methods.leak_review import found_wherever_one_stops, reviewed, top_of_each_list
from ml.methods.method import Judged
from ml.methods.revenue_leak import CORRECTIONS, RevenueLeakMethod
from ml.models.revenue_leak import SPEC
from ml.settings import MlSettings
from tests.truth.firms import END, Firms

DAY = date(2026, 3, 1)


def listed(
    amounts: list[float], day: date = DAY, first: int = 0, **columns: object
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_kind": "line",
            "item_id": [f"l{first + i}" for i in range(len(amounts))],
            "baseline": amounts,
            "as_of": day,
            "outcome": 0.0,
        }
    ).assign(**columns)


def ids(chosen: pd.DataFrame) -> list[str]:
    return list(chosen["item_id"])


def test_the_list_is_worked_from_the_top_for_as_long_as_there_is_time() -> None:
    frame = listed([5.0, 40.0, 30.0, 20.0])
    chosen = reviewed(frame, "baseline", a_month=1, least=0.0, last_days=60)
    assert ids(chosen) == ["l1", "l2"]


def test_findings_that_do_not_pay_their_review_are_left() -> None:
    frame = listed([5.0, 40.0, 30.0, 20.0])
    chosen = reviewed(frame, "baseline", a_month=50, least=20.0, last_days=90)
    assert ids(chosen) == ["l1", "l2"]


def test_a_finding_on_many_days_lists_is_reviewed_once_and_fractions_of_a_review_add_up() -> None:
    days = [listed([9.0, 8.0, 7.0, 6.0], DAY + timedelta(days=n)) for n in range(4)]
    chosen = reviewed(pd.concat(days), "baseline", a_month=15, least=0.0, last_days=2)
    assert ids(chosen) == ["l0", "l1"]
    assert list(chosen["as_of"]) == [DAY + timedelta(days=1), DAY + timedelta(days=3)]


def test_time_that_a_short_list_leaves_is_not_saved_up() -> None:
    days = [listed([9.0]), listed([8.0, 7.0, 6.0], DAY + timedelta(days=30), first=1)]
    chosen = reviewed(pd.concat(days), "baseline", a_month=2, least=0.0, last_days=30)
    assert ids(chosen) == ["l0", "l1", "l2"]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000))
def test_found_wherever_one_stops_is_the_mean_over_all_stops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcome = rng.integers(0, 3, 12).astype(float)
    amounts = rng.permutation(12) + 1.0
    frame = listed(list(amounts), outcome=outcome, copy=np.arange(12) % 2)
    for all_known in (True, False):
        by_hand = 0.0
        for copy in (0, 1):
            mine = frame[frame["copy"] == copy].sort_values("baseline", ascending=False)
            k = int((mine["outcome"] > 0).sum())
            most = k if all_known else len(mine)
            stops = [mine["outcome"].iloc[: stop + 1].sum() for stop in range(most)]
            by_hand += sum(stops) / max(most, 1)
            top = top_of_each_list(frame, "baseline")
            assert ids(top[top["copy"] == copy]) == ids(mine)[:k]
        found = found_wherever_one_stops(frame, "baseline", all_known)
        assert found == pytest.approx(by_hand)


def test_a_list_shorter_than_the_leaks_finds_no_more_by_its_end() -> None:
    frame = listed([3.0, 0.0, 0.0], outcome=[3.0, 1.0, 1.0])
    assert found_wherever_one_stops(frame, "baseline", all_known=True) == pytest.approx(3.0)


def method(**settings_: float) -> RevenueLeakMethod:
    return RevenueLeakMethod(SPEC, MlSettings(**settings_))


def test_value_is_what_the_reviewed_recover_less_what_reviewing_costs() -> None:
    frame = listed([100.0, 90.0, 80.0], score=[0.01, 0.9, 0.9], outcome=[0.0, 90.0, 80.0]).assign(
        leak_amount=lambda f: f["baseline"]
    )
    value = method(leak_reviews=1, recovery_rate=0.5, review_cost=6.0).value(
        Judged(frame.assign(as_of=DAY), CORRECTIONS)
    )
    # Three reviews in 90 days: by chance x amount the first is not worth one, by amount it is.
    assert value.amount == pytest.approx(0.5 * 170 - 2 * 6.0)
    assert value.baseline_amount == pytest.approx(0.5 * 170 - 3 * 6.0)
    assert "1 a month" in str(value.assumptions["leak_reviews"])


def test_without_recorded_corrections_no_value_is_claimed() -> None:
    value = method().value(Judged(listed([1.0]), "errors injected into a copy"))
    assert value.amount is None
    assert value.reason


def lines(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "line_id": [f"l{i}" for i in range(rows)],
            "client_id": "c",
            "service_id": "s",
            "invoice_id": [f"i{i}" for i in range(rows)],
            "issued_on": pd.Timestamp(DAY) + pd.to_timedelta(rng.integers(0, 90, rows), "D"),
            "quantity": np.where(rng.random(rows) < 0.1, -1.0, 2.0),
            "unit_price": 50.0,
        }
    )


def test_short_books_are_planted_again_until_there_is_enough_to_measure() -> None:
    counts = [len(planted) for _, planted in injected_copies(lines(1500), DAY)]
    assert sum(counts[:-1]) < LEAST_PLANTED <= sum(counts)
    assert len(list(injected_copies(lines(60_000), DAY))) == 1
    assert len(list(injected_copies(lines(5), DAY))) == MOST_COPIES


def test_planted_errors_are_told_by_amount_and_second_credits_come_later_on_their_own() -> None:
    books = lines(20_000)
    copy, planted = with_injected_errors(books, DAY, seed=3)
    before = books.set_index("line_id")
    amounts = planted.set_index("item_id")["amount"]
    merged = copy.set_index("line_id").loc[amounts.index]
    again = merged[merged.index.str.endswith(":again")]
    assert len(again) == pytest.approx(0.001 * (books["quantity"] > 0).sum(), abs=1)
    first = before.loc[again.index.str.removesuffix(":again")]
    assert (again["issued_on"].to_numpy() >= first["issued_on"].to_numpy()).all()
    assert again["issued_on"].max() <= books["issued_on"].max()
    assert not set(again["invoice_id"]) & set(books["invoice_id"])
    cheap = merged.drop(again.index)
    short = before.loc[cheap.index, "unit_price"] - cheap["unit_price"]
    assert (short * cheap["quantity"]).to_numpy() == pytest.approx(amounts[cheap.index].to_numpy())
    untouched = copy[~copy["line_id"].isin(amounts.index)].set_index("line_id")
    pd.testing.assert_frame_equal(untouched, before.loc[untouched.index])


def test_a_leak_counts_on_the_days_on_which_it_was_there_and_open(tmp_path: Path) -> None:
    firms = Firms(tmp_path)
    firm = firms.get(1, clients=200)
    model = firm.method("revenue_leak")
    days = [END - timedelta(days=back) for back in (120, 60)]
    fitted = model.learn(firm.data, days[0])
    read = model.inputs(firm.data, days)
    decided = [model.decide(fitted, read[day], day, "none").assign(as_of=day) for day in days]
    judged = model.judge(fitted, firm.data, pd.concat(decided), END)
    firms.close()
    assert judged is not None
    truth = firm.truth["leaks"].set_index("item_id")
    for day in days:
        found = judged.frame[(judged.frame["as_of"] == day) & (judged.frame["outcome"] > 0)]
        leaks = truth.loc[truth.index.isin(found["item_id"])]
        assert len(found) == len(leaks) > 3
        assert (pd.to_datetime(leaks["happened_on"]) <= pd.Timestamp(day)).all()
        assert (pd.to_datetime(leaks["corrected_on"]) > pd.Timestamp(day)).all()
        put_right = truth[
            (pd.to_datetime(truth["happened_on"]) <= pd.Timestamp(day))
            & (pd.to_datetime(truth["happened_on"]) > pd.Timestamp(day - timedelta(days=90)))
            & (pd.to_datetime(truth["corrected_on"]) > pd.Timestamp(day))
            & (pd.to_datetime(truth["corrected_on"]) <= pd.Timestamp(END))
        ]
        assert set(found["item_id"]) >= set(put_right.index)
