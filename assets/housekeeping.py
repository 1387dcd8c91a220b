"""What is put in order once a day."""

import dagster as dg

from assets.workspace import WorkspaceResource


@dg.op(description="Remove old jobs, files of those that ended days ago, and what belongs to none.")
def remove_old_files(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> None:
    """The jobs are marked as expired; ``SEVENFOLD_JOB_DAYS`` says how long files are kept."""
    from ml.jobs.expiry import expire_files, forget_jobs

    gone, forgotten = expire_files(workspace.open()), forget_jobs(workspace.open())
    context.log.info(
        f"{gone.jobs:,} jobs expired; {gone.leftovers:,} files or folders belonged to no job;"
        f" {forgotten:,} jobs were as old as the retention and are forgotten"
    )
