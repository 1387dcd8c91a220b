"""What a media mix may be fed with, and what to say when it may not."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_LEAST_PERIODS = 24


def checked(spend: pd.DataFrame, outcome: pd.Series, controls: pd.DataFrame | None) -> Floats:
    """Outcome (periods,) as numbers, once all three are fit to learn from; else ValueError."""
    if not isinstance(spend, pd.DataFrame):
        raise TypeError(f"spend must be a DataFrame of periods x channels, got {type(spend)!r}")
    if len(spend) < _LEAST_PERIODS:
        raise ValueError(
            f"{len(spend)} periods are too few to tell media from the rest; "
            f"at least {_LEAST_PERIODS} are needed"
        )
    if spend.shape[1] == 0 or spend.columns.has_duplicates:
        raise ValueError(f"spend needs channels of different names, got {list(spend.columns)}")
    if len(outcome) != len(spend):
        raise ValueError(f"outcome has {len(outcome)} periods, spend has {len(spend)}")
    if not spend.index.is_monotonic_increasing or spend.index.has_duplicates:
        raise ValueError("the periods of spend must be in order of time, each once")
    check_amounts(spend)
    if not (spend.to_numpy(np.float64) > 0).any():
        raise ValueError("no channel has any spend, so there is nothing to learn from")
    y = np.asarray(outcome, dtype=np.float64)
    if not np.isfinite(y).all():
        raise ValueError(f"outcome has {int((~np.isfinite(y)).sum())} missing or infinite values")
    if controls is not None:
        if len(controls) != len(spend):
            raise ValueError(f"controls have {len(controls)} rows, spend has {len(spend)}")
        empty = [str(name) for name in controls.columns if controls[name].isna().any()]
        if empty:
            raise ValueError(f"controls {empty} have missing values; fill or drop them")
    return y


def check_amounts(spend: pd.DataFrame) -> None:
    """Refuse missing, infinite or negative money, naming the channels."""
    values = spend.to_numpy(np.float64)
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        named = [
            str(name) for name, bad in zip(spend.columns, wrong.any(axis=0), strict=True) if bad
        ]
        raise ValueError(
            f"spend must be 0 or more in every period; channels {named} have negative, "
            "missing or infinite amounts"
        )
