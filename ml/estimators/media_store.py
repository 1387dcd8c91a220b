"""The numbers of a media mix at rest: spend by period and posterior draws, as one npz file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ml.estimators.media_posterior import Draws


def save_arrays(path: Path, history: pd.DataFrame, draws: Draws) -> None:
    """Write spend (periods x channels) with its index, and the draws."""
    index = history.index
    if isinstance(index, pd.DatetimeIndex):
        place = index.to_numpy().astype("datetime64[ns]").astype(np.int64)
    else:
        place = np.asarray(index)
    np.savez(
        path,
        history=history.to_numpy(),
        index=place,
        **{name: getattr(draws, name) for name in Draws.__dataclass_fields__},
    )


def load_arrays(path: Path, channels: list[str], dated: bool) -> tuple[pd.DataFrame, Draws]:
    """What ``save_arrays`` wrote; ``dated``: whether periods are dates."""
    with np.load(path, allow_pickle=False) as arrays:
        index: pd.Index = pd.Index(arrays["index"])
        if dated:
            index = pd.DatetimeIndex(arrays["index"].astype("datetime64[ns]"))
        history = pd.DataFrame(arrays["history"], index=index, columns=channels)
        draws = Draws(**{name: arrays[name] for name in Draws.__dataclass_fields__})
    return history, draws
