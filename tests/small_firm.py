"""A firm of forty clients as a folder of CSV files, small enough to run a model's whole life.

Clients buy about every ten days, each at its own level, so that the mean of a quarter tells more
about the next month than the last month alone.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.lifecycle.workspace import Workspace
from ml.models import Registry
from ml.settings import MlSettings
from tests.models.eighth import EIGHTH
from warehouse.settings import WarehouseSettings

FIRST = dt.date(2024, 1, 1)
LAST = dt.date(2025, 6, 30)
CLIENTS = 40


def lines(through: dt.date = LAST, clients: int = CLIENTS, seed: int = 7) -> list[dict[str, Any]]:
    """Every line issued by ``through``; a later day adds rows and changes none."""
    found = []
    for number in range(clients):
        rng = np.random.default_rng([seed, number])
        level = 50 * rng.gamma(2.0, 1.0) + 20
        day = FIRST + dt.timedelta(days=int(rng.integers(0, 10)))
        while day <= LAST + dt.timedelta(days=180):
            price = round(float(level * rng.lognormal(0, 0.4)), 2)
            found.append(
                {
                    "line_id": f"c{number:02d}-{day:%Y%m%d}",
                    "client_id": f"c{number:02d}",
                    "service_id": "audit" if number % 2 else "advice",
                    "issued_on": day,
                    "quantity": 1,
                    "unit_price": price,
                }
            )
            day += dt.timedelta(days=int(rng.integers(5, 16)))
    return [row for row in found if row["issued_on"] <= through]


def write_csv(folder: Path, table: str, rows: list[dict[str, Any]]) -> None:
    """One table of an export."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def morning_after(day: dt.date) -> Callable[[], dt.datetime]:
    """A clock that stands at eight on the next day."""
    moment = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(8), dt.UTC)
    return lambda: moment


@dataclass
class Firm:
    """A home and the export it reads; ``on`` opens the workspace on the morning after a day."""

    folder: Path
    warehouse_url: str | None = None
    store: str = ""

    @property
    def export_folder(self) -> Path:
        """Where the firm's export lies."""
        return self.folder / "export"

    @property
    def settings(self) -> WarehouseSettings:
        """The home's settings."""
        return WarehouseSettings(
            home=self.folder / "home",
            source=f"folder:{self.export_folder}",
            warehouse_url=self.warehouse_url or "",
            store=self.store,
        )

    def export(self, through: dt.date = LAST, **kwargs: Any) -> None:
        """Write the invoice lines known by that day."""
        write_csv(self.export_folder, "invoice_lines", lines(through, **kwargs))

    def on(self, day: dt.date = LAST, registry: Registry | None = None, **ml: Any) -> Workspace:
        """The workspace on the morning after ``day``."""
        return Workspace.open(
            self.settings,
            MlSettings(**ml),
            registry or Registry([EIGHTH]),
            morning_after(day),
        )
