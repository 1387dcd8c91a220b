"""How many threads a numeric library may use here: one place to pin it."""

from __future__ import annotations

import os


def num_threads() -> int:
    """``SEVENFOLD_THREADS``, else ``OMP_NUM_THREADS``, else 2."""
    for name in ("SEVENFOLD_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name)
        if value:
            return int(value)
    return 2
