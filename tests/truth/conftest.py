"""The firms whose truth is checked, each ingested once in a test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.truth.firms import Firms


@pytest.fixture(scope="session")
def firms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firms]:
    """Sample firms by seed."""
    opened = Firms(tmp_path_factory.mktemp("truth"))
    yield opened
    opened.close()
