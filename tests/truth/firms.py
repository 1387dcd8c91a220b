"""Sample firms whose truth is known, ingested into a lake of their own as any source is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ml.lifecycle.workspace import Workspace
from ml.methods.method import Method
from ml.settings import MlSettings
from tests.sample.oracle import Oracle
from warehouse.settings import WarehouseSettings
from warehouse.snapshot import Snapshot
from warehouse.sources.sample import SampleFirm

END = dt.date(2026, 9, 30)
CLIENTS = 1000


@dataclass(frozen=True)
class Firm:
    """One firm: its data as the models see it, and its truth, which they never see."""

    seed: int
    workspace: Workspace
    data: Snapshot
    oracle: Oracle
    end: dt.date = END

    def method(self, name: str) -> Method:
        """How the model named so learns and decides, as production wires it."""
        return self.workspace.method(self.workspace.registry[name])

    def shuffled(self, labels: Mapping[str, Sequence[str]]) -> Snapshot:
        """The data with these columns by table shuffled."""
        data = self.data
        return Shuffled(data.lake, data.id, data.versions, labels, self.seed)

    @cached_property
    def truth(self) -> dict[str, pd.DataFrame]:
        """Truth tables by name."""
        return self.oracle.truth


@dataclass(frozen=True)
class Shuffled(Snapshot):
    """A snapshot whose named columns stand in another row's place, series each in itself."""

    labels: Mapping[str, Sequence[str]]
    seed: int

    def as_of(self, table: str, day: dt.date, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as known at the end of ``day``, shuffled."""
        found = super().as_of(table, day, columns)
        for number, column in enumerate(self.labels.get(table, ())):
            if column not in found.column_names:
                continue
            draw = np.random.default_rng([self.seed, number]).random(found.num_rows)
            if table == "series":
                names = pd.factorize(found["series_id"].to_pandas())[0]
                order = np.empty(found.num_rows, dtype=np.int64)
                order[np.argsort(names, kind="stable")] = np.lexsort([draw, names])
            else:
                order = np.argsort(draw)
            place = found.column_names.index(column)
            found = found.set_column(place, column, found[column].take(pa.array(order)))
        return found


class Firms:
    """Firms by seed and size, each ingested once into a folder that the caller owns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[tuple[int, int], Firm] = {}
        self._stack = ExitStack()

    def get(self, seed: int, clients: int = CLIENTS) -> Firm:
        """The firm of that seed with about so many clients."""
        key = seed, clients
        if key not in self._opened:
            folder = self._folder / f"{seed}-{clients}"
            self._opened[key] = self._stack.enter_context(_opened(seed, clients, folder))
        return self._opened[key]

    def close(self) -> None:
        """Let go of their databases."""
        self._stack.close()


@contextmanager
def _opened(seed: int, clients: int, folder: Path) -> Iterator[Firm]:
    settings = WarehouseSettings(
        home=folder, source=f"sample:clients={clients},seed={seed},end={END}"
    )
    morning = dt.datetime.combine(END + dt.timedelta(days=1), dt.time(8), dt.UTC)
    workspace = Workspace.open(settings, MlSettings(), clock=lambda: morning)
    workspace.ingest("truth")
    oracle = Oracle(SampleFirm(clients=clients, seed=seed, end=END))
    yield Firm(seed, workspace, workspace.snapshot(), oracle)
    workspace.engine.dispose()
