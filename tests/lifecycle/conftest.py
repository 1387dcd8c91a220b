"""A firm of forty clients, in a home of its own for each test, on SQLite or on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ml.lifecycle.workspace import Workspace
from tests.small_firm import LAST, Firm

Opens = Callable[..., Workspace]


class Life:
    """A firm and its workspaces, closed when the test ends."""

    def __init__(self, firm: Firm) -> None:
        self.firm = firm
        self._opened: list[Workspace] = []

    def on(self, day: date = LAST, **kwargs: Any) -> Workspace:
        """The workspace on the morning after ``day``."""
        self._opened.append(self.firm.on(day, **kwargs))
        return self._opened[-1]

    def ingested(self, day: date = LAST, **kwargs: Any) -> Workspace:
        """The same, with the lines known by that day exported and ingested."""
        self.firm.export(day)
        workspace = self.on(day, **kwargs)
        workspace.ingest(f"ingest-{day}")
        return workspace

    def close(self) -> None:
        for workspace in self._opened:
            workspace.engine.dispose()


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """A firm on SQLite."""
    made = Life(Firm(tmp_path))
    yield made
    made.close()


@pytest.fixture
def life_on_both(tmp_path: Path, warehouse_url: str) -> Iterator[Life]:
    """A firm on SQLite and on PostgreSQL."""
    made = Life(Firm(tmp_path, warehouse_url))
    yield made
    made.close()
