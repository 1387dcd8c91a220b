"""Named points at which a test may kill the process, to prove that the next run goes on."""

from __future__ import annotations

import os
import signal

VARIABLE = "SEVENFOLD_FAULT"


def reach(point: str) -> None:
    """Do nothing, unless ``SEVENFOLD_FAULT`` names this point: then this process dies at once.

    SIGKILL, since no handler, ``finally`` or transaction may get the chance to tidy up.
    """
    if os.environ.get(VARIABLE) == point:
        os.kill(os.getpid(), signal.SIGKILL)
