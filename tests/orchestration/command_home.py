"""A home for tests of the command, what it prints as JSON, and the audit log."""

from __future__ import annotations

import getpass
import json
from typing import Any

import pytest

from ml.lifecycle.workspace import Workspace
from tests.orchestration.conftest import Runs
from warehouse.database import reading
from warehouse.repositories import audit

ME = f"cli:{getpass.getuser()}"


@pytest.fixture
def on_home(sevenfold: Runs) -> Runs:
    """The same, where the home is there already."""
    assert sevenfold("migrate")[0] == 0
    return sevenfold


def told(run: Runs, *words: str) -> Any:
    status, out, error = run(*words, "--json")
    assert status == 0, error
    return json.loads(out)


def logged() -> list[tuple[str, str, str, dict[str, Any]]]:
    with reading(Workspace.current().engine) as connection:
        entries = audit.page(connection, 100)
    return [(one.actor, one.action, one.subject, dict(one.details)) for one in entries]
