"""The session process: how soon a job starts on a loaded model, and what a job costs besides measuring."""

import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from sqlalchemy import select

from bench.library import builtin_library
from bench.spec import JobSpec, StopRule
from bench.sweep import Block, Sweep, expand
from db.engine import Database
from db.jobs import Claimant
from db.schema import ensure
from db.settings import Settings
from db.tables import run
from db.workers import register_worker
from scheduler.queues import queues_for
from scheduler.submit import submit
from tests.performance.results import AtMost, Result
from tests.performance.world import MACHINE, World
from worker.facts import Probe
from worker.protocol import Finished, Locked, Order, Progress, Prompt
from worker.runner import Runner
from worker.supervise import SessionProcess, Stopped

GOAL_MILLISECONDS = 50.0

#: the phase that a session tells of right before its first call of `generate`
_FIRST_CALL = "warming up"
_JOB_SECONDS = 600.0


def second_job_rows(world: World) -> Iterator[Result]:
    """From the order that is written to the first call of `generate`, by the clock of the worker's main process."""
    first, second, quality = [], [], []
    for _ in range(world.sizes.sessions):
        home = world.new_home_with_model()
        started = time.perf_counter()
        session = _WatchedSession(world.probe, home=home, logs=home / "logs", lock_dir=world.lock_dir)
        first.append(session.milliseconds_to_first_call(_speed_order(world, 1), started))
        second.append(session.milliseconds_to_first_call(_speed_order(world, 2), time.perf_counter()))
        quality.append(session.milliseconds_to_first_call(_quality_order(world, 3), time.perf_counter(), stop=True))
        session.stop()
    for what, figures in (("speed", second), ("quality, all 132 items", quality)):
        yield Result(
            row="second-job",
            what=f"order to first generate on a loaded model: {what}",
            unit="ms",
            ours=tuple(figures),
            goal=AtMost(GOAL_MILLISECONDS),
            beside="the first job, with start and load",
            theirs=tuple(first),
        )


class _WatchedSession(SessionProcess):
    """A session that notes when its job's first call began, and how long the job waited for the device.

    That waiting is left out of every figure: others may measure on this machine meanwhile.
    """

    #: by `perf_counter`
    first_call: float | None = None
    waited_seconds = 0.0

    def milliseconds_to_first_call(self, order: Order, since: float, *, stop: bool = False) -> float:
        """Run a job, or stop it after its beginning; return how long after `since` its first call came."""
        self.first_call = None

        def check(progress: Progress | None) -> str | None:
            return "shutdown" if stop and self.first_call is not None else None

        outcome = self.measure(order, job_seconds=_JOB_SECONDS, check=check)
        assert isinstance(outcome, Finished | Stopped), outcome
        return (self._called() - since - self.waited_seconds) * 1000

    def _called(self) -> float:
        assert self.first_call is not None, "the session told of no first call"
        return self.first_call

    def _next(self, timeout_seconds: float) -> Any:
        event = super()._next(timeout_seconds)
        if isinstance(event, Locked):
            self.waited_seconds = event.waited_seconds
        elif isinstance(event, Progress) and event.phase == _FIRST_CALL and self.first_call is None:
            self.first_call = time.perf_counter()
        return event


def _speed_order(world: World, number: int) -> Order:
    tokens = world.sizes.tokens
    stop = StopRule(min_iterations=1, max_iterations=1)
    spec = JobSpec(model=world.model.name, workload="speed", prompt_tokens=tokens, new_tokens=2, stop=stop)
    return Order(job_id=number, attempt=1, spec=spec, model=world.model)


def _quality_order(world: World, number: int) -> Order:
    library = builtin_library()
    facts, strategy = library.workloads["facts"], library.strategies["few_shot"]
    spec = JobSpec(model=world.model.name, workload="facts", strategy="few_shot", max_new_tokens=1, batch_size=4)
    prompts = tuple(Prompt(item=item, messages=strategy.messages(facts, item.prompt)) for item in facts.items)
    return Order(job_id=number, attempt=1, spec=spec, model=world.model, score=facts.score, prompts=prompts)


def overhead_rows(world: World) -> Iterator[Result]:
    """A worker's runner, from the claim to the committed run, on a loaded model and SQLite."""
    quiet = {"quiet_wait_seconds": 0.0, "mark_disturbed": False}
    settings = Settings(home=world.new_home_with_model(), lock_dir=world.lock_dir, **quiet)
    database = Database(settings.database)
    ensure(database)
    submit(database, _jobs(world))
    runner = _runner(world.probe, settings, database)
    sessions: list[_WatchedSession] = []

    def start(*arguments: Any, **options: Any) -> _WatchedSession:
        sessions.append(_WatchedSession(*arguments, **options))
        return sessions[-1]

    try:
        with patch("worker.runner.SessionProcess", start):
            runner.run_one()
            walls = [_wall_seconds(runner, sessions[-1]) for _ in range(world.sizes.jobs)]
    finally:
        runner.close()
    with database.read() as connection:
        spans = connection.execute(select(run.c.finished_at - run.c.started_at).order_by(run.c.id)).scalars().all()
    database.dispose()
    measuring = spans[1:]
    yield Result(
        row="overhead",
        what="claim to committed run, less the measuring itself",
        unit="ms",
        ours=tuple((wall - span) * 1000 for wall, span in zip(walls, measuring, strict=True)),
        beside="the measuring",
        theirs=tuple(span * 1000 for span in measuring),
    )


def _runner(probe: Probe, settings: Settings, database: Database) -> Runner:
    return Runner(settings, database, registered(probe, database), machine_id=MACHINE, probe=probe)


def registered(probe: Probe, database: Database) -> Claimant:
    """Return a worker that the database knows of."""
    claimant = Claimant("bench", queues_for(probe.device, MACHINE, probe.memory_mib), probe.memory_mib)
    facts = {"machine_id": MACHINE, "device": probe.device, "device_name": probe.device_name, "pid": 1, "version": "1"}
    facts |= {"id": claimant.worker_id, "memory_mib": probe.memory_mib, "queues": claimant.queues, "batch_id": None}
    register_worker(database, facts, {"id": MACHINE})
    return claimant


def _wall_seconds(runner: Runner, session: _WatchedSession) -> float:
    started = time.perf_counter()
    said = runner.run_one()
    assert said.endswith("done"), said
    return time.perf_counter() - started - session.waited_seconds


def _jobs(world: World) -> Sweep:
    jobs = world.sizes.jobs + 1
    values = {
        "model": world.model.name,
        "workload": "speed",
        "prompt_tokens": [16 + number for number in range(jobs)],
        "new_tokens": max(2, world.sizes.tokens // 8),
        "stop": {"min_iterations": 5, "max_iterations": 5},
    }
    return expand([Block(values, str)], world.library, name="overhead")
