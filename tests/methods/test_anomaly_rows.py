"""Lines and client days beside what their own past leads to expect."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.methods.anomaly_rows import client_rows, line_rows


@pytest.fixture
def lines() -> pd.DataFrame:
    """Thirty clients of very different sizes, each buying some of five services every few days."""
    rng = np.random.default_rng(4)
    size, usual = rng.normal(0, 1, 30), rng.normal(2, 1, 5)
    taste = rng.normal(0, 0.4, (30, 5))
    rows = []
    for day in range(200):
        for client in np.flatnonzero(rng.random(30) < 0.15):
            for service in np.flatnonzero(rng.random(5) < 0.5):
                log = size[client] + usual[service] + taste[client, service]
                rows.append((day, client, service, np.exp(log + rng.normal(0, 0.3))))
    frame = pd.DataFrame(rows, columns=["day", "client", "service", "quantity"])
    return pd.DataFrame(
        {
            "line_id": [f"L{number:06d}" for number in range(len(frame))],
            "client_id": frame["client"].map("C{:02d}".format),
            "service_id": frame["service"].map("S{}".format),
            "observed_at": pd.Timestamp("2025-01-01") + pd.to_timedelta(frame["day"], unit="D"),
            "quantity": frame["quantity"],
            "unit_price": 100.0,
        }
    )


def test_a_usual_quantity_is_about_one_deviation_off(lines: pd.DataFrame) -> None:
    late = line_rows(lines)["quantity_own"].iloc[len(lines) // 2 :]
    # Below one: the spread still remembers lines of clients that had no past yet.
    assert 0.6 < late.std() < 1.1
    assert late.mean() == pytest.approx(0.0, abs=0.15)


def test_later_lines_move_no_earlier_row(lines: pd.DataFrame) -> None:
    cut = lines["observed_at"] < "2025-05-01"
    known = line_rows(lines[cut])
    pd.testing.assert_frame_equal(line_rows(lines).iloc[: len(known)], known)
    days = client_rows(lines[cut])
    pd.testing.assert_frame_equal(client_rows(lines).iloc[: len(days)], days)


def test_a_new_service_is_no_surprise(lines: pd.DataFrame) -> None:
    new = lines.tail(1).assign(service_id="S9", quantity=1e6, line_id="L999999")
    found = line_rows(pd.concat([lines, new])).set_index("subject_id")
    assert found.loc["L999999", "quantity_own"] == 0.0


def test_one_typo_does_not_make_the_next_one_usual(lines: pd.DataFrame) -> None:
    client, service = lines["client_id"].iloc[-1], lines["service_id"].iloc[-1]
    own = lines.index[(lines["client_id"] == client) & (lines["service_id"] == service)]
    twice = lines.copy()
    twice.loc[[own[-3], own[-1]], "quantity"] *= 10
    surprise = line_rows(twice).set_index("subject_id")["quantity_own"]
    assert surprise[twice.loc[own[-1], "line_id"]] > 4
    assert surprise[twice.loc[own[-3], "line_id"]] > 4


def test_a_day_of_sixfold_quantities_stands_out_among_client_days(lines: pd.DataFrame) -> None:
    last = lines[lines["observed_at"] > "2025-06-01"].groupby(["client_id", "observed_at"])
    client, day = next(key for key, rows in last if len(rows) == 2)
    burst = lines.copy()
    hit = (burst["client_id"] == client) & (burst["observed_at"] == day)
    burst.loc[hit, "quantity"] *= 6
    rows = client_rows(burst)
    here = (rows["subject_id"] == client) & (rows["observed_at"] == day)
    assert here.sum() == 1
    assert rows.loc[here, "quantities_own"].item() > rows.loc[~here, "quantities_own"].quantile(
        0.99
    )
