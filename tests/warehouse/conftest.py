"""A warehouse on each database, and a small model to score in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import pandas as pd
import pytest
from pydantic import BaseModel, create_model
from sqlalchemy import URL, Engine, make_url, text

from warehouse.database import connect
from warehouse.repositories.scores import Stamp
from warehouse.scored import migrate

DAY = date(2025, 3, 31)


class Visit(BaseModel):
    """A decision with a column of every kind."""

    kind: Literal["call", "mail"]
    visit_id: str
    day: date
    seen_at: datetime | None
    chance: float
    tries: int | None
    urgent: bool | None
    client_id: str | None = None
    reasons: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Spec:
    """What the warehouse needs to know of a model."""

    name: str
    entity: tuple[str, ...]
    Decision: type[BaseModel]


@pytest.fixture
def spec() -> Spec:
    """A model whose rows are visits."""
    return Spec("visit", ("kind", "visit_id", "day"), Visit)


@pytest.fixture
def make_spec() -> Callable[..., Spec]:
    """A model ``parcel`` keyed by parcel_id, with the fields given as ``name=type``."""

    def make(entity: tuple[str, ...] = ("parcel_id",), **fields: Any) -> Spec:
        columns = {"parcel_id": str} | fields
        decision = create_model("Parcel", **{name: (kind, ...) for name, kind in columns.items()})
        return Spec("parcel", entity, decision)

    return make


@pytest.fixture
def bare_engine(warehouse_url: str) -> Iterator[Engine]:
    """An empty database."""
    engine = connect(warehouse_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def templates() -> dict[str, str]:
    """The URL of a migrated warehouse on each database, once a test has asked for one."""
    return {}


@pytest.fixture
def engine(
    warehouse_url: str,
    spec: Spec,
    templates: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Engine]:
    """A migrated warehouse: a copy, since to migrate each takes far longer."""
    url = make_url(warehouse_url)
    if url.drivername == "sqlite":
        if "sqlite" not in templates:
            templates["sqlite"] = f"sqlite:///{tmp_path_factory.mktemp('template')}/warehouse.db"
            _migrate(templates["sqlite"], spec)
        shutil.copyfile(str(make_url(templates["sqlite"]).database), str(url.database))
    else:
        if "postgres" not in templates:
            _administer(url, "CREATE DATABASE template_of_warehouses")
            templates["postgres"] = warehouse_url.replace(
                f"/{url.database}?", "/template_of_warehouses?"
            )
            _migrate(templates["postgres"], spec)
        _administer(url, f"DROP DATABASE {url.database}")
        _administer(url, f"CREATE DATABASE {url.database} TEMPLATE template_of_warehouses")
    engine = connect(warehouse_url)
    yield engine
    engine.dispose()


def _migrate(url: str, spec: Spec) -> None:
    engine = connect(url)
    migrate(engine, [spec])
    engine.dispose()


def _administer(url: URL, statement: str) -> None:
    """A statement about databases, said from another one."""
    other = connect(url.set(database="postgres").render_as_string(hide_password=False))
    with other.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    other.dispose()


@pytest.fixture
def stamp() -> Callable[..., Stamp]:
    """Where scores come from; the run is what usually differs."""

    def make(run: str = "run-1", origin: str = "live") -> Stamp:
        return Stamp("visit-1", "snapshot-1", run, origin, datetime(2025, 4, 1, 3, tzinfo=UTC))

    return make


@pytest.fixture
def visits() -> Callable[..., pd.DataFrame]:
    """A day's decisions for these ids."""

    def make(ids: list[str], chance: float = 0.5, kind: str = "call") -> pd.DataFrame:
        return pd.DataFrame(
            {
                "kind": kind,
                "visit_id": ids,
                "day": DAY,
                "seen_at": pd.Timestamp("2025-03-30 12:00:00.000001"),
                "chance": chance,
                "tries": range(len(ids)),
                "urgent": [number % 2 == 0 for number in range(len(ids))],
                "client_id": [None if number % 3 else f"c{number}" for number in range(len(ids))],
                "reasons": [
                    [{"feature": "recency", "contribution": -0.25}] if number == 0 else None
                    for number in range(len(ids))
                ],
            }
        )

    return make
