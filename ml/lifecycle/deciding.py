"""A day's decisions by a stored version, or in words why its columns are not there any more."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd

from ml.estimators.tabular import ColumnMismatchError
from ml.methods.method import Frames, Method
from ml.refusals import OtherColumnsError


def decide(
    method: Method, fitted: Any, inputs: Frames, day: date, reasons: str, version: str
) -> pd.DataFrame:
    """``method.decide``; OtherColumnsError where ``version`` learned from other columns."""
    try:
        return method.decide(fitted, inputs, day, reasons)
    except ColumnMismatchError as error:
        raise OtherColumnsError(
            f"Version {version} and today's code or data differ: {error}. Train"
            f" {method.spec.title.lower()} again (`sevenfold run --train --models"
            f" {method.spec.route}`), or use the code and the source that it learned from."
        ) from error
