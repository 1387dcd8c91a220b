"""Imports without what a package loads beside itself only because it is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(name: str) -> Iterator[None]:
    """Within the block ``name`` counts as not installed, unless it is already loaded."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # what import itself notes as absent
    try:
        yield
    finally:
        del sys.modules[name]
