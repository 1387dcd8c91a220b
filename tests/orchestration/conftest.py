"""A firm of forty clients and its definitions, with a Dagster instance of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.conftest import Life
from tests.small_firm import Firm


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """A firm on SQLite."""
    made = Life(Firm(tmp_path))
    yield made
    made.close()
