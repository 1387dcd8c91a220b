"""Versions of a model for tests of ``retrain`` and ``models`` on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ml.lifecycle.workspace import Workspace
from warehouse.database import writing
from warehouse.repositories import models
from warehouse.repositories.models import ModelVersion

PASSED = {"passed": True, "reasons": ["auc 0.8 against 0.7"], "failed": []}


def trained(age: int, gate: Mapping[str, Any] = PASSED) -> str:
    """A version of so many days ago, with the files that a training leaves."""
    workspace = Workspace.current()
    day = date(2026, 6, 30) - timedelta(days=age)

    def save(folder: Any) -> None:
        (folder / "fitted").mkdir()
        (folder / "card.md").write_text("# A card\n")

    artifact = workspace.artifacts.write("churn", day, save, {"known_through": day.isoformat()})
    version = ModelVersion(
        version=artifact.version,
        model="churn",
        trained_at=datetime(day.year, day.month, day.day, tzinfo=UTC),
        trained_as_of=day,
        known_through=day,
        data_version="000001",
        estimator="e",
        metrics={"auc": 0.8},
        baseline={"auc": 0.7},
        champion_metrics={"auc": 0.75},
        gate=gate,
        feature_schema_hash="h",
        artifact=f"churn/{artifact.version}",
        manifest_sha256="s",
        card=f"churn/{artifact.version}/card.md",
        status="candidate" if gate["passed"] else "rejected",
    )
    with writing(workspace.engine) as connection:
        models.register(connection, version)
    return version.version
