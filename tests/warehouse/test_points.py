"""Look-ups by the database's own driver say what the slow way says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pandas as pd
import pytest
from pydantic import TypeAdapter
from sqlalchemy import Engine

from tests.warehouse.conftest import DAY
from warehouse.database import reading, writing
from warehouse.points import Day, Points, points
from warehouse.repositories import online, scores
from warehouse.repositories.online import OnlineBatch
from warehouse.repositories.score_pages import Filter, read_page
from warehouse.repositories.scores import Stamp

Asks = Callable[[Callable[[Points], Awaitable[Any]]], Any]


@pytest.fixture
def ask(engine: Engine, warehouse_url: str) -> Asks:
    """Opens the look-ups, asks, closes them."""

    def run(question: Callable[[Points], Awaitable[Any]]) -> Any:
        async def asked() -> Any:
            found = points(warehouse_url)
            await found.open()
            try:
                return await question(found)
            finally:
                await found.close()

        return asyncio.run(asked())

    return run


@pytest.fixture
def scored(
    engine: Engine, spec: Any, visits: Callable[..., pd.DataFrame], stamp: Callable[..., Stamp]
) -> None:
    """Two days; on the newer one a visit has two rows, one of them with nothing optional."""
    frame = visits([f"v{number}é" for number in range(6)])
    again = visits(["v0é"], kind="mail").assign(seen_at=pd.NaT, reasons=None, client_id=None)
    again["tries"] = pd.array([None], dtype="Int64")
    again["urgent"] = pd.array([None], dtype="boolean")
    with writing(engine) as connection:
        scores.write_day(connection, spec, DAY - timedelta(days=1), frame, stamp("run-0"))
        both = pd.concat([frame, again], ignore_index=True)
        batch = OnlineBatch("hash-1", ["v0é"], [{"a": 1.5, "b": None, "c": "é"}])
        scores.write_day(connection, spec, DAY, both, stamp("run-1"), batch)


@pytest.mark.usefixtures("scored")
def test_the_newest_day_and_its_run(ask: Asks) -> None:
    assert ask(lambda look: look.newest_day("visit")) == Day(DAY, "run-1")
    assert ask(lambda look: look.newest_day("nobody")) is None


@pytest.mark.usefixtures("scored")
def test_stored_inputs_of_an_entity(ask: Asks, engine: Engine) -> None:
    found = ask(lambda look: look.online("visit", "v0é"))
    assert found is not None
    assert (found.as_of, found.data_version, found.schema_hash) == (DAY, "snapshot-1", "hash-1")
    assert json.loads(found.features) == {"a": 1.5, "b": None, "c": "é"}
    with reading(engine) as connection:
        slow = online.get(connection, "visit", ["v0é"])["v0é"]
    assert (found.as_of, json.loads(found.features)) == (slow.as_of, slow.features)
    assert ask(lambda look: look.online("visit", "v9")) is None


@pytest.mark.usefixtures("scored")
def test_rows_of_an_entity_are_those_of_the_page_in_its_order(
    ask: Asks, engine: Engine, spec: Any
) -> None:
    for visit in ("v0é", "v1é", "nobody"):
        fast = msgspec.json.decode(
            msgspec.json.encode(ask(lambda look, v=visit: look.rows(spec, {"visit_id": v}, 10)))
        )
        with reading(engine) as connection:
            page = read_page(connection, spec, filters=[Filter("visit_id", "eq", visit)])
        assert page is not None
        as_json = TypeAdapter(list[dict[str, Any]]).dump_json(page.rows)
        assert fast == msgspec.json.decode(as_json)
        assert len(fast) == {"v0é": 2, "v1é": 1, "nobody": 0}[visit]


@pytest.mark.usefixtures("scored")
def test_no_more_rows_than_asked_for(ask: Asks, spec: Any) -> None:
    assert len(ask(lambda look: look.rows(spec, {"visit_id": "v0é"}, 1))) == 1


def test_what_was_not_opened_says_so(warehouse_url: str) -> None:
    with pytest.raises(RuntimeError, match=r"open\(\)"):
        asyncio.run(points(warehouse_url).newest_day("visit"))
