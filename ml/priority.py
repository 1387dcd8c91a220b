"""Who goes first on a machine that all share: a call, then what helps to answer it, then runs."""

from __future__ import annotations

import os

HELPER = 5
"""Niceness of a process that fits or writes the answer to a call, beside the server."""
RUN = 10
"""Niceness of a run, for which no caller waits."""


def step_aside(niceness: int) -> None:
    """Lower this process's priority to that POSIX niceness (0 to 19), as what it starts inherits.

    It costs nothing where no other process wants the processor. Call it before threads are
    started, since Linux keeps a niceness for each. One that is nicer already stays so.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) < niceness:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
