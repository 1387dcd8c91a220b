"""Firms that several tests read."""

from __future__ import annotations

import datetime as dt
import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from warehouse.sources.sample import SampleFirm

END = dt.date(2026, 9, 30)


@pytest.fixture(scope="session")
def firm() -> SampleFirm:
    """A firm of a seed that nothing was tuned on."""
    return SampleFirm(clients=400, seed=57, end=END)


@pytest.fixture(scope="session")
def frames(firm: SampleFirm) -> dict[str, pd.DataFrame]:
    """The firm's tables as frames."""
    return {name: firm.table(name).to_pandas() for name in firm.tables()}


@pytest.fixture(scope="session")
def oracle(firm: SampleFirm) -> Any:
    """The firm's truth."""
    path = Path(__file__).with_name("oracle.py")
    spec = importlib.util.spec_from_file_location("sample_oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Oracle(firm)
