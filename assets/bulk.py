"""Bulk files of the API and the command line: one run answers one file."""

import dagster as dg

from assets.workspace import WorkspaceResource
from warehouse.repositories.jobs import LostJobError


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
    except LostJobError as lost:
        context.log.warning(f"Nothing to do: {lost}.")
        return
    if ended.state == "failed":
        raise dg.Failure(str(ended.error), allow_retries=False)
    context.log.info(
        f"{ended.state}: {ended.rows_ok:,} rows answered, {ended.rows_error:,} with an error"
    )
