"""The claim: who gets which job, in which order, and nobody the same one twice."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, literal, text

from db.claims import Claimant, Claimed, claim
from db.engine import Database, now
from db.tables import attempt, job
from tests.db.builders import (
    QUALITY_SPEC,
    SPEED_SPEC,
    WORKLOAD_HASH,
    add_jobs,
    add_worker,
    attempt_rows,
    change,
    claimed_by,
    job_row,
    let_lease_run_out,
    new_job,
    states,
)

WORKERS, JOBS = 8, 200


def drained(database: Database, claimant: Claimant, **options: Any) -> list[int]:
    """Claim until there is nothing, and return the ids in order."""
    ids = []
    while (taken := claim(database, claimant, lease_seconds=60, **options)) is not None:
        ids.append(taken.id)
    return ids


def make_old(database: Database, job_id: int, seconds: float) -> None:
    """Set the time at which a job was queued."""
    change(database, job_id, queued_at=now() - literal(seconds))


def test_the_claim_gives_the_job_and_notes_who_holds_it(database: Database) -> None:
    (job_id,) = add_jobs(database, [new_job(SPEED_SPEC)])
    worker = add_worker(database)
    assert claim(database, worker, lease_seconds=60) == Claimed(
        id=job_id,
        batch_id=1,
        attempt=1,
        failures=0,
        spec=SPEED_SPEC,
        model_hash="model-hash",
        workload_hash="speed-hash",
        strategy_hash=None,
        session_key="tiny-float32",
        memory_mib=1000,
    )
    row = job_row(database, job_id)
    assert (row.state, row.attempt, row.worker_id) == ("running", 1, "worker-a")
    assert row.lease_until - row.started_at == pytest.approx(60, abs=1)
    (began,) = attempt_rows(database, job_id)
    assert (began.attempt, began.worker_id, began.outcome, began.finished_at) == (1, "worker-a", None, None)
    assert began.started_at == pytest.approx(row.started_at, abs=1)


def test_a_spec_comes_back_as_it_was_submitted(database: Database) -> None:
    spec = QUALITY_SPEC.model_copy(update={"temperature": 0.1, "top_p": 0.95, "seed": 7, "samples": 3})
    add_jobs(database, [new_job(spec)])
    taken = claimed_by(database, add_worker(database))
    assert (taken.spec, taken.workload_hash) == (spec, WORKLOAD_HASH)


def test_nothing_is_queued(database: Database) -> None:
    assert claim(database, add_worker(database), lease_seconds=60) is None


def test_a_worker_without_queues_gets_nothing(database: Database) -> None:
    add_jobs(database)
    assert claim(database, replace(add_worker(database), queues=()), lease_seconds=60) is None


def test_a_held_job_is_refused_to_everyone_its_own_worker_among_them(database: Database) -> None:
    (job_id,) = add_jobs(database)
    worker, other = add_worker(database), add_worker(database, "worker-b")
    assert claimed_by(database, worker).id == job_id
    assert claim(database, worker, lease_seconds=60) is None
    assert claim(database, other, lease_seconds=60) is None
    # an expired lease is for the reconciler to take back, so that the attempt is counted
    let_lease_run_out(database, job_id)
    assert claim(database, other, lease_seconds=60) is None


@pytest.mark.parametrize("state", ["running", "done", "failed", "cancelled"])
def test_only_queued_jobs_are_claimed(database: Database, state: str) -> None:
    (job_id,) = add_jobs(database)
    change(database, job_id, state=state)
    assert drained(database, add_worker(database)) == []


def test_the_highest_priority_goes_first_then_the_oldest(database: Database) -> None:
    low = add_jobs(database, 2, priority=-1)
    high = add_jobs(database, 2, priority=5)
    middle = add_jobs(database, 2, priority=0)
    assert drained(database, add_worker(database)) == high + middle + low


def test_priority_counts_across_queues(database: Database) -> None:
    low = add_jobs(database, [new_job(queue="cpu.4"), new_job(queue="any.4")])
    high = add_jobs(database, [new_job(queue="any.4"), new_job(queue="cpu.4")], priority=1)
    assert drained(database, add_worker(database)) == high + low


def test_a_loaded_model_s_jobs_go_first_within_a_priority(database: Database) -> None:
    other, loaded = new_job(session_key="other"), new_job(session_key="loaded", queue="cpu.4")
    jobs = add_jobs(database, [other, loaded, other, loaded])
    urgent = add_jobs(database, [other], priority=1)
    order = drained(database, add_worker(database), session_key="loaded")
    assert order == [*urgent, jobs[1], jobs[3], jobs[0], jobs[2]]


def test_a_loaded_model_without_jobs_keeps_nobody_waiting(database: Database) -> None:
    jobs = add_jobs(database, 2)
    assert drained(database, add_worker(database), session_key="nobody's") == jobs


def test_a_job_that_needs_more_memory_is_passed_over(database: Database) -> None:
    big, fits, exact = add_jobs(database, [new_job(memory_mib=mib) for mib in (8193, 100, 8192)])
    worker = add_worker(database, memory_mib=8192)
    assert drained(database, worker) == [fits, exact]
    assert job_row(database, big).state == "queued"


def test_memory_limits_affinity_and_the_overdue_too(database: Database) -> None:
    big, small = add_jobs(database, [new_job(memory_mib=9000), new_job(session_key="other")])
    make_old(database, big, 100)
    worker = add_worker(database)
    assert drained(database, worker, session_key="tiny-float32", max_wait_seconds=50) == [small]


def test_other_queues_are_left_alone(database: Database) -> None:
    queues = ["cuda.4", "any.4", "machine.machine-b", "machine.machine-a", "any.40", "any"]
    jobs = dict(zip(queues, add_jobs(database, [new_job(queue=queue) for queue in queues]), strict=True))
    worker = add_worker(database, queues=("any.4", "machine.machine-a", "machine.machine-a.cpu"))
    assert drained(database, worker) == [jobs["any.4"], jobs["machine.machine-a"]]


def test_a_queue_s_name_is_only_a_name(database: Database) -> None:
    name = 'it\'s {"quoted"}, with, commas.4'
    jobs = add_jobs(database, [new_job(queue=name)])
    assert drained(database, add_worker(database, queues=(name,))) == jobs


def test_a_job_that_waited_too_long_goes_before_everything(database: Database) -> None:
    old, young, older, oldest = add_jobs(database, [new_job(), new_job(), new_job(), new_job(queue="cpu.4")])
    for job_id, seconds in ((old, 100), (young, 10), (older, 200), (oldest, 300)):
        make_old(database, job_id, seconds)
    (urgent,) = add_jobs(database, [new_job(session_key="loaded")], priority=9)
    order = drained(database, add_worker(database), session_key="loaded", max_wait_seconds=50)
    assert order == [oldest, older, old, urgent, young]


def test_a_long_wait_counts_only_where_asked(database: Database) -> None:
    (old,) = add_jobs(database)
    make_old(database, old, 1e6)
    (urgent,) = add_jobs(database, priority=1)
    assert drained(database, add_worker(database)) == [urgent, old]


def test_a_worker_of_one_batch_takes_its_own_only(database: Database) -> None:
    backlog = add_jobs(database, 2, priority=9)
    own = add_jobs(
        database, [new_job(session_key="other"), new_job(), new_job(memory_mib=9000), new_job(queue="mps.4")]
    )
    for job_id in backlog:
        make_old(database, job_id, 100)
    worker = add_worker(database, batch_id=job_row(database, own[0]).batch_id)
    order = drained(database, worker, session_key="tiny-float32", max_wait_seconds=50)
    assert order == [own[1], own[0]]
    assert states(database, backlog) == ["queued", "queued"]


def test_nothing_in_a_batch_is_overdue(database: Database) -> None:
    own = add_jobs(database, 3)
    make_old(database, own[2], 100)
    worker = add_worker(database, batch_id=job_row(database, own[0]).batch_id)
    assert drained(database, worker, max_wait_seconds=50) == own


def test_a_job_of_a_newer_benchbeat_fails_in_words_and_stops_nobody(database: Database) -> None:
    newer, next_one = add_jobs(database, 2)
    change(database, newer, spec='{"model":"tiny","workload":"facts","draft_model":"tinier"}')
    assert claimed_by(database, add_worker(database)).id == next_one
    row = job_row(database, newer)
    assert (row.state, row.failures, row.lease_until) == ("failed", 1, None)
    assert row.finished_at is not None
    assert "can't read its specification (draft_model: unknown key" in row.error
    (attempted,) = attempt_rows(database, newer)
    assert (attempted.outcome, attempted.error) == ("failed", row.error)


def test_a_second_attempt_carries_the_failures_before_it(database: Database) -> None:
    (job_id,) = add_jobs(database)
    change(database, job_id, attempt=2, failures=1, error="The session ended", progress="{}")
    taken = claimed_by(database, add_worker(database))
    assert (taken.attempt, taken.failures) == (3, 1)
    row = job_row(database, job_id)
    assert row.error is row.progress is None


def test_workers_that_claim_at_once_get_each_job_once(database: Database) -> None:
    add_jobs(database, [new_job(session_key=f"model-{n % 3}", queue=("any.4", "cpu.4")[n % 2]) for n in range(JOBS)])
    workers = [add_worker(database, f"worker-{n}") for n in range(WORKERS)]
    together = Barrier(WORKERS)

    def work(worker: Claimant) -> list[int]:
        own = Database(database.url)
        together.wait()
        try:
            return drained(own, worker, session_key="model-1", max_wait_seconds=0.01)
        finally:
            own.dispose()

    with ThreadPoolExecutor(WORKERS) as pool:
        taken = Counter(job_id for ids in pool.map(work, workers) for job_id in ids)
    assert max(taken.values()) == 1, "a job was claimed twice"
    assert len(taken) == JOBS, "a job was missed"
    with database.read() as connection:
        rows = connection.execute(text("SELECT count(*), count(DISTINCT job_id), max(attempt) FROM attempt")).one()
    assert tuple(rows) == (JOBS, JOBS, 1)


class Queued(NamedTuple):
    """A job as far as the order of claiming looks at it."""

    queue: str
    priority: int
    session_key: str
    memory_mib: int
    waited: bool


QUEUED = st.builds(
    Queued,
    st.sampled_from(["any.4", "cpu.4", "mps.4"]),
    st.integers(-1, 1),
    st.sampled_from(["loaded", "other"]),
    st.sampled_from([1000, 9000]),
    st.booleans(),
)


def expected_order(jobs: Sequence[Queued], *, affinity: bool, overdue: bool) -> list[int]:
    """Return the places in `jobs` in the order in which a worker of 8 GiB on any.4 and cpu.4 must claim them."""
    left = {n: each for n, each in enumerate(jobs) if each.queue != "mps.4" and each.memory_mib <= 8192}
    order = []
    while left:
        waited = [n for n in left if left[n].waited] if overdue else []
        top = max(each.priority for each in left.values())
        best = [n for n in left if left[n].priority == top]
        loaded = [n for n in best if left[n].session_key == "loaded"] if affinity else []
        order.append(min(waited or loaded or best))
        del left[order[-1]]
    return order


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jobs=st.lists(QUEUED, min_size=1, max_size=8), affinity=st.booleans(), overdue=st.booleans())
def test_the_order_of_claims_is_the_one_promised(
    database: Database, jobs: list[Queued], affinity: bool, overdue: bool
) -> None:
    with database.write() as connection:
        connection.execute(delete(attempt))
        connection.execute(delete(job))
    if not database_has_worker(database):
        add_worker(database)
    ids = add_jobs(
        database,
        [new_job(queue=each.queue, session_key=each.session_key, memory_mib=each.memory_mib) for each in jobs],
    )
    for job_id, each in zip(ids, jobs, strict=True):
        # the overdue go by the time at which they were queued, which grows with the id here
        queued_at = now() - literal(1000.0) + literal(job_id / 1e6) if each.waited else now()
        change(database, job_id, priority=each.priority, queued_at=queued_at)
    order = drained(
        database,
        Claimant("worker-a", ("any.4", "cpu.4"), 8192),
        session_key="loaded" if affinity else None,
        max_wait_seconds=500 if overdue else None,
    )
    assert order == [ids[n] for n in expected_order(jobs, affinity=affinity, overdue=overdue)]


def database_has_worker(database: Database) -> bool:
    """Whether an example before this one has registered the worker."""
    with database.read() as connection:
        return bool(connection.execute(text("SELECT count(*) FROM worker")).scalar_one())
