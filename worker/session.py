"""The session: the process that holds a loaded model and measures one job after the other.

`python -P -m worker.session --events FD --device cpu --home PATH`. Orders come on standard input, events go to
the descriptor; `worker.protocol` says which. Only here are torch and transformers imported. End of input ends the
process at once, also in the middle of a measurement.
"""

import argparse
import gc
import logging
import os
import platform
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
import transformers

from bench import __version__
from bench.catalog import ModelEntry, parse_source
from bench.causes import first_line
from bench.errors import BenchbeatError, InputError, ModelError, OutOfMemoryError
from bench.results import Environment, Measurement, Resolved
from bench.spec import hash_of
from worker import convert, selfcheck, weights
from worker.adapters import Loading, load
from worker.adapters.text import TextAdapter
from worker.channel import Emit, parse_order, read_orders, writer
from worker.device import Device, is_out_of_memory, pick
from worker.device_lock import held
from worker.energy import Meter
from worker.facts import LAUNCH_VARIABLE, os_build, source_state
from worker.harness import Prepared, measure_harness, prepare_harness
from worker.judging import judged
from worker.measure import Outcome
from worker.memory import ProcessMemory
from worker.protocol import Failed, Finished, Go, Locked, Order, Progress, Released
from worker.quality import measure_quality
from worker.reader import Reader
from worker.speed import measure_speed
from worker.traces import profiling
from worker.weights import Weights

if TYPE_CHECKING:
    from worker.adapters import Adapter

#: at most so often is progress of one phase told
PROGRESS_SECONDS = 0.5

Kind = Literal["model", "input", "memory", "error"]


class Loaded(NamedTuple):
    """A model that stays for the jobs that follow."""

    source: str
    weights: Weights
    loading: Loading
    #: the catalog's, where it has one
    chat_template: str | None
    adapter: "Adapter"


class Session:
    """Measures orders on one device, one after the other, and keeps the last model loaded."""

    def __init__(
        self,
        device: Device,
        emit: Emit,
        *,
        home: Path,
        models_dir: Path | None = None,
        lock_dir: Path | None = None,
        allow_task_code: bool = False,
        next_line: Callable[[], bytes] | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self._next_line = next_line
        self._device = device
        self._emit = emit
        self._home = home
        self._models_dir = models_dir
        self._lock_dir = lock_dir
        self._allow_task_code = allow_task_code
        self._position = 0
        self._loaded: Loaded | None = None
        self._checked = device.name == "cpu"
        self._memory = ProcessMemory()
        self._reader = Reader()
        self._environment = _environment(device)

    def run(self, order: Order) -> None:
        """Measure one job and emit what came of it; the session lives on whatever that is."""
        failed: Failed | None = None
        try:
            self._emit(Finished(job_id=order.job_id, attempt=order.attempt, measurement=self._measured(order)))
        except Exception as error:  # noqa: BLE001  (whatever it is, the job failed and the next one may not)
            failed = _failure(order, error, self._device)
            # The traceback's frames hold the model.
            traceback.clear_frames(error.__traceback__)
        if failed is not None:
            if failed.kind in ("memory", "error"):
                self._unload()
            self._emit(failed)

    def _measured(self, order: Order) -> Measurement:
        report = _Throttled(self._emit)
        # Fetching is no use of the device: others may measure meanwhile.
        found = self._find(order.model, report)
        task = self._prepare(order, report)
        waiting = Progress(phase="waiting for the device")
        with held(self._device.lock_key, self._lock_dir, on_wait=lambda: report(waiting)) as waited:
            self._emit(Locked(waited_seconds=waited))
            if order.gated:
                self._wait_for_go(order)
            started_at = time.time()
            self._check()
            load_seconds = self._load(order, found, report)
            self._position += 1
            outcome, memory = self._measure(order, task, report)
            finished_at = time.time()
        self._emit(Released())
        # The peak of memory is read: judging is no part of what was measured.
        if order.prompts:
            outcome = self._judged(order, outcome)
        assert self._loaded is not None
        return Measurement(
            resolved=self._resolved(order, found.revision, outcome),
            environment=_environment_of(self._environment, outcome),
            figures=outcome.figures.model_copy(
                update={
                    "load_seconds": load_seconds,
                    "weights_bytes": self._loaded.adapter.weights_bytes,
                    **memory,
                    **outcome.energy,
                }
            ),
            samples=outcome.samples,
            answers=outcome.answers,
            breakdowns=outcome.breakdowns,
            metrics=outcome.metrics,
            session=self.id,
            session_position=self._position,
            started_at=started_at,
            finished_at=finished_at,
        )

    def _wait_for_go(self, order: Order) -> None:
        if self._next_line is None:
            raise ValueError("a gated job needs somebody who lets it begin")
        go = Go.model_validate_json(self._next_line())
        if go.go != order.job_id:
            raise ValueError(f"job {go.go} was let begin, not {order.job_id}")

    def _judged(self, order: Order, outcome: Outcome) -> Outcome:
        if order.model.task == "speech":
            from worker.transcripts import judged_transcripts

            return judged_transcripts(order, outcome)
        return judged(order, outcome, self._reader.read)

    def _find(self, entry: ModelEntry, report: "_Throttled") -> Weights:
        """Return the weights on this machine, fetched if need be."""
        loaded = self._loaded
        # A loaded model from the hub is not looked up again: that would cost each job a round trip.
        if loaded and loaded.source == entry.source and parse_source(entry.source).scheme == "hub":
            return loaded.weights
        report(Progress(phase="fetching"))
        return weights.resolve(
            entry,
            home=self._home,
            models_dir=self._models_dir,
            on_progress=lambda done, total: report(Progress(phase="fetching", done=done, total=total)),
        )

    def _prepare(self, order: Order, report: "_Throttled") -> Prepared | None:
        """Return the foreign harness's task with its data, where the job is one of it."""
        if order.harness is None:
            return None
        return prepare_harness(order, report, home=self._home, allow_code=self._allow_task_code)

    def _check(self) -> None:
        """See once that an accelerator computes what the CPU computes."""
        if not self._checked:
            selfcheck.check(self._device)
            self._checked = True

    def _load(self, order: Order, found: Weights, report: "_Throttled") -> float | None:
        """Load the model unless it is loaded; return the seconds that loading took."""
        loading = Loading.of(order.spec)
        if self._is_loaded(order.model, found.revision, loading):
            return None
        report(Progress(phase="loading"))
        self._unload()
        folder = found.path
        if found.kind == "gguf":
            # Under the lock, since it computes; but no part of the load, which others don't pay again.
            folder = weights.converted_folder(self._home, found.revision)
            convert.ensure_converted_apart(found.path, folder)
        started = time.perf_counter()
        sha256 = found.revision if found.kind == "checkpoint" else None
        adapter = load(order.model, folder, loading, self._device, sha256=sha256)
        self._device.synchronize()
        seconds = time.perf_counter() - started
        self._loaded = Loaded(order.model.source, found, loading, order.model.chat_template, adapter)
        return seconds

    def _is_loaded(self, entry: ModelEntry, revision: str, loading: Loading) -> bool:
        loaded = self._loaded
        return loaded is not None and (
            (loaded.source, loaded.weights.revision, loaded.loading, loaded.chat_template)
            == (entry.source, revision, loading, entry.chat_template)
        )

    def _unload(self) -> None:
        """Give the memory of the loaded model back."""
        self._loaded = None
        gc.collect()
        self._device.empty_cache()

    def _measure(
        self, order: Order, task: Prepared | None, report: "_Throttled"
    ) -> tuple[Outcome, dict[str, int | None]]:
        """Measure on the loaded model; return the outcome, and the peaks of memory meanwhile."""
        assert self._loaded is not None
        adapter = self._loaded.adapter
        self._device.reset_peak()
        self._memory.reset()
        try:
            with profiling(adapter, order, self._home):
                outcome = self._outcome(adapter, order, task, report)
            return outcome, {
                "peak_device_memory_bytes": self._device.peak_bytes(),
                "peak_process_memory_bytes": self._memory.peak_bytes(),
            }
        finally:
            self._memory.close()

    def _outcome(self, adapter: Any, order: Order, task: Prepared | None, report: "_Throttled") -> Outcome:
        meter = Meter(self._device.energy_counter)
        if task is not None:
            return measure_harness(adapter, order, task, self._device, report, meter=meter)
        if order.spec.is_speed:
            return measure_speed(adapter, order.spec, self._device, report, meter=meter)
        if order.model.task == "speech":
            from worker.speech import measure_speech

            return measure_speech(adapter, order, self._device, report, order.media.__getitem__, meter=meter)
        return measure_quality(adapter, order, self._device, report, order.media.__getitem__, meter=meter)

    def _resolved(self, order: Order, revision: str, outcome: Outcome) -> Resolved:
        assert self._loaded is not None
        adapter = self._loaded.adapter
        settings: dict[str, Any] = dict(outcome.decoding)
        # Only where conversations were asked: what played no part must not tell two runs apart.
        if order.prompts and isinstance(adapter, TextAdapter):
            template, origin = order.model.chat_template, adapter.conversation.origin
            settings |= {"chat_template": origin, "chat_template_hash": hash_of(template) if template else None}
        return Resolved(
            device=self._device.name,
            device_name=self._device.device_name(),
            revision=revision,
            attention=adapter.attention,
            quantiser=adapter.quantiser,
            strategy_hash=order.strategy_hash,
            **settings,
        )


class _Throttled:
    """Passes progress on: every change of phase, and within a phase at most two a second."""

    def __init__(self, emit: Emit, clock: Callable[[], float] = time.monotonic) -> None:
        self._emit = emit
        self._clock = clock
        self._phase: str | None = None
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        if progress.phase == self._phase and now - self._last < PROGRESS_SECONDS:
            return
        self._phase, self._last = progress.phase, now
        self._emit(progress)


def _environment(device: Device) -> Environment:
    commit, dirty = source_state()
    return Environment(
        os_build=os_build(),
        python_version=platform.python_version(),
        torch_version=torch.__version__,
        transformers_version=transformers.__version__,
        benchbeat_version=__version__,
        git_commit=commit,
        git_dirty=dirty,
        driver=device.driver(),
        threads=torch.get_num_threads(),
        libraries={"launch": os.environ[LAUNCH_VARIABLE]} if LAUNCH_VARIABLE in os.environ else None,
    )


def _environment_of(environment: Environment, outcome: Outcome) -> Environment:
    """Return the session's environment with what this job used, and what the device left to the CPU."""
    changes: dict[str, Any] = {}
    if outcome.fallbacks:
        changes["driver"] = "; ".join([environment.driver or "", *outcome.fallbacks])
    if outcome.libraries:
        changes["libraries"] = {**(environment.libraries or {}), **outcome.libraries}
    return environment.model_copy(update=changes)


def _failure(order: Order, error: Exception, device: Device) -> Failed:
    """Return what an exception means for the job."""
    kind = _kind(error)
    message = str(error) if isinstance(error, BenchbeatError) else f"{type(error).__name__}: {first_line(error)}"
    if kind == "memory" and not isinstance(error, BenchbeatError):
        message = (
            f"the memory of {device.device_name()} ({device.name}) is not enough for {order.model.name} "
            f"in {order.spec.precision}: {first_line(error)}"
        )
    known = isinstance(error, BenchbeatError) and kind != "error"
    details = "" if known else "".join(traceback.format_exception(error))
    return Failed(job_id=order.job_id, attempt=order.attempt, kind=kind, message=message, details=details)


def _kind(error: Exception) -> Kind:
    if isinstance(error, ModelError):
        return "model"
    if isinstance(error, InputError):
        return "input"
    if isinstance(error, OutOfMemoryError) or is_out_of_memory(error):
        return "memory"
    return "error"


def _quiet() -> None:
    """Keep the libraries' progress bars, retries and advice out of the log."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve orders until the end of input; return 2 where the device is not there."""
    parser = argparse.ArgumentParser(prog="worker.session")
    parser.add_argument("--events", type=int, required=True, help="descriptor for the events")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), required=True)
    parser.add_argument("--device-index", type=int, default=0)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--models-dir", type=Path, help="the only folder in which paths are opened; default: any")
    parser.add_argument("--lock-dir", type=Path, help="folder of the device's lock; default: the machine's")
    parser.add_argument("--allow-task-code", action="store_true", help="run users' own task files, which are code")
    options = parser.parse_args(arguments)
    # What a library prints must not look like an answer, nor fill a pipe that nobody reads.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _quiet()
    orders: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=read_orders, args=(sys.stdin.fileno(), orders), name="orders", daemon=True).start()
    emit = writer(options.events)
    try:
        device = pick(options.device, options.device_index)
        device.prepare()
    except BenchbeatError as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201
        return 2
    session = Session(
        device,
        emit,
        home=options.home,
        models_dir=options.models_dir,
        lock_dir=options.lock_dir,
        allow_task_code=options.allow_task_code,
        next_line=orders.get,
    )
    while True:
        order = parse_order(orders.get())
        if isinstance(order, Failed):
            emit(order)
        else:
            session.run(order)


if __name__ == "__main__":
    sys.exit(main())
