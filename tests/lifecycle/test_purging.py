"""What a purge leaves in the lake."""

from __future__ import annotations

from datetime import timedelta

from ml.lifecycle.feature_store import TABLE, store_client_features
from ml.lifecycle.purging import purge
from tests.lifecycle.conftest import Life
from tests.small_firm import LAST


def test_stored_features_older_than_the_retention_go(life: Life) -> None:
    workspace = life.ingested()
    retention = timedelta(days=workspace.settings.retention_days)
    days = [LAST - retention - timedelta(days=1), LAST - retention, LAST]
    stored = store_client_features(workspace, days)
    assert min(stored.rows.values()) > 0
    assert purge(workspace).features == stored.rows[days[0]]
    head = workspace.lake.version(TABLE)
    assert head is not None
    assert head > stored.version
    left = workspace.lake.read(TABLE, head, ["as_of"])["as_of"]
    assert {day.as_py() for day in left.unique()} == set(days[1:])
    assert len(left) == stored.rows[days[1]] + stored.rows[days[2]]
    assert workspace.lake.read(TABLE, stored.version).num_rows == sum(stored.rows.values())
