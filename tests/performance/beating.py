"""The heartbeat: a run that is measured while a worker keeps its lease and stores its progress, beside one without."""

import time
from collections.abc import Iterator

import psutil

from bench.spec import JobSpec, StopRule
from bench.sweep import Block, expand
from db.claims import Claimed, claim
from db.engine import Database
from db.schema import ensure
from db.settings import Settings
from scheduler.submit import submit
from tests.performance.results import NotSlower, RatioAtMost, Result, alternate
from tests.performance.sessions import registered
from tests.performance.world import World
from worker.heartbeat import Heartbeat
from worker.protocol import Finished, Order
from worker.supervise import Check, SessionProcess

_JOB_SECONDS = 600.0
#: the default
_LEASE_SECONDS = 30.0
_ITERATIONS = 4


def heartbeat_rows(world: World) -> Iterator[Result]:
    """CPU time of session and worker together, and the reported latency, with and without a heart that beats."""
    home = world.new_home_with_model()
    database = Database(Settings(home=home).database)
    ensure(database)
    job = _claimed(world, database)
    session = SessionProcess(world.probe, home=home, logs=home / "logs", lock_dir=world.lock_dir)
    numbers = iter(range(1, 1_000_000))

    def measured(check: Check) -> tuple[float, float]:
        order = _order(world, next(numbers))
        before = _cpu_seconds(session)
        outcome = session.measure(order, job_seconds=_JOB_SECONDS, check=check)
        assert isinstance(outcome, Finished), outcome
        latency = outcome.measurement.figures.latency_seconds
        assert latency is not None
        return (_cpu_seconds(session) - before) * 1000, latency * 1000

    def beating() -> tuple[float, float]:
        with Heartbeat(database, job, _LEASE_SECONDS) as heartbeat:
            return measured(heartbeat.look)

    try:
        pairs = alternate(beating, lambda: measured(lambda progress: None), world.sizes.heartbeats)
    finally:
        session.stop()
        database.dispose()
    ours, theirs = zip(*pairs, strict=True)
    figures = (("CPU time of a job, worker and session", RatioAtMost(1.01)), ("its latency", NotSlower()))
    for place, (what, goal) in enumerate(figures):
        yield Result(
            row="heartbeat",
            what=what,
            unit="ms",
            ours=tuple(reading[place] for reading in ours),
            goal=goal,
            beside="the same without heartbeat",
            theirs=tuple(reading[place] for reading in theirs),
        )


def _claimed(world: World, database: Database) -> Claimed:
    """Return a job that stays claimed, for the heartbeat to write about."""
    values = {"model": world.model.name, "workload": "speed", "prompt_tokens": 16, "new_tokens": 2}
    submit(database, expand([Block(values, str)], world.library, name="heartbeat"))
    job = claim(database, registered(world.probe, database), lease_seconds=_LEASE_SECONDS)
    assert job is not None
    return job


def _order(world: World, number: int) -> Order:
    tokens = world.sizes.tokens
    stop = StopRule(min_iterations=_ITERATIONS, max_iterations=_ITERATIONS)
    spec = JobSpec(model=world.model.name, workload="speed", prompt_tokens=tokens, new_tokens=tokens, stop=stop)
    return Order(job_id=number, attempt=1, spec=spec, model=world.model)


def _cpu_seconds(session: SessionProcess) -> float:
    """Return the processor time of the session and of this process, which does what the worker's does."""
    times = psutil.Process(session.pid).cpu_times()
    return float(times.user + times.system) + time.process_time()
