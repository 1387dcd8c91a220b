"""What may import what, and what must not be loaded just to start."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("pandas", "lightgbm", "prophet", "statsforecast", "great_expectations", "evidently")


def loaded_by(code: str) -> set[str]:
    """Top-level modules of a fresh process that ran the code."""
    code += "\nimport json, sys; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", ["orchestration", "assets", "ml", "warehouse", "api"])
def test_each_package_is_the_one_of_this_repository(name: str) -> None:
    found = import_module(name).__file__
    assert found is not None
    assert Path(found).resolve().parent == ROOT / name


def test_the_layers_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout


def test_reading_every_spec_loads_no_heavy_package() -> None:
    loaded = loaded_by(
        "from ml.models import default_registry\n"
        "assert len(default_registry()) == 7\n"
        "[spec.Query.model_json_schema() for spec in default_registry().values()]"
    )
    assert not loaded & {*HEAVY, "sklearn", "pyarrow", "sqlalchemy", "dagster", "fastapi"}


def test_the_api_starts_without_dagster_and_without_any_heavy_package() -> None:
    loaded = loaded_by("import api.main")
    others = {"dagster", "orchestration", "assets", "deltalake", "duckdb", "pyarrow"}
    assert not loaded & {*HEAVY, *others}
    assert "fastapi" in loaded


def test_the_code_location_loads_no_heavy_package_but_dagster() -> None:
    loaded = loaded_by("import orchestration.definitions")
    assert not loaded & {*HEAVY, "sklearn"} - {"pandas"}
    assert "dagster" in loaded


def test_help_of_the_command_loads_next_to_nothing() -> None:
    loaded = loaded_by("import orchestration.cli")
    assert not loaded & {*HEAVY, "dagster", "fastapi", "duckdb", "deltalake", "pyarrow"}
