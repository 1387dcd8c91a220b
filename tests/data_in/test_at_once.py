"""Ingestions that are started at the same time follow one another."""

from __future__ import annotations

import threading

from tests.data_in.conftest import MONDAY, Home
from warehouse.database import connect, reading
from warehouse.ingestion import ingest
from warehouse.lake import Lake
from warehouse.repositories import data_versions
from warehouse.sources import open_source


def test_ingestions_at_once_write_every_row_once(home: Home) -> None:
    home.export("invoice_lines", home.lines(400))
    failures: list[BaseException] = []
    ready = threading.Barrier(3)

    def run(number: int) -> None:
        engine = connect(home.settings.warehouse_url)
        lake = Lake(home.settings.lake, retention_days=home.settings.retention_days)
        source = open_source(f"folder:{home.source}", home.settings)
        ready.wait()
        try:
            ingest(source, lake, engine, home.settings, MONDAY, f"run-{number}")
        except BaseException as failure:
            failures.append(failure)
            raise
        finally:
            engine.dispose()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    lines = home.snapshot().read("invoice_lines", ["line_id"])
    assert sorted(lines["line_id"].to_pylist()) == sorted(f"l{n}" for n in range(1, 401))
    with reading(home.engine) as connection:
        assert [one.snapshot for one in data_versions.recent(connection)] == ["000001"]
