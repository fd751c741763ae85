"""How long the open batches will take, from the runs of their kind that the history holds."""

from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError
from sqlalchemy import Connection, literal, select

from bench.spec import JobSpec
from db.estimates import estimate_each
from db.status import BatchStatus, JobStatus
from db.tables import job
from db.workers import WorkerRow

#: jobs of a batch that its pace is taken from: reading all of a large one would take a second
_SAMPLE = 50
#: multiplies ids, so that a sample does not fall in step with the axes of a sweep
_SCATTER, _RANGE = 2_654_435_761, 2**32


def seconds_per_job(connection: Connection, batches: Iterable[BatchStatus]) -> dict[int, float]:
    """Return what an open job of each batch takes on average; a batch without past runs to go by is left out."""
    groups = {batch.id: _sample(connection, batch) for batch in batches if batch.open}
    estimates = estimate_each(connection, {batch_id: specs for batch_id, specs in groups.items() if specs})
    return {batch_id: each.seconds / each.known for batch_id, each in estimates.items() if each.known}


def _sample(connection: Connection, batch: BatchStatus) -> list[JobSpec]:
    query = select(job.c.spec).where(job.c.batch_id == batch.id, job.c.state.in_(("queued", "running")))
    if batch.open > _SAMPLE:
        query = query.where(job.c.id * literal(_SCATTER) % literal(_RANGE) < _RANGE * _SAMPLE // batch.open)
    specs = []
    for (spec,) in connection.execute(query.limit(2 * _SAMPLE)):
        try:
            specs.append(JobSpec.model_validate_json(spec))
        except ValidationError:  # a newer benchbeat wrote it
            continue
    return specs


def seconds_left(
    batches: Sequence[BatchStatus],
    per_job: Mapping[int, float],
    in_vain: Mapping[int, int],
    running: Sequence[JobStatus],
    workers: Sequence[WorkerRow],
    at: float,
) -> dict[int, float]:
    """Return the time until each open batch has ended, with the batches that go before it; unknown ones are left out.

    `per_job` is what a job takes, `in_vain` how many of its jobs no live worker can take: nobody works them off.
    """
    left: dict[int, float] = {}
    ahead = 0.0
    for batch in sorted((each for each in batches if each.open), key=lambda each: (-each.priority, each.id)):
        hands = sum(1 for worker in workers if worker.batch_id in (None, batch.id))
        to_do = batch.queued - in_vain.get(batch.id, 0)
        if not hands or batch.id not in per_job or not (to_do > 0 or batch.running):
            continue
        each = per_job[batch.id]
        begun = [at - job.started_at for job in running if job.batch_id == batch.id and job.started_at is not None]
        ahead += (max(0, to_do) * each + sum(max(0.0, each - seconds) for seconds in begun)) / hands
        left[batch.id] = ahead
    return left
