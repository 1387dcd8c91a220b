"""Pricing from quotes: what was known on the day of an offer, and since when an answer counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.lifecycle.workspace import Workspace
from ml.methods import quotes_data
from ml.methods.pricing import PricingMethod
from ml.models import default_registry
from ml.refusals import NotEnoughDataError
from tests.methods.test_quotes import LAST, offers
from tests.small_firm import Firm, write_csv

Rows = Sequence[Mapping[str, Any]]
Opens = Callable[..., Workspace]
KNOWN = ["quoted_on", "relative_price", "past_price", "past_quotes", "past_share"]


@pytest.fixture
def ingested(tmp_path: Path) -> Iterator[Opens]:
    """Exports these tables and ingests them on the morning after a day; again with other rows."""
    made, opened = Firm(tmp_path), []

    def on(day: dt.date = LAST, **tables: Rows) -> Workspace:
        for name, rows in tables.items():
            write_csv(made.export_folder, name, [dict(row) for row in rows])
        opened.append(made.on(day, registry=default_registry()))
        opened[-1].ingest(f"ingest-{day}")
        return opened[-1]

    yield on
    for workspace in opened:
        workspace.engine.dispose()


def daily(count: int = 4, **more: Any) -> list[dict[str, Any]]:
    """One quote a day to one client from New Year on, every other one won."""
    return [
        {"quote_id": f"Q{n}", "client_id": "c1", "service_id": "audit"}
        | {"quoted_on": dt.date(2025, 1, 1 + n), "quoted_price": 100}
        | {"won": "true" if n % 2 else "false", **more}
        for n in range(count)
    ]


@pytest.mark.parametrize("more", [{}, {"decided_on": ""}], ids=["no column", "no value"])
def test_an_answer_without_a_date_counts_a_quarter_after_its_offer(
    ingested: Opens, more: dict[str, Any]
) -> None:
    data = ingested(quotes=daily(**more)).snapshot()
    quarter = dt.timedelta(days=quotes_data.ANSWER_DAYS)
    for day, answered in ((1, 0), (4, 0)):
        found = quotes_data.offers(data, dt.date(2025, 1, day))
        assert found["won"].notna().sum() == answered
    for day, answered in ((1, 1), (3, 3), (4, 4)):
        found = quotes_data.offers(data, dt.date(2025, 1, day) + quarter)
        assert found["won"].notna().sum() == answered
    assert found["won"].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert found["decided_on"].isna().all()
    # Nobody knows which of them the seller knew at the next offer.
    assert (found["past_quotes"] == 0).all()
    assert found["past_share"].isna().all()


def test_an_undated_answer_beside_dated_ones_is_no_part_of_the_past(ingested: Opens) -> None:
    quotes = daily(decided_on="")
    quotes[0]["decided_on"] = dt.date(2025, 1, 2)
    found = quotes_data.offers(ingested(quotes=quotes).snapshot(), LAST)
    assert found["past_quotes"].tolist() == [0, 0, 1, 1]
    assert found["past_share"].tolist()[2:] == [0.0, 0.0]
    early = quotes_data.offers(ingested(quotes=quotes).snapshot(), dt.date(2025, 1, 4))
    assert early["won"].tolist()[:1] == [0.0]
    assert early["won"].notna().sum() == 1


def test_an_undated_answer_that_came_later_still_counts_from_then(ingested: Opens) -> None:
    ingested(dt.date(2025, 2, 1), quotes=daily(won=""))
    late = dt.date(2025, 5, 31)
    data = ingested(late, quotes=daily()).snapshot()
    assert quotes_data.offers(data, late)["won"].isna().all()
    seen = quotes_data.offers(data, late + dt.timedelta(days=1))
    assert seen["won"].notna().all()


def test_a_source_without_days_of_answers_is_priced(ingested: Opens) -> None:
    rows = [
        {name: value for name, value in row.items() if name != "decided_on"} for row in offers()
    ]
    workspace = ingested(quotes=rows)
    method, data = PricingMethod(workspace.registry["pricing"], workspace.ml), workspace.snapshot()
    fitted = method.learn(data, LAST)
    decided = method.decide(fitted, method.inputs(data, [LAST])[LAST], LAST, "none")
    rows_of = decided.set_index("service_id")
    for service in ("audit", "advice"):
        low, high = rows_of.loc[service, ["elasticity_low", "elasticity_high"]]
        assert low < rows_of.loc[service, "elasticity"] < high < 0
    judged = method.backtest(data, LAST)
    assert judged is not None
    compared = method.compare(judged)
    assert compared.ours["squared_error"] < compared.baseline["squared_error"]


def test_an_offer_sees_the_rate_that_was_known_on_its_day(ingested: Opens) -> None:
    """A rate is written down two months late, another is changed in place; both leave January."""

    def rate(price: float, valid_from: dt.date, known_at: dt.date) -> dict[str, Any]:
        return {"service_id": "audit", "client_id": "", "valid_from": valid_from} | {
            "valid_to": "",
            "unit_price": price,
            "known_at": known_at,
        }

    days = [dt.date(2025, month, 15) for month in (1, 2, 3, 4)]
    quotes = [
        {"quote_id": f"Q{n}", "client_id": "c1", "service_id": "audit", "quoted_on": day}
        | {"quoted_price": 110.0, "won": "true", "decided_on": day}
        for n, day in enumerate(days)
    ]
    old = rate(100.0, dt.date(2024, 12, 1), dt.date(2024, 12, 1))
    late = rate(55.0, dt.date(2025, 1, 1), dt.date(2025, 3, 1))
    ingested(dt.date(2025, 3, 31), quotes=quotes[:3], rates=[old, late])
    data = ingested(LAST, quotes=quotes, rates=[old, late | {"unit_price": 50.0}]).snapshot()
    later = quotes_data.offers(data, LAST + dt.timedelta(days=1))
    assert later["typical_price"].tolist() == [100.0, 100.0, 55.0, 55.0]
    for count, day in enumerate(days, 1):
        known = quotes_data.offers(data, day)
        assert len(known) == count
        pd.testing.assert_frame_equal(known[KNOWN], later[KNOWN].iloc[:count])


def test_a_rate_known_late_does_not_replace_a_newer_one(ingested: Opens) -> None:
    quotes = [*daily(1), daily(1)[0] | {"quote_id": "Q9", "quoted_on": dt.date(2025, 4, 1)}]
    rates = [
        {"service_id": "audit", "valid_from": dt.date(2025, month, 1), "unit_price": price}
        | {"known_at": dt.date(2025, known, 1)}
        for month, price, known in ((1, 90.0, 3), (2, 120.0, 2))
    ]
    found = quotes_data.offers(ingested(quotes=quotes, rates=rates).snapshot(), LAST)
    assert found["typical_price"].tolist() == [100.0, 120.0]


@pytest.mark.parametrize("with_rates", [False, True])
def test_a_day_before_any_quote_has_no_prices_and_too_little_to_learn(
    ingested: Opens, with_rates: bool
) -> None:
    rate = {"service_id": "audit", "valid_from": dt.date(2025, 1, 3), "unit_price": 90.0}
    tables = {"quotes": daily()} | ({"rates": [rate]} if with_rates else {})
    workspace = ingested(**tables)
    method, data = PricingMethod(workspace.registry["pricing"], workspace.ml), workspace.snapshot()
    for day, prices in ((dt.date(2024, 12, 1), 0), (dt.date(2025, 1, 1), 1)):
        assert len(method.inputs(data, [day])[day]["prices"]) == prices
        with pytest.raises(NotEnoughDataError, match="there are 0 up to"):
            method.learn(data, day)


def test_offers_come_in_one_order_whatever_the_files(ingested: Opens) -> None:
    rows = [row | {"quoted_on": dt.date(2025, 1, 1)} for row in daily(20)]
    shuffled = [rows[at] for at in np.random.default_rng(0).permutation(len(rows))]
    found = quotes_data.offers(ingested(quotes=shuffled).snapshot(), LAST)
    assert found["quote_id"].tolist() == sorted(row["quote_id"] for row in rows)
