"""`status`, `cancel`, `retry` and `rerun`: what the jobs do, and changing that."""

import click

from bench.garbage import uncollected
from cli.context import State
from cli.options import ID, output_option

_JOBS = click.argument("job", type=ID, nargs=-1)
_BATCH = click.option("--batch", type=ID, help="Every job of a batch.")


@click.command(short_help="Show batches, jobs, workers and queues.")
@click.argument("job", type=ID, required=False)
@click.option("--batch", type=ID, help="The jobs of one batch.")
@output_option
@click.pass_obj
@uncollected()
def status(state: State, job: int | None, batch: int | None, output: str) -> None:
    """Show what goes on; with JOB the life of one job, with --batch the jobs of one batch.

    \b
    Examples:
      benchbeat status
      benchbeat status 17
      benchbeat status --batch 3 -o json
    """
    from report.status import print_batch, print_job, print_overview

    if job is not None:
        print_job(state.database, job, output)
    elif batch is not None:
        print_batch(state.database, batch, output)
    else:
        print_overview(state.database, output)


@click.command(short_help="Cancel jobs or a batch.")
@_JOBS
@_BATCH
@output_option
@click.pass_obj
def cancel(state: State, job: tuple[int, ...], batch: int | None, output: str) -> None:
    """Cancel each JOB, or with --batch every job of a batch that has not ended. What was measured stays.

    \b
    Examples:
      benchbeat cancel 17 18
      benchbeat cancel --batch 3
    """
    from db.jobs import cancel_jobs
    from db.status import batch_status, job_status, jobs_of_batch
    from report.printing import print_rows

    _need_one(job, batch)
    with state.database.write() as connection:
        for job_id in job:
            job_status(connection, job_id)
        ids = list(job)
        if batch is not None:
            batch_status(connection, batch)
            ids += [each.id for each in jobs_of_batch(connection, batch, ("queued", "running"))]
        queued, running = cancel_jobs(connection, ids)
    if output != "table":
        print_rows(["cancelled", "stopping"], [[queued, running]], output)
    elif not queued and not running:
        click.echo("nothing was left to cancel")
    else:
        click.echo(f"{queued} cancelled" + (f", {running} running being stopped" if running else ""))


@click.command(short_help="Measure failed or cancelled jobs once more.")
@_JOBS
@_BATCH
@output_option
@click.pass_obj
def retry(state: State, job: tuple[int, ...], batch: int | None, output: str) -> None:
    """Queue each JOB that has ended once more, or with --batch every failed or cancelled job of a batch.

    The old job stays what it was; the new one refers to it.

    \b
    Examples:
      benchbeat retry 17
      benchbeat retry --batch 3
    """
    from cli.submit import ring
    from db.repeat import failed_jobs, repeat_jobs
    from db.status import batch_status
    from report.jobs import ranges
    from report.printing import print_rows

    _need_one(job, batch)
    with state.database.write() as connection:
        ids = list(job)
        if batch is not None:
            batch_status(connection, batch)
            ids += failed_jobs(connection, batch)
        ids = list(dict.fromkeys(ids))  # one named by itself and with its batch is repeated once
        new = repeat_jobs(connection, ids, "retry asked for")
    if output != "table":
        print_rows(["job", "repeat_of"], list(zip(new, ids, strict=True)), output)
    elif new:
        click.echo(f"queued {len(new)} {'job' if len(new) == 1 else 'jobs'} again: {ranges(new)}")
    else:
        click.echo("no job of the batch failed or was cancelled")
    if new:
        ring(state)


@click.command(short_help="Measure jobs or a batch once more, in a new batch.")
@_JOBS
@_BATCH
@click.option("--anywhere", is_flag=True, help="Not only on the machine that measured it.")
@click.option("--wait", is_flag=True, help="Show progress until the new batch has ended.")
@output_option
@click.pass_obj
def rerun(state: State, job: tuple[int, ...], batch: int | None, anywhere: bool, wait: bool, output: str) -> int:
    """Queue each JOB, or with --batch a whole batch, once more in a new batch, whatever became of it.

    What was asked is asked again to the letter, also where the sweep file or a workload has changed since.

    \b
    Examples:
      benchbeat rerun 17
      benchbeat rerun --batch 3 --wait
    """
    from cli.submit import print_batch_facts, ring
    from db.repeat import rerun as rerun_jobs
    from db.status import batch_status

    _need_one(job, batch)
    with state.database.write() as connection:
        new = rerun_jobs(connection, list(job), batch, anywhere)
        jobs = batch_status(connection, new).jobs
    if output == "table":
        click.echo(f"batch {new}: {jobs} {'job' if jobs == 1 else 'jobs'} queued again")
    else:
        print_batch_facts(state.database, new, output)
    ring(state)
    if not wait:
        return 0
    from cli.follow import conclude, follow

    return conclude(follow(state.database, new, quiet=state.quiet))


def _need_one(job: tuple[int, ...], batch: int | None) -> None:
    if not job and batch is None:
        raise click.UsageError("give job ids, or --batch with a batch's id")
