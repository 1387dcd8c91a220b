"""Every model learned on a small sample firm, its decisions, and the serving form of its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import pytest

from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec, default_registry
from ml.settings import MlSettings
from tests.serving.cases import Case, case_of
from tests.small_firm import morning_after
from warehouse.settings import WarehouseSettings

DAY = date(2026, 6, 30)

Learned = Callable[[ModelSpec], Case]


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The sample firm, ingested; nothing was trained by way of the warehouse."""
    home = tmp_path_factory.mktemp("serving")
    settings = WarehouseSettings(home=home, source=f"sample:clients=60,seed=11,end={DAY}")
    ml = MlSettings(training_months=6, reasons="all")
    workspace = Workspace.open(settings, ml, clock=morning_after(DAY))
    workspace.ingest("ingest")
    yield workspace
    workspace.engine.dispose()


@pytest.fixture(scope="session")
def learned(firm: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """The case of a model, learned when first asked for."""
    held: dict[str, Case] = {}

    def get(spec: ModelSpec) -> Case:
        if spec.name not in held:
            folder = tmp_path_factory.mktemp(spec.name)
            held[spec.name] = case_of(firm.method(spec), firm.snapshot(), DAY, folder)
        return held[spec.name]

    return get


SPECS = {spec.name: spec for spec in default_registry().values()}
