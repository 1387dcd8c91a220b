"""Rows of frames as plain values."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pandas as pd

from ml.methods.frames import plain_records


def test_records_hold_pythons_own_values_and_none_for_what_is_missing() -> None:
    frame = pd.DataFrame(
        {
            "number": [1.5, np.nan],
            "count": [1, 2],
            "yes": [True, False],
            "text": ["a", None],
            "mixed": pd.Series([np.float64(2.5), np.bool_(True)], dtype=object),
            "day": pd.Series([date(2025, 1, 2), pd.NaT], dtype=object),
        }
    )
    found = plain_records(frame)
    assert found == [
        {
            "number": 1.5,
            "count": 1,
            "yes": True,
            "text": "a",
            "mixed": 2.5,
            "day": date(2025, 1, 2),
        },
        {"number": None, "count": 2, "yes": False, "text": None, "mixed": True, "day": None},
    ]
    kinds = [type(value) for value in found[0].values()]
    assert kinds == [float, int, bool, str, float, date]
    assert json.loads(json.dumps(found[1])) == found[1]


def test_a_frame_without_rows_has_no_records() -> None:
    assert plain_records(pd.DataFrame({"a": pd.Series(dtype=float)})) == []
