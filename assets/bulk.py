"""Bulk files of the API and the command line: one run answers one file."""

from contextlib import suppress

import dagster as dg

from assets.interrupts import INTERRUPTS, asked_to_end
from assets.workspace import WorkspaceResource
from warehouse.database import utc_now, writing
from warehouse.repositories import job_leases
from warehouse.repositories.job_leases import LostJobError


class BulkFile(dg.Config):
    """Which claimed job a run does the work of."""

    job_id: str
    attempt: int


@dg.op(description="Answer every row of a file, and keep each one's outcome.")
def answer_file(
    context: dg.OpExecutionContext, config: BulkFile, workspace: WorkspaceResource
) -> None:
    """A run that lost its job, to a later attempt or to whoever cancelled it, does nothing."""
    from ml.jobs.bulk import run_bulk  # Arrow, which the code location need not load

    try:
        ended = run_bulk(
            workspace.open(),
            config.job_id,
            config.attempt,
            context.run_id,
            lambda now: context.log.info(
                f"{now.rows_ok:,} rows answered, {now.rows_error:,} with an error"
            ),
        )
    except INTERRUPTS:
        # Where nobody asked for it, as when everything is shut down, another run goes on.
        if asked_to_end(context.instance, context.run_id):
            with suppress(LostJobError), writing(workspace.open().engine) as connection:
                said = "Its run was stopped in Dagster."
                job_leases.finish(
                    connection, config.job_id, config.attempt, "cancelled", utc_now(), said
                )
        raise
    except LostJobError as lost:
        context.log.warning(f"Nothing to do: {lost}.")
        return
    if ended.state == "failed":
        raise dg.Failure(str(ended.error), allow_retries=False)
    context.log.info(
        f"{ended.state}: {ended.rows_ok:,} rows answered, {ended.rows_error:,} with an error"
    )
