"""What leaks are judged by, each rule against a loop that says the same more slowly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.estimators import leak_neighbours, leak_prices
from ml.estimators.leak_frames import days_of, first_places, plain_lines, plain_rates
from ml.estimators.leak_groups import Codes, Groups, coded, distinct, others_mean, packed
from ml.estimators.leak_neighbours import Nearby, Surroundings
from ml.estimators.leak_prices import PriceBook
from ml.estimators.leak_ranker import Examples
from ml.estimators.leak_rates import RateBook

SEEDS = st.integers(0, 1000)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_neighbour_rules_agree_with_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = 40
    group, day = rng.integers(0, 4, rows), rng.integers(0, 20, rows)
    price = np.round(rng.uniform(1, 3, rows), 1)
    groups, every = Groups(group, day), np.arange(rows)
    near = Nearby(groups, day, 3).of(every)
    mean = others_mean(group, price)
    reach = Surroundings(groups, price, rows).of(every)
    for i in range(rows):
        others = [j for j in range(rows) if j != i and group[j] == group[i]]
        assert near[i] == sum(abs(day[j] - day[i]) <= 3 for j in others)
        assert reach.count[i] == len(others)
        if others:
            assert mean[i] == pytest.approx(price[others].mean())
            assert reach.least[i] == price[others].min()
            assert reach.share_lower[i] == pytest.approx(np.mean(price[others] < price[i] - 0.01))


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, reach=st.integers(1, 4))
def test_neighbours_are_the_nearest_rows_of_the_group_and_free_ones_say_nothing(
    seed: int, reach: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = 30
    group, day = rng.integers(0, 3, rows), rng.integers(0, 9, rows)
    price = rng.integers(0, 5, rows).astype(float)
    asked = rng.permutation(rows)[:11]
    found = Surroundings(Groups(group, day), price, reach).of(asked)
    for at, i in enumerate(asked):
        like = sorted((j for j in range(rows) if group[j] == group[i]), key=lambda j: (day[j], j))
        place = like.index(int(i))
        beside = [*like[max(place - reach, 0) : place], *like[place + 1 : place + 1 + reach]]
        prices = sorted(price[j] for j in beside if price[j] > 0)
        assert found.count[at] == len(prices)
        if prices:
            assert found.middle[at] == prices[(len(prices) - 1) // 2]
            assert found.least[at] == prices[0]
            assert found.share_same[at] == pytest.approx(np.mean(np.equal(prices, price[i])))


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, width=st.sampled_from([3, 1 << 20, 1 << 62]))
def test_groups_sort_by_group_then_day_then_as_given_whatever_the_codes(
    seed: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, width, 5)
    group, day = values[rng.integers(0, 5, 40)], rng.integers(-9, 9, 40)
    groups = Groups(group, day)
    expected = sorted(range(40), key=lambda row: (_first(group, row), day[row], row))
    by_group: dict[int, list[int]] = {}
    for row in groups.order.tolist():
        by_group.setdefault(int(group[row]), []).append(row)
    wanted: dict[int, list[int]] = {}
    for row in expected:
        wanted.setdefault(int(group[row]), []).append(row)
    assert by_group == wanted
    assert len(groups.starts) - 1 == len(by_group)
    assert (groups.order[groups.place] == np.arange(40)).all()
    value = rng.integers(0, 4, 40)
    counts = distinct(groups, value)[groups.of(np.arange(40))]
    assert counts.tolist() == [len(set(value[group == group[row]])) for row in range(40)]


def _first(group: np.ndarray, row: int) -> int:
    return int(np.nonzero(group == group[row])[0][0])


@settings(max_examples=50, deadline=None)
@given(
    seed=SEEDS, widths=st.lists(st.sampled_from([1, 5, 1 << 30, 1 << 50]), min_size=1, max_size=4)
)
def test_packed_codes_are_equal_where_all_parts_are(seed: int, widths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.integers(-width, width, 3)[rng.integers(0, 3, 30)] for width in widths]
    code = packed(*parts)
    alike = np.all([part[:, None] == part[None, :] for part in parts], axis=0)
    assert ((code[:, None] == code[None, :]) == alike).all()


def test_first_places_are_the_first_of_several() -> None:
    ids = pd.Series(["b", "a", "b", None, "c"], dtype="str")
    assert first_places(ids, pd.Index(["c", "b", "x"])).tolist() == [4, 0, -1]


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_contracted_price_agrees_with_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = np.datetime64("2024-01-01")
    first = start + rng.integers(0, 60, 12)
    table = pd.DataFrame(
        {
            "service_id": rng.choice(["x", "y"], 12),
            "client_id": rng.choice(np.array(["a", None], dtype=object), 12),
            "valid_from": first,
            "unit_price": rng.uniform(1, 9, 12),
            "valid_to": pd.Series(first + rng.integers(5, 90, 12)).where(rng.random(12) < 0.7),
        }
    ).drop_duplicates(["service_id", "client_id", "valid_from"], ignore_index=True)
    lines = _lines(rng, 20)
    codes, names = coded(plain_lines(lines))
    book = RateBook.of(plain_rates(table), names)
    ours = book.contracted(codes.client, codes.service, codes.day)
    for at, line in lines.assign(day=codes.day).iterrows():
        assert ours.row[at] == _rate_by_hand(line, table)


def _lines(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "line_id": [f"l{i}" for i in range(rows)],
            "client_id": rng.choice(["a", "b", "c"], rows),
            "service_id": rng.choice(["x", "y"], rows),
            "invoice_id": rng.choice(np.array(["i", "j", "k", None], dtype=object), rows),
            "issued_on": np.datetime64("2024-01-01") + rng.integers(0, 120, rows),
            "quantity": np.round(rng.uniform(1, 9, rows), 1),
            "unit_price": rng.integers(0, 6, rows).astype(float),
        }
    )


def _rate_by_hand(line: pd.Series, table: pd.DataFrame) -> int:
    for client in (line["client_id"], None):
        best, row = None, -1
        for at, rate in table.iterrows():
            mine = rate["client_id"] == client or (client is None and pd.isna(rate["client_id"]))
            since = days_of(pd.Series([rate["valid_from"]]))[0]
            mine = mine and rate["service_id"] == line["service_id"] and since <= line["day"]
            if mine and (best is None or since > best):
                best, row = since, int(at)  # type: ignore[call-overload]
        if row >= 0:
            last = table.loc[row, "valid_to"]
            if pd.isna(last) or days_of(pd.Series([last]))[0] >= line["day"]:
                return row
    return -1


def _book(rows: int, seed: int) -> PriceBook:
    codes, names = coded(plain_lines(_lines(np.random.default_rng(seed), rows)))
    return PriceBook(codes, RateBook.of(None, names))


def test_lines_looked_at_alone_or_in_parts_are_the_same_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book = _book(400, 1)
    whole = book.features(np.arange(400))
    some = np.random.default_rng(2).permutation(400)[:90]
    monkeypatch.setattr(leak_prices, "_PART", 7)
    monkeypatch.setattr(leak_neighbours, "_PART", 5)
    np.testing.assert_array_equal(book.features(some), whole[some])
    np.testing.assert_array_equal(book.features(np.arange(400)), whole)


def test_lines_at_other_prices_are_as_if_made_with_them() -> None:
    book = _book(400, 3)
    price = np.random.default_rng(4).integers(0, 9, 400).astype(float)
    lines = Codes(**{**book.lines.__dict__, "price": price})
    afresh = PriceBook(lines, book.rates)
    every = np.arange(400)
    np.testing.assert_array_equal(book.priced(price).features(every), afresh.features(every))


def test_many_lines_teach_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    from ml.estimators import leak_ranker

    book = _book(3000, 5)
    every = Examples.of(book, 0)
    monkeypatch.setattr(leak_ranker, "_MOST_NEGATIVES", 500)
    monkeypatch.setattr(leak_ranker, "_MOST_INJECTED", 10)
    few = Examples.of(book, 0)
    assert every is not None
    assert few is not None
    assert len(every.good) == int((book.lines.price > 0).sum())
    assert (len(few.good), len(few.bad)) == (500, 10)
    assert {row.tobytes() for row in few.good} <= {row.tobytes() for row in every.good}
    assert {row.tobytes() for row in few.bad} <= {row.tobytes() for row in every.bad}
