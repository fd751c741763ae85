"""One job from claim to finish."""

import logging
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event as Flag
from threading import RLock
from typing import Any, Literal

from bench.causes import first_line
from bench.disturbances import disturbances
from bench.errors import BenchbeatError, InputError, UnavailableError
from bench.spec import describe
from bench.surroundings import Surroundings
from db.engine import Database
from db.jobs import (
    Claimant,
    Claimed,
    claim,
    end_cancelled,
    fail_job,
    requeue_elsewhere,
    return_job,
)
from db.runs import store_measurement
from db.settings import Settings
from scheduler.logs import log_context, redactor
from scheduler.queues import queue_of
from worker.awake import Awake
from worker.facts import Probe
from worker.gate import Gate, Watch
from worker.heartbeat import Heartbeat
from worker.media import MediaFiles
from worker.orders import OrderMaker
from worker.protocol import Failed, Finished, Order
from worker.readings import readings_of_this_machine
from worker.several import SeveralProcesses
from worker.spool import Spool, Spooled
from worker.supervise import Crashed, Outcome, SessionProcess, Stopped
from worker.traces import mark
from worker.witness import Witness

log = logging.getLogger("benchbeat.worker")

#: every so many claims, a job that waited too long goes first
_OVERDUE_EVERY = 4


@dataclass
class _Turn:
    """Which job may come next: counts what affinity and overdue jobs are due."""

    claims: int = 0
    streak: int = 0
    last_key: str | None = None

    def session_key(self, max_streak: int) -> str | None:
        if self.streak >= max_streak:
            self.streak = 0
            return None
        return self.last_key

    def taken(self, key: str) -> None:
        self.claims += 1
        self.streak = self.streak + 1 if key == self.last_key else 0
        self.last_key = key


class Runner:
    """Claims jobs and runs them, one at a time, on one device."""

    def __init__(
        self, settings: Settings, database: Database, claimant: Claimant, *, machine_id: str, probe: Probe
    ) -> None:
        self.settings = settings
        self.database = database
        self.claimant = claimant
        self.machine_id = machine_id
        self.probe = probe
        self.spool = Spool(settings.spool)
        #: the job that runs, for the worker's row
        self.current: Claimed | None = None
        media = MediaFiles(database, home=settings.home, data_dir=settings.media_root)
        self._orders = OrderMaker(database, media)
        self._awake = Awake()
        self._witness = Witness(readings_of_this_machine(probe), settings.limits)
        wait = settings.quiet_wait_seconds
        self._gate = Gate(self._witness.noise, wait) if wait > 0 else None
        self._redact = redactor(settings)
        self._session: SessionProcess | SeveralProcesses | None = None
        self._session_key: str | None = None
        self._turn = _Turn()
        self._stopping = Flag()
        self._one_at_a_time = RLock()
        self.idle_since = time.monotonic()

    @property
    def loaded(self) -> str | None:
        """Session key of the model that is loaded."""
        return self._session_key if self._session is not None and self._session.alive else None

    def run_one(self) -> str:
        """Claim a job and run it to its end. Returns what was done, in words."""
        with self._one_at_a_time:
            if self._stopping.is_set():
                return "stopping"
            try:
                self.replay_spool()
                job = self._claim()
            except UnavailableError as error:
                log.warning("%s", error)
                return "no database"
            if job is None:
                return "nothing to run"
            self.current = job
            try:
                at_work = log_context(batch=job.batch_id, job=job.id, attempt=job.attempt)
                with at_work, self._awake.kept(), self._witness.watching():
                    return self._run(job)
            finally:
                self.current = None
                self.idle_since = time.monotonic()

    def stop(self, *, now: bool = False) -> None:
        """Give the running job back to the queue and take no other; `now` leaves its session no time to end."""
        self._stopping.set()
        session = self._session
        if now and session is not None:
            session.kill()

    def close(self) -> None:
        """End the session."""
        with self._one_at_a_time:
            self._drop_session()
        self._witness.close()
        self._awake.close()

    def release_idle(self, idle_seconds: float) -> None:
        """End a session that had nothing to do for so long: it holds the device's memory. The machine may sleep."""
        self._awake.release_idle()
        if time.monotonic() - self.idle_since < idle_seconds or not self._one_at_a_time.acquire(blocking=False):
            return
        try:
            self._drop_session()
        finally:
            self._one_at_a_time.release()

    def store_waiting(self) -> None:
        """Store what waits in the spool, unless a job runs: the next one begins with that."""
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self.replay_spool()
            finally:
                self._one_at_a_time.release()

    def replay_spool(self) -> None:
        """Store the results that were measured but not stored. Raises UnavailableError where the database is away."""
        with self._one_at_a_time:
            for path, spooled in self.spool.waiting():
                if spooled.database == self.database.safe_url:
                    log.info("%s", self._store(spooled, path))

    def _claim(self) -> Claimed | None:
        overdue = self._turn.claims % _OVERDUE_EVERY == _OVERDUE_EVERY - 1
        job = claim(
            self.database,
            self.claimant,
            lease_seconds=self.settings.lease_seconds,
            session_key=self._turn.session_key(self.settings.max_streak),
            max_wait_seconds=self.settings.max_wait_seconds if overdue else None,
        )
        if job is not None:
            self._turn.taken(job.session_key)
        return job

    def _run(self, job: Claimed) -> str:
        log.info("job %d (attempt %d): %s", job.id, job.attempt, describe(job.spec))
        started = time.monotonic()
        watch = Watch(self._witness, self._gate)
        try:
            session = self._session_for(job)
            order = self._order(job)
            with Heartbeat(self.database, job, self.settings.lease_seconds) as heartbeat:
                outcome: Outcome = session.measure(
                    order,
                    job_seconds=self._limit(job),
                    check=lambda progress: "shutdown" if self._stopping.is_set() else heartbeat.look(progress),
                    watch=watch,
                )
            if isinstance(outcome, Finished):
                outcome = self._judged(order, outcome, watch.seen)
        except Exception as error:
            # Whatever kept it from starting is no reason to strand the job until its lease ends.
            log.debug("job %d could not be started", job.id, exc_info=True)
            said = str(error) if isinstance(error, BenchbeatError) else f"{type(error).__name__}: {first_line(error)}"
            kind: Literal["input", "error"] = "input" if isinstance(error, InputError) else "error"
            outcome = Failed(job_id=job.id, attempt=job.attempt, kind=kind, message=said)
        if isinstance(outcome, Crashed) and self._stopping.is_set():
            outcome = Stopped("shutdown")  # we killed it
        try:
            said = self._settle(job, outcome)
        except UnavailableError as error:
            said = f"job {job.id}: {error}"
            log.warning("%s", said)
        if job.spec.is_isolated or not isinstance(outcome, Finished):
            self._drop_session()
        log.info("%s (%.1f s)", said, time.monotonic() - started)
        return said

    def _order(self, job: Claimed) -> Order:
        order = self._orders.order(job)
        return order if self._gate is None else order.model_copy(update={"gated": True})

    def _judged(self, order: Order, finished: Finished, seen: Sequence[Surroundings]) -> Finished:
        """Return what was measured with what was seen meanwhile, marked where that disturbed it.

        Of several processes the most disturbed one tells of the surroundings; the reasons are those of all.
        """
        limits = self.settings.limits
        found = [disturbances(each, limits) if self.settings.mark_disturbed else [] for each in seen]
        reasons = list(dict.fromkeys(reason for each in found for reason in each))
        worst = max(range(len(seen)), key=lambda n: len(found[n]), default=None)
        # Only speed is disturbed: answers are as good as ever. Of pictures and speech nothing else measures the speed.
        asks_for_speed = order.spec.is_speed or order.model.task in ("vision", "speech")
        marks = tuple(reason.text for reason in reasons)
        if order.spec.profile:
            marks = (mark(self.settings.home, order.job_id, order.attempt), *marks)
        update: dict[str, Any] = {
            "surroundings": None if worst is None else seen[worst],
            "contamination": marks,
            # A profile is no better on a quiet machine.
            "worth_repeating": asks_for_speed and not order.spec.profile and any(reason.passes for reason in reasons),
        }
        if reasons:
            log.info("job %d was disturbed: %s", order.job_id, "; ".join(update["contamination"]))
        return finished.model_copy(update={"measurement": finished.measurement.model_copy(update=update)})

    def _session_for(self, job: Claimed) -> SessionProcess | SeveralProcesses:
        fresh = job.spec.is_isolated
        if self._session is not None and (fresh or not self._session.alive or self._session_key != job.session_key):
            self._drop_session()
        if self._session is None:
            settings = self.settings
            start = partial(
                SessionProcess,
                self.probe,
                home=settings.home,
                logs=settings.logs,
                weights_root=settings.weights_root,
                lock_dir=settings.lock_dir,
                allow_task_code=settings.runs_task_code,
            )
            processes = job.spec.processes
            self._session = start() if processes == 1 else SeveralProcesses(start, processes)
            self._session_key = job.session_key
        return self._session

    def _drop_session(self) -> None:
        session, self._session, self._session_key = self._session, None, None
        if session is not None:
            session.stop()

    def _settle(self, job: Claimed, outcome: Outcome) -> str:
        """Write how an attempt ended. Raises UnavailableError where the database is away."""
        if isinstance(outcome, Finished):
            return self._finish(job, outcome)
        if isinstance(outcome, Stopped) and outcome.reason != "timeout":
            return self._settle_stopped(job, outcome.reason)
        if isinstance(outcome, Failed) and outcome.kind == "memory":
            return self._settle_out_of_memory(job, outcome)
        error, stderr = self._reason(job, outcome), self._session.stderr_tail() if self._session else ""
        if isinstance(outcome, Failed) and outcome.details:
            stderr = f"{stderr}\n{outcome.details}".strip()
        error, stderr = self._redact(error), self._redact(stderr)
        # What the job asks for can't be had: trying again would end the same.
        hopeless = isinstance(outcome, Failed) and outcome.kind in ("model", "input")
        attempts = 0 if hopeless else self.settings.max_attempts
        state = fail_job(self.database, job.id, job.attempt, error=error, stderr=stderr, max_attempts=attempts)
        return f"job {job.id} {state or 'was taken over'}: {error}"

    def _limit(self, job: Claimed) -> float:
        """Return how long a job may hold the device, in seconds."""
        return min(self.settings.job_seconds, job.spec.job_seconds or self.settings.job_seconds)

    def _reason(self, job: Claimed, outcome: Failed | Crashed | Stopped) -> str:
        if isinstance(outcome, Failed):
            return outcome.message
        if isinstance(outcome, Stopped):
            limit = self._limit(job)
            source = "setting" if limit == self.settings.job_seconds else "its sweep's"
            return f"It held the device for more than {limit:g} s ({source} job_seconds)"
        if outcome.returncode == -signal.SIGKILL:
            return "The session process was killed; the machine may have run out of memory"
        if outcome.returncode < 0:
            return f"The session process was ended by {signal.Signals(-outcome.returncode).name}"
        return f"The session process ended with exit code {outcome.returncode}"

    def _settle_stopped(self, job: Claimed, reason: str) -> str:
        if reason == "cancelled":
            end_cancelled(self.database, job.id, job.attempt)
            return f"job {job.id} cancelled"
        if reason == "shutdown":
            return_job(self.database, job.id, job.attempt)
            return f"job {job.id} went back to the queue"
        return f"job {job.id}: its lease was lost, so another attempt measures it"

    def _settle_out_of_memory(self, job: Claimed, outcome: Failed) -> str:
        needed = max(job.memory_mib, self.probe.memory_mib) + 1
        error = (
            f"{outcome.message}; {self.probe.device_name} has {self.probe.memory_mib} MiB, so a larger device is needed"
        )
        queue = queue_of(job.spec.device, job.spec.machine, needed)
        requeue_elsewhere(self.database, job.id, job.attempt, error=error, queue=queue, memory_mib=needed)
        return f"job {job.id} waits for a larger device: {outcome.message}"

    def _finish(self, job: Claimed, finished: Finished) -> str:
        result = Spooled(
            job_id=job.id,
            attempt=job.attempt,
            machine_id=self.machine_id,
            database=self.database.safe_url,
            measurement=finished.measurement,
        )
        try:
            path = self.spool.write(result)
        except OSError as error:
            # A full disk holds no spool; the database may lie on another one.
            log.warning("job %d: the spool can't be written (%s)", job.id, error)
            path = None
        return self._store(result, path)

    def _secure(self, path: Path | None) -> None:
        try:
            if path is not None:
                self.spool.secure(path)
        except OSError as error:
            log.warning("the spool can't be written to the disk (%s)", error)

    def _store(self, result: Spooled, path: Path | None) -> str:
        """Store a result, and its file in the spool no more. Raises UnavailableError where the database is away."""
        job_id, attempt = result.job_id, result.attempt
        try:
            run_id = store_measurement(
                self.database,
                *(job_id, attempt, result.machine_id, result.measurement),
                max_repeats=self.settings.max_repeats,
            )
        except UnavailableError:
            self._secure(path)
            raise
        except Exception as error:
            # The next try would end the same, and keep everything behind it from being stored.
            log.exception("job %d: its result can't be stored", job_id)
            if path is not None:
                self.spool.set_broken(path)
            reason = f"Its result can't be stored ({type(error).__name__}: {first_line(error)})"
            fail_job(self.database, job_id, attempt, error=reason, max_attempts=self.settings.max_attempts)
            return f"job {job_id}: {reason}"
        if path is not None and run_id is None:
            self.spool.set_aside(path)
        elif path is not None:
            self.spool.remove(path)
        return f"job {job_id} done" if run_id is not None else f"job {job_id}: attempt {attempt} came too late"
