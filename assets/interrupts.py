"""Why a run was interrupted: somebody asked for its end, or everything is being shut down."""

from __future__ import annotations

import dagster as dg

INTERRUPTS = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)
"""As what an interrupt comes out of a step, by what the step was at."""
STOPPED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def asked_to_end(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether somebody terminated the run, in the UI, also by force, or by cancelling its job."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status in STOPPED
