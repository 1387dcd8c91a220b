"""The lake: versions stay readable, restoring may be repeated, retention is the firm's own."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from warehouse.lake import Lake, LakeError

NOTE = {"by": "test"}


def _rows(*values: int) -> pa.Table:
    return pa.table({"value": pa.array(values, pa.int64())})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", retention_days=400)


def test_every_version_stays_readable(lake: Lake) -> None:
    first = lake.append("raw/x", _rows(1), note=NOTE)
    second = lake.append("raw/x", _rows(2), note=NOTE)
    assert lake.read("raw/x", first)["value"].to_pylist() == [1]
    assert sorted(lake.read("raw/x", second)["value"].to_pylist()) == [1, 2]
    assert lake.rows("raw/x", second) == 2


def test_restoring_brings_the_head_back_and_may_be_repeated(lake: Lake) -> None:
    recorded = lake.append("raw/x", _rows(1), note=NOTE)
    lake.append("raw/x", _rows(2), note=NOTE)
    head = lake.restore("raw/x", recorded)
    assert lake.read("raw/x", head)["value"].to_pylist() == [1]
    assert lake.restore("raw/x", recorded) == head


def test_new_columns_are_added_and_empty_in_older_rows(lake: Lake) -> None:
    lake.append("raw/x", _rows(1), note=NOTE)
    version = lake.append("raw/x", pa.table({"value": [2], "more": ["a"]}), note=NOTE)
    rows = lake.read("raw/x", version).sort_by("value").to_pylist()
    assert rows == [{"value": 1, "more": None}, {"value": 2, "more": "a"}]


def test_tables_keep_their_log_and_files_as_long_as_the_setting_says(lake: Lake) -> None:
    lake.append("raw/x", _rows(1), note=NOTE)
    log = Path(lake.uri("raw/x")) / "_delta_log" / "00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    settings = next(one["metaData"]["configuration"] for one in actions if "metaData" in one)
    assert settings == {
        "delta.logRetentionDuration": "interval 400 days",
        "delta.deletedFileRetentionDuration": "interval 400 days",
    }


def test_replacing_a_partition_leaves_the_others(lake: Lake) -> None:
    both = pa.table({"day": ["a", "b"], "value": [1, 2]})
    lake.replace_partition("features/x", both.slice(0, 1), "day", "a", note=NOTE)
    lake.replace_partition("features/x", both.slice(1, 1), "day", "b", note=NOTE)
    new = pa.table({"day": ["b"], "value": [3]})
    version = lake.replace_partition("features/x", new, "day", "b", note=NOTE)
    rows = lake.read("features/x", version).sort_by("day").to_pylist()
    assert rows == [{"day": "a", "value": 1}, {"day": "b", "value": 3}]
    part = lake.read("features/x", version, ["value"], [("day", "=", "b")])
    assert part.to_pylist() == [{"value": 3}]


def test_vacuum_keeps_what_is_named_and_what_is_young(tmp_path: Path) -> None:
    young = Lake(tmp_path / "young", retention_days=1)
    first = young.append("raw/x", _rows(1), note=NOTE)
    young.append("raw/x", _rows(2), note=NOTE, fresh=True)
    assert young.vacuum("raw/x", keep_versions=[]) == []
    assert young.read("raw/x", first)["value"].to_pylist() == [1]


def test_an_absent_table_or_version_is_named(lake: Lake) -> None:
    assert lake.version("raw/x") is None
    with pytest.raises(LakeError, match=r"no table 'raw/x'"):
        lake.read("raw/x", 0)
    lake.append("raw/x", _rows(1), note=NOTE)
    with pytest.raises(LakeError, match=r"'raw/x'.*version 9"):
        lake.read("raw/x", 9)
