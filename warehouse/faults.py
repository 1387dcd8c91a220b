"""Named points at which a test may kill the process, to prove that the next run goes on."""

from __future__ import annotations

import os
import signal

VARIABLE = "SEVENFOLD_FAULT"
POINTS = (
    "lake-committed",  # the lake holds the new versions, the warehouse does not know them
    "verdict",  # the data version is written, its verdicts are not; one transaction
    "artifact-files",  # what was learned lies in a draft folder
    "artifact-complete",  # the artifact is in place, its row is not
    "promotion-open",  # a version is promoted, in an open transaction
    "score-write",  # decisions are made, nothing is written
    "upload-kept",  # a file lies in the store, its job is not made
    "upload-queued",  # its job is made, in an open transaction
    "job-claimed",  # a job is claimed, no run was asked for
    "schedules-fired",  # schedules made their jobs, the tick has not ended
    "job-part",  # a chunk's outcomes lie in the store, the warehouse does not count them
    "bulk-half",  # half of a partition's rows are written, in an open transaction
)


def reach(point: str) -> None:
    """Do nothing, unless ``SEVENFOLD_FAULT`` names this point: then this process dies at once.

    SIGKILL, since no handler, ``finally`` or transaction may get the chance to tidy up.
    """
    if point not in POINTS:
        raise ValueError(f"no fault point is named {point!r}; there are {POINTS}")
    if os.environ.get(VARIABLE) == point:
        os.kill(os.getpid(), signal.SIGKILL)
