"""A worker: a Celery consumer whose one task runs the next job, and a thread that ticks."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
import warnings
from typing import Any

from bench import __version__
from bench.errors import UnavailableError
from db.engine import Database
from db.jobs import Claimant, work_left
from db.schema import ensure
from db.settings import Settings
from db.workers import mark_seen, mark_stopped, register_worker
from scheduler.app import RUN_JOB, make_app
from scheduler.broker import broker_url, check_broker, check_taker
from scheduler.logs import name_process
from scheduler.queues import batch_queue, queues_for
from scheduler.reconcile import reconcile, reconcile_batch
from scheduler.ring import Bell
from worker.acks import watched
from worker.facts import Probe
from worker.machine import machine_id
from worker.runner import Runner

log = logging.getLogger("benchbeat.worker")

#: a model that nobody asked for so long is unloaded
IDLE_SESSION_SECONDS = 600.0
_PROBE_SECONDS = 120.0
#: pause between two events that tell Flower that the worker lives; at Celery's 2 s they were half of what idling costs
_FLOWER_SECONDS = 10
#: time for Celery to end its consumer
_LEAVE_SECONDS = 10.0
#: time to give the job back after being told to stop twice; a lease that nobody ends runs out by itself
_HURRY_SECONDS = 2.0
#: ticks for which rings may wait while nothing runs
_DEAF_TICKS = 3
#: consumers that are started in vain before the worker gives up
_DEAF_RESTARTS = 3


def probe_device(device: str) -> Probe:
    """Ask a process of its own what the device is, so that this one stays without torch.

    Raises UnavailableError with the reason where the device can't measure.
    """
    command = [sys.executable, "-P", "-m", "worker.probe", "--device", device]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"The device did not answer within {_PROBE_SECONDS:g} s") from None
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise UnavailableError(f"The device can't be looked at: {last[0]}") from None
    if "error" in found:
        raise UnavailableError(str(found["error"]))
    return Probe.model_validate(found)


class Worker:
    """A worker process: `serve` returns when it is told to stop, or when its one batch is done."""

    def __init__(self, settings: Settings, *, batch_id: int | None = None) -> None:
        self.settings = settings
        self.batch_id = batch_id
        self.database = Database(settings.database)
        ensure(self.database)
        self.broker = broker_url(settings.home, settings.broker)
        check_broker(self.broker)
        check_taker(self.broker)
        self.machine = machine_id(settings)
        self.probe = probe_device(settings.device)
        self.id = f"{self.machine}-{self.probe.device}-{uuid.uuid4().hex[:8]}"
        name_process(machine=self.machine, worker=self.id)
        queues = queues_for(self.probe.device, self.machine, self.probe.memory_mib)
        claimant = Claimant(self.id, queues, self.probe.memory_mib, batch_id)
        self.runner = Runner(settings, self.database, claimant, machine_id=self.machine, probe=self.probe)
        #: what it listens to: a worker for one batch has a doorbell of its own
        self.doorbells = queues if batch_id is None else (batch_queue(batch_id, self.id),)
        #: how often it was told to stop
        self._told = 0
        #: told to stop, or done with its one batch
        self._leaving = threading.Event()
        #: rings that were answered, as of now and of the last tick; ticks since which rings wait unheard
        self._heard = self._heard_before = self._deaf_ticks = 0
        #: consumers that were started since a ring was heard
        self._restarts = 0
        self._ended = threading.Event()

    def serve(self) -> None:
        """Run jobs until told to stop (SIGTERM, SIGINT, SIGQUIT or SIGHUP)."""
        self._take_signals()
        self._register()
        self.runner.replay_spool()
        ticker = threading.Thread(target=self._tick_until_ended, name="tick", daemon=True)
        ticker.start()
        log.info(
            "worker %s on %s (%s, %d MiB)", self.id, self.probe.device, self.probe.device_name, self.probe.memory_mib
        )
        try:
            self._consume()
        finally:
            self.runner.stop()
            self._ended.set()
            ticker.join(timeout=10)
            self.runner.close()
            self._say_goodbye()
            self.database.dispose()

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, self._leave)

    def _leave(self, *_: Any) -> None:
        """Stop as soon as the running job has gone back to the queue; told again, now. May be a signal handler."""
        self._told += 1
        self._leaving.set()
        self.runner.stop(now=self._told > 1)
        self._stop_consumer()
        # Celery's consumer is deaf while it waits for a Redis that is away, and so is a database that is locked.
        leave = self._leave_now if self._told > 1 else self._leave_without_celery
        threading.Thread(target=leave, name="leave", daemon=True).start()

    def _leave_now(self) -> None:
        if not self._ended.wait(_HURRY_SECONDS):
            os._exit(1)

    def _leave_without_celery(self) -> None:
        if self._ended.wait(_LEAVE_SECONDS):
            return
        self.runner.close()
        self._say_goodbye()
        os._exit(0)

    def _consume(self) -> None:
        """Consume until told to stop.

        A message that is none (no JSON, a body that can't be decoded) ends Celery's consumer, which gives it back to
        the queue at its end. So the next one starts with empty queues: rings are hints, and the reconciler rings again.
        """
        from celery.worker import state

        app = make_app(self.broker, remote_control=self.settings.remote_control)
        app.task(name=RUN_JOB, ignore_result=True, acks_late=True)(self._run_job)
        while not self._leaving.is_set():
            with watched(self._start_again):
                exit_code = self._consume_until_it_ends(app)
            state.should_stop = None  # before looking at _leaving: a signal sets that first
            if exit_code and not self._leaving.is_set():
                log.warning("the consumer failed; it starts again with empty queues")
                self._forget_rings()
                self._leaving.wait(self.settings.tick_seconds)

    def _start_again(self, reason: str) -> None:
        log.warning("a ring could not be acknowledged (%s); the consumer starts again", reason)
        self._stop_consumer()

    def _consume_until_it_ends(self, app: Any) -> int:
        """Return 0 where the consumer was told to stop."""
        from celery.exceptions import CPendingDeprecationWarning
        from celery.platforms import SecurityWarning

        with warnings.catch_warnings():
            # Celery's advice against root is about pickled messages; ours hold a number, in JSON.
            warnings.simplefilter("ignore", SecurityWarning)
            consumer = app.Worker(
                hostname=f"{self.id}@benchbeat",
                queues=list(self.doorbells),
                without_gossip=True,
                without_mingle=True,
                heartbeat_interval=_FLOWER_SECONDS,
                loglevel="WARNING",
                quiet=True,
            )
            # Said at every reconnection, about a default of a later Celery, which asks for it to be shown.
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            # Celery's own handlers of signals cancel what runs, which a pool of threads can't, or wait for a consumer
            # that failed: they would leave a worker that lives and hears nothing.
            consumer.install_platform_tweaks = lambda _: None
            consumer.start()
        return int(consumer.exitcode or 0)

    def _forget_rings(self) -> None:
        try:
            with Bell(self.broker) as bell:
                for queue in self.doorbells:
                    bell.forget(queue)
        except UnavailableError as error:
            log.warning("%s", error)

    def _run_job(self, job_id: int) -> str:
        # The id only rings: the claim decides.
        self._heard += 1
        return self.runner.run_one()

    def _register(self) -> None:
        probe = self.probe
        register_worker(
            self.database,
            {
                "id": self.id,
                "machine_id": self.machine,
                "device": probe.device,
                "device_name": probe.device_name,
                "memory_mib": probe.memory_mib,
                "queues": self.runner.claimant.queues,
                "batch_id": self.batch_id,
                "pid": os.getpid(),
                "version": __version__,
            },
            {
                "id": self.machine,
                "chip": probe.chip,
                "memory_bytes": probe.system_memory_mib * 2**20,
                "os": probe.os_build,
            },
        )

    def _say_goodbye(self) -> None:
        try:
            mark_stopped(self.database, self.id)
        except UnavailableError as error:
            log.warning("%s", error)
        if self.batch_id is not None:
            self._forget_rings()

    def _tick_until_ended(self) -> None:
        away: str | None = None
        with Bell(self.broker) as bell:
            while True:
                try:
                    self._tick(bell)
                    away = None
                except UnavailableError as error:
                    if away != str(error):  # said once, not every tick of an outage
                        log.warning("%s; trying again every %g s", error, self.settings.tick_seconds)
                    away = str(error)
                except Exception:  # a tick that fails must not end all later ones
                    log.exception("a tick failed")
                if self._ended.wait(self.settings.tick_seconds):
                    return

    def _tick(self, bell: Bell) -> None:
        if self._leaving.is_set():
            self._stop_consumer()  # told in a moment when Celery did not listen
        current = self.runner.current
        mark_seen(self.database, self.id, job_id=current.id if current else None, loaded=self.runner.loaded)
        self.runner.release_idle(IDLE_SESSION_SECONDS)
        # Before leases are taken back: what is measured need not be computed again.
        self.runner.store_waiting()
        self._listen(bell)
        attempts, grace = self.settings.max_attempts, self.settings.lease_seconds
        if self.batch_id is None:
            reconcile(self.database, bell, max_attempts=attempts, grace_seconds=grace)
            return
        batch_id, queue = self.batch_id, self.doorbells[0]
        reconcile_batch(self.database, bell, batch_id=batch_id, queue=queue, max_attempts=attempts, grace_seconds=grace)
        with self.database.read() as connection:
            left = work_left(connection, self.runner.claimant)
        if not left and self.runner.current is None:
            self._end()

    def _listen(self, bell: Bell) -> None:
        """Start the consumer again where rings wait while nothing runs.

        When Redis goes down at the wrong moment, Celery can't acknowledge its message and never takes another.
        """
        if self._heard != self._heard_before:
            self._restarts = 0
        idle = self.runner.current is None and self._heard == self._heard_before
        self._heard_before = self._heard
        self._deaf_ticks = self._deaf_ticks + 1 if idle and any(bell.waiting(self.doorbells).values()) else 0
        if self._deaf_ticks >= _DEAF_TICKS:
            self._deaf_ticks = 0
            self._restarts += 1
            if self._restarts > _DEAF_RESTARTS:
                log.error("rings wait unheard by every new consumer; this worker ends, for another to be started")
                self._end()
                return
            log.warning("rings wait unheard; the consumer starts again")
            self._stop_consumer()

    def _end(self) -> None:
        self._leaving.set()
        self._stop_consumer()

    def _stop_consumer(self) -> None:
        from celery.worker import state

        state.should_stop = 0  # the consumer's loop looks at it after every poll


def serve(settings: Settings, *, batch_id: int | None = None) -> None:
    """Run a worker until it is told to stop."""
    Worker(settings, batch_id=batch_id).serve()
