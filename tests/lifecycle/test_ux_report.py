"""The owner's page: values beside the naive rule's, each over its own period, never a sum."""

from __future__ import annotations

import re
from datetime import date

from ml.lifecycle.training import promote_if_passed, train
from ml.report import write_report
from ml.report.charts import value_chart
from tests.lifecycle.conftest import Life
from tests.models.eighth import EIGHTH
from warehouse.database import writing
from warehouse.repositories import value


def test_each_model_shows_its_value_beside_the_naive_one() -> None:
    drawn = value_chart(
        [
            {"title": "Pricing", "ours": 1_932_191.0, "naive": None},
            {"title": "Churn", "ours": 76_547.0, "naive": 14_288.0},
        ]
    )
    told = re.findall(r">([^<>]+)</text>", drawn)
    assert {"Pricing", "Churn", "1,932,191", "76,547", "14,288"} <= set(told)
    assert told.count("ours") == 2


def test_the_page_names_the_period_and_adds_nothing_up(life: Life) -> None:
    workspace = life.ingested()
    trained = train(workspace, EIGHTH, "run-1")
    promote_if_passed(workspace, EIGHTH, "me")
    with writing(workspace.engine) as connection:
        value.write(
            connection,
            value.ModelValue(
                model=EIGHTH.name,
                as_of=date(2025, 6, 30),
                model_version=trained.version,
                basis="backtest",
                currency="EUR",
                assumptions={},
                period_from=date(2025, 3, 31),
                period_to=date(2025, 5, 31),
                amount=4321.0,
                baseline_amount=0.0,
            ),
        )
    page = write_report(workspace, [EIGHTH]).read_text(encoding="utf-8")
    assert "Decisions from 2025-03-31 to 2025-05-31, judged by what was known on" in page
    assert "The rule of thumb (the last 30 days): 0." in page
    assert "figures do not add up" in page.replace("\n", " ").replace("  ", " ")
    assert "The sum over" not in page
