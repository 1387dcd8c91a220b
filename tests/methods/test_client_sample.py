"""A share of the clients: always the same ones, and their features as if all were there."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from ml.methods.client_data import client_frame, margin_after, sample_share
from tests.small_firm import LAST, Firm, lines, write_csv
from warehouse.snapshot import Snapshot

DAYS = [date(2025, 3, 31), date(2025, 4, 30)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    firm = Firm(tmp_path_factory.mktemp("sample"))
    firm.export()
    workspace = firm.on(LAST)
    workspace.ingest("once")
    snapshot = workspace.snapshot()
    workspace.engine.dispose()
    return snapshot


def test_a_sample_holds_the_rows_of_its_clients_bit_for_bit(data: Snapshot) -> None:
    whole = client_frame(data, DAYS)
    part = client_frame(data, DAYS, share=0.4)
    chosen = set(part["client_id"])
    assert 0 < len(chosen) < whole["client_id"].nunique()
    same = whole[whole["client_id"].isin(chosen)].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.reset_index(drop=True), same, check_exact=True)


def test_a_larger_share_holds_the_clients_of_a_smaller_one(data: Snapshot) -> None:
    held = [set(client_frame(data, DAYS, share)["client_id"]) for share in (0.2, 0.5, 0.9, 1.0)]
    assert all(few < more for few, more in pairwise(held))


def test_what_follows_is_the_same_for_a_sample(data: Snapshot) -> None:
    whole, part = client_frame(data, DAYS), client_frame(data, DAYS, share=0.4)
    after = [margin_after(data, frame, 30, LAST) for frame in (whole, part)]
    chosen = whole["client_id"].isin(set(part["client_id"])).to_numpy()
    assert after[0][chosen].tolist() == after[1].tolist()
    assert after[1].notna().all()


def test_the_share_counts_clients_at_work_and_not_every_name(tmp_path: Path) -> None:
    firm = Firm(tmp_path)
    firm.export()
    write_csv(
        firm.export_folder,
        "clients",
        [{"client_id": f"lead{number}", "city": f"city {number}"} for number in range(5000)],
    )
    workspace = firm.on(LAST)
    workspace.ingest("once")
    data = workspace.snapshot()
    workspace.engine.dispose()
    assert sample_share(data, DAYS, most_rows=80) == 1.0
    assert sample_share(data, DAYS, most_rows=40) == 0.5


def test_columns_do_not_depend_on_the_sample(tmp_path: Path) -> None:
    """150 cities among 400 clients are an identifier; among 70 of them they would be none."""
    firm = Firm(tmp_path)
    rows = [
        {**row, "client_id": f"{row['client_id']}-{copy}"}
        for copy in range(10)
        for row in lines(LAST)[::10]
    ]
    firm.export_folder.mkdir(parents=True, exist_ok=True)
    write_csv(
        firm.export_folder, "invoice_lines", [{**r, "line_id": f"l{n}"} for n, r in enumerate(rows)]
    )
    ids = sorted({row["client_id"] for row in rows})
    write_csv(
        firm.export_folder,
        "clients",
        [{"client_id": name, "city": f"city {n % 150}"} for n, name in enumerate(ids)],
    )
    workspace = firm.on(LAST)
    workspace.ingest("once")
    data = workspace.snapshot()
    workspace.engine.dispose()
    whole, part = client_frame(data, DAYS), client_frame(data, DAYS, share=0.17)
    assert len(part) < len(whole)
    assert list(part.columns) == list(whole.columns)
