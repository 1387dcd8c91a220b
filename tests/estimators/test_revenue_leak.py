"""Planted leaks are found with amount and evidence; honest look-alikes rank low; no labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators.revenue_leak import LeakDetector

LIST = {f"s{i}": 20.0 + 15 * i for i in range(6)}


def firm(lines: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Honest lines: everyone pays the list price, 5 % of lines are credited by a part once."""
    rng = np.random.default_rng(seed)
    service = rng.choice(list(LIST), lines)
    frame = pd.DataFrame(
        {
            "line_id": [f"l{i}" for i in range(lines)],
            "client_id": [f"c{i}" for i in rng.integers(0, 60, lines)],
            "service_id": service,
            "issued_on": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(np.sort(rng.integers(0, 360, lines)), "D"),
            "quantity": np.round(rng.lognormal(2.0, 0.6, lines), 1) + 0.1,
            "unit_price": [LIST[s] for s in service],
            "invoice_id": [f"i{i}" for i in range(lines)],
        }
    )
    credits = frame.sample(frac=0.05, random_state=seed).copy()
    credits["line_id"] = "k" + credits["line_id"]
    credits["invoice_id"] = "k" + credits["invoice_id"]
    credits["issued_on"] += pd.Timedelta(days=9)
    credits["quantity"] = -np.round(credits["quantity"] * rng.uniform(0.2, 0.9, len(credits)), 2)
    return pd.concat([frame, credits], ignore_index=True)


def rates() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "service_id": list(LIST),
            "client_id": None,
            "valid_from": "2023-01-01",
            "unit_price": list(LIST.values()),
            "valid_to": None,
        }
    )


def work(lines: pd.DataFrame) -> pd.DataFrame:
    sales = lines[lines["quantity"] > 0].head(400)
    return pd.DataFrame(
        {
            "entry_id": "w" + sales["line_id"],
            "client_id": sales["client_id"],
            "service_id": sales["service_id"],
            "worked_on": sales["issued_on"] - pd.Timedelta(days=3),
            "quantity": sales["quantity"],
            "billable": True,
            "line_id": sales["line_id"],
        }
    ).reset_index(drop=True)


@pytest.fixture(scope="module")
def honest() -> pd.DataFrame:
    return firm()


@pytest.fixture(scope="module")
def detector(honest: pd.DataFrame) -> LeakDetector:
    return LeakDetector(seed=1).fit(honest, rates(), work(honest))


def one(scored: pd.DataFrame, item: str) -> pd.Series:
    return scored.set_index("item_id").loc[item]


def test_underbilled_line_tops_with_its_shortfall_and_the_rate(
    detector: LeakDetector, honest: pd.DataFrame
) -> None:
    wrong = honest.copy()
    wrong.loc[100, "unit_price"] = round(honest.loc[100, "unit_price"] * 0.7, 2)
    scored = detector.score(wrong)
    found = one(scored, "l100")
    short = honest.loc[100, "unit_price"] - wrong.loc[100, "unit_price"]
    assert scored["score"].idxmax() == 100
    assert found["reason"] == "underbilled"
    assert found["amount"] == pytest.approx(short * honest.loc[100, "quantity"], abs=0.01)
    assert found["evidence"]["expected_from"] == "list_rate"
    assert found["evidence"]["rate"]["unit_price"] == honest.loc[100, "unit_price"]
    json.dumps(found["evidence"])


def test_without_rates_the_lines_themselves_say_the_price(honest: pd.DataFrame) -> None:
    wrong = honest.copy()
    wrong.loc[200, "unit_price"] = round(honest.loc[200, "unit_price"] * 0.6, 2)
    scored = LeakDetector().fit(wrong).score(wrong)
    found = one(scored, "l200")
    assert found["reason"] == "underbilled"
    assert found["evidence"]["expected_price"] == honest.loc[200, "unit_price"]
    assert scored["score"].rank(ascending=False)[200] <= 3


def test_zero_price_leaks_the_whole_price_unless_the_item_is_often_free(
    honest: pd.DataFrame,
) -> None:
    wrong = honest.copy()
    sales = wrong["quantity"] > 0
    often = sales & (wrong["service_id"] == "s1") & (np.arange(len(wrong)) % 2 == 0)
    wrong.loc[often, "unit_price"] = 0.0
    at = wrong.index[sales & (wrong["service_id"] == "s4")][50]
    wrong.loc[at, "unit_price"] = 0.0
    scored = LeakDetector().fit(wrong).score(wrong)
    assert scored.loc[at, "reason"] == "zero_price"
    assert scored.loc[at, "amount"] == pytest.approx(
        wrong.loc[at, "quantity"] * LIST["s4"], abs=0.01
    )
    assert scored.loc[at, "score"] > scored.loc[often, "score"].max() + 0.2


def test_credit_given_twice_is_found_with_its_twin(honest: pd.DataFrame) -> None:
    credit = honest[honest["quantity"] < 0].iloc[3]
    again = credit.copy()
    again["line_id"], again["invoice_id"] = "again", "later"
    again["issued_on"] += pd.Timedelta(days=6)
    wrong = pd.concat([honest, again.to_frame().T], ignore_index=True).astype(honest.dtypes)
    scored = LeakDetector().fit(wrong).score(wrong)
    found = one(scored, "again")
    assert (found["reason"], found["score"] > 0.5) == ("double_credit", True)
    assert found["amount"] == pytest.approx(-credit["quantity"] * credit["unit_price"], abs=0.01)
    assert found["evidence"]["twin_line_id"] == credit["line_id"]
    assert one(scored, credit["line_id"])["reason"] == "none"
    honest_credits = scored[(wrong["quantity"] < 0).to_numpy() & (scored["item_id"] != "again")]
    assert honest_credits["score"].max() < 0.2


def test_forgotten_work_is_found_and_work_in_a_neighbours_line_is_not(
    detector: LeakDetector, honest: pd.DataFrame
) -> None:
    entries = work(honest)
    entries["line_id"] = entries["line_id"].astype(object)
    # One entry is split: its second half names no line, yet the line holds both.
    half = entries.iloc[[10]].assign(entry_id="second-half", line_id=None)
    half["quantity"] = entries.loc[10, "quantity"] / 2
    entries.loc[10, "quantity"] /= 2
    forgotten = entries.iloc[[20]].assign(entry_id="forgotten", line_id=None, quantity=77.7)
    gift = forgotten.assign(entry_id="gift", billable=False)
    scored = detector.score(
        honest, work=pd.concat([entries, half, forgotten, gift], ignore_index=True)
    )
    found = one(scored, "forgotten")
    assert (found["item_kind"], found["reason"]) == ("work_entry", "unbilled")
    assert found["amount"] == pytest.approx(77.7 * LIST[forgotten["service_id"].iloc[0]], abs=0.01)
    assert found["score"] > 0.9
    assert one(scored, "second-half")["score"] < 0.1
    assert one(scored, "gift")["score"] == 0.0
    assert scored[scored["item_id"].isin(entries["entry_id"])]["score"].max() == 0.0


def test_agreed_discount_ranks_low(honest: pd.DataFrame) -> None:
    agreed = honest.copy()
    mine = agreed["client_id"] == "c7"
    agreed.loc[mine, "unit_price"] = (agreed.loc[mine, "unit_price"] * 0.8).round(2)
    own = rates().assign(client_id="c7", unit_price=lambda r: (r["unit_price"] * 0.8).round(2))
    table = pd.concat([rates(), own], ignore_index=True)
    scored = LeakDetector().fit(agreed, table).score(agreed, table)
    assert scored.loc[mine & (agreed["quantity"] > 0), "amount"].max() == 0.0
    assert scored.loc[mine & (agreed["quantity"] > 0), "score"].max() < 0.01


def test_promotion_that_many_clients_share_ranks_below_a_lone_low_price(
    honest: pd.DataFrame,
) -> None:
    wrong = honest.copy()
    sale = (wrong["quantity"] > 0) & (wrong["service_id"] == "s2")
    spring = sale & wrong["issued_on"].between("2024-04-01", "2024-04-30")
    wrong.loc[spring, "unit_price"] = LIST["s2"] * 0.75
    lone = wrong.index[sale & (wrong["issued_on"] > "2024-08-01")][0]
    wrong.loc[lone, "unit_price"] = round(LIST["s2"] * 0.77, 2)
    scored = LeakDetector().fit(wrong).score(wrong)
    assert scored.loc[lone, "score"] > 2 * scored.loc[spring, "score"].max()


def test_a_line_put_right_later_names_the_correction(honest: pd.DataFrame) -> None:
    wrong = honest.copy()
    wrong.loc[300, "unit_price"] = round(honest.loc[300, "unit_price"] * 0.7, 2)
    back = wrong.loc[300].copy()
    again = honest.loc[300].copy()
    for line, name in ((back, "back"), (again, "again")):
        line["line_id"], line["invoice_id"] = name, "correction"
        line["issued_on"] += pd.Timedelta(days=20)
    back["quantity"] = -back["quantity"]
    wrong = pd.concat([wrong, back.to_frame().T, again.to_frame().T], ignore_index=True)
    scored = LeakDetector().fit(wrong.astype(honest.dtypes)).score(wrong.astype(honest.dtypes))
    assert one(scored, "l300")["corrected_by"] == "again"
    assert scored["corrected_by"].notna().sum() == 1


def test_labels_beside_the_lines_change_nothing(honest: pd.DataFrame) -> None:
    labelled = honest.assign(leak=np.arange(len(honest)) % 7 == 0, leak_amount=5.0)
    plain = LeakDetector().fit(honest).score(honest, evidence=False)
    with_labels = LeakDetector().fit(labelled).score(labelled, evidence=False)
    pd.testing.assert_frame_equal(plain, with_labels)


def test_one_line_is_judged_by_what_was_fitted(
    detector: LeakDetector, honest: pd.DataFrame
) -> None:
    line = honest.iloc[[500]].assign(line_id="new", invoice_id="new")
    cheap = line.assign(unit_price=line["unit_price"] * 0.61)
    assert detector.score(cheap)["score"].iloc[0] > 0.3
    assert detector.score(line)["score"].iloc[0] < 0.01


def test_since_leaves_out_older_items_but_compares_with_them(
    detector: LeakDetector, honest: pd.DataFrame
) -> None:
    whole = detector.score(honest)
    recent = detector.score(honest, since="2024-10-01")
    keep = (honest["issued_on"] >= "2024-10-01").to_numpy()
    pd.testing.assert_frame_equal(recent, whole[keep].reset_index(drop=True))


def test_numbers_as_ids_stay_numbers(honest: pd.DataFrame) -> None:
    lines = honest.assign(line_id=np.arange(len(honest)))
    entries = work(honest).assign(entry_id=np.arange(400), line_id=None)
    scored = LeakDetector().fit(lines, work=entries).score(lines, work=entries)
    assert scored["line_id"].dropna().tolist() == lines["line_id"].tolist()
    assert scored["entry_id"].dropna().tolist() == entries["entry_id"].tolist()
    assert scored["item_id"].tolist() == [*map(str, lines["line_id"]), *map(str, range(400))]


def test_saved_and_loaded_scores_are_the_same_bit_for_bit(
    detector: LeakDetector, honest: pd.DataFrame, tmp_path: Path
) -> None:
    detector.save(tmp_path / "model")
    again = LeakDetector.load(tmp_path / "model")
    pd.testing.assert_frame_equal(
        again.score(honest, work=work(honest)),
        detector.score(honest, work=work(honest)),
        check_exact=True,
    )
    assert {path.suffix for path in (tmp_path / "model").iterdir()} <= {
        ".json",
        ".txt",
        ".parquet",
    }


def test_credit_written_as_a_negative_price_is_a_credit(honest: pd.DataFrame) -> None:
    turned = honest.copy()
    credit = turned["quantity"] < 0
    turned.loc[credit, ["quantity", "unit_price"]] *= -1
    expected = LeakDetector().fit(honest).score(honest, evidence=False)
    found = LeakDetector().fit(turned).score(turned, evidence=False)
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("column", ["line_id", "unit_price", "issued_on"])
def test_missing_columns_and_values_are_refused_by_name(honest: pd.DataFrame, column: str) -> None:
    with pytest.raises(ValueError, match=column):
        LeakDetector().fit(honest.drop(columns=column))
    with pytest.raises(ValueError, match=column):
        LeakDetector().fit(honest.assign(**{column: None}))


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["x", "y"]),
            st.integers(0, 90),
            st.floats(-50, 50).filter(lambda q: abs(q) > 1e-3),
            st.floats(0, 500),
        ),
        max_size=30,
    )
)
def test_any_lines_get_one_row_each_within_bounds(
    rows: list[tuple[str, str, int, float, float]],
) -> None:
    columns = ["client_id", "service_id", "day", "quantity", "unit_price"]
    lines = pd.DataFrame(rows, columns=columns).astype({"quantity": float, "unit_price": float})
    start = pd.Timestamp("2024-01-01")
    lines["issued_on"] = start + pd.to_timedelta(lines["day"].astype("int64"), "D")
    lines["line_id"] = [f"l{i}" for i in range(len(lines))]
    scored = LeakDetector().fit(lines).score(lines)
    assert scored["line_id"].tolist() == lines["line_id"].tolist()
    assert scored["score"].between(0, 1).all()
    assert (scored["amount"] >= 0).all()
    assert (scored.loc[scored["reason"] == "none", "amount"] == 0).all()
