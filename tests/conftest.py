"""Fixtures that every test may use: open data, and threads pinned before any numeric import."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SEVENFOLD_THREADS", "1")


@pytest.fixture(scope="session")
def example_data() -> Path:
    """The folder of open data sets; tests that need it are skipped where it is absent."""
    folder = os.environ.get("SEVENFOLD_EXAMPLE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("open data sets are absent: set SEVENFOLD_EXAMPLE_DATA to their folder")
    return Path(folder)
