"""Dagster's own home: its settings laid ready, its records on SQLite or PostgreSQL."""

from __future__ import annotations

import dagster as dg
import pytest
import yaml

from orchestration.resources import prepare_dagster_home
from orchestration.settings import every_setting
from warehouse.settings import WarehouseSettings


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("SEVENFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    return WarehouseSettings()


def test_the_projects_settings_are_laid_where_dagster_reads_them(settings):
    home = prepare_dagster_home(settings)
    laid = yaml.safe_load((home / "dagster.yaml").read_text())
    assert laid["telemetry"] == {"enabled": False}
    assert "storage" not in laid


def test_a_changed_project_file_replaces_the_copy(settings):
    home = prepare_dagster_home(settings)
    (home / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    prepare_dagster_home(settings)
    assert yaml.safe_load((home / "dagster.yaml").read_text())["telemetry"] == {"enabled": False}


@pytest.mark.postgres
def test_dagsters_records_go_to_postgresql_where_a_url_is_set(settings, postgres_url, monkeypatch):
    url = postgres_url.replace("postgresql+psycopg://", "postgresql://")
    monkeypatch.setenv("SEVENFOLD_DAGSTER_STORAGE_URL", url)
    prepare_dagster_home(settings)
    with dg.DagsterInstance.get() as instance:
        assert "Postgres" in type(instance.run_storage).__name__
        assert instance.get_runs_count() == 0


def test_the_storage_urls_password_is_masked(monkeypatch):
    secret = "postgresql://dagster:hidden@host/runs"
    monkeypatch.setenv("SEVENFOLD_DAGSTER_STORAGE_URL", secret)
    shown = {name: value for name, value, _ in every_setting()}
    assert "hidden" not in shown["SEVENFOLD_DAGSTER_STORAGE_URL"]
