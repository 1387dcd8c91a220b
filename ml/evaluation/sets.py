"""Reading of the open data sets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def read_csv(data: Path, name: str) -> pd.DataFrame:
    """The file ``name`` below ``data``, the folder of all sets; FileNotFoundError names it."""
    path = Path(data) / name
    if not path.is_file():
        raise FileNotFoundError(f"the open data set {name} is not in {data}")
    return pd.read_csv(path)
