"""What revenue leaks reads does not hang on how the lake came to hold it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

from ml.methods.leak_data import leak_frames, with_injected_errors
from tests.small_firm import FIRST, LAST, Firm, lines, write_csv


def rates() -> list[dict[str, Any]]:
    """Two prices of each service, one of them for a client."""
    found = []
    for service in ("advice", "audit"):
        for client in ("", "c03"):
            row = {"service_id": service, "client_id": client, "valid_from": FIRST}
            found.append({**row, "unit_price": 60, "valid_to": ""})
    return found


def work() -> list[dict[str, Any]]:
    """One entry before each line."""
    return [
        {
            "entry_id": f"w-{line['line_id']}",
            "client_id": line["client_id"],
            "service_id": line["service_id"],
            "worked_on": line["issued_on"],
            "quantity": 1,
            "billable": True,
            "line_id": line["line_id"],
        }
        for line in lines()
    ]


@pytest.mark.parametrize("since", [None, LAST - timedelta(days=60)])
def test_the_same_rows_are_learned_from_wherever_they_were_loaded(
    tmp_path: Path, since: date | None
) -> None:
    tables = {"invoice_lines": lines(), "rates": rates(), "work_entries": work()}
    read = []
    for step in (1, -1):
        firm = Firm(tmp_path / f"order{step}")
        for table, rows in tables.items():
            write_csv(firm.export_folder, table, rows[::step])
        workspace = firm.on()
        workspace.ingest("run-1")
        read.append(leak_frames(workspace.snapshot(), LAST, since))
        workspace.engine.dispose()
    straight, turned = read
    assert sorted(straight) == ["lines", "rates", "work"]
    for name, frame in straight.items():
        assert len(frame) > 0
        assert_frame_equal(frame, turned[name])
    planted = [with_injected_errors(frames["lines"], LAST - timedelta(days=30)) for frames in read]
    assert_frame_equal(planted[0][1], planted[1][1])
