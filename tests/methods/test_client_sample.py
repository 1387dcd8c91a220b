"""A share of the clients: always the same ones, and their features as if all were there."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pandas as pd
import pytest

from ml.methods.client_data import client_frame, client_tables, count_clients
from tests.small_firm import LAST, Firm
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
    assert 0 < len(chosen) < whole["client_id"].nunique() == count_clients(data)
    same = whole[whole["client_id"].isin(chosen)].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.reset_index(drop=True), same, check_exact=True)


def test_a_larger_share_holds_the_clients_of_a_smaller_one(data: Snapshot) -> None:
    held = [
        set(client_tables(data, share)["invoice_lines"]["client_id"].to_pylist())
        for share in (0.2, 0.5, 0.9, 1.0)
    ]
    assert all(few < more for few, more in pairwise(held))
