"""Values as JSON text, fast and the same in both databases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

_encoder = msgspec.json.Encoder(enc_hook=lambda value: _plain(value), decimal_format="number")


def json_texts(values: Iterable[Any]) -> list[str | None]:
    """Each value as JSON; None stays None, and text is taken as JSON already.

    NaN and infinity become null. Raises TypeError for what JSON cannot hold.
    """
    encode = _encoder.encode
    return [
        value
        if value is None or isinstance(value, str)
        else None
        if isinstance(value, float) and value != value
        else encode(value).decode()
        for value in values
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"JSON cannot hold {type(value).__name__}")
