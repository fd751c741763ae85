"""Measuring with a foreign harness: lm-eval runs its own task on the model that is loaded here.

It gives the same figures as lm-eval alone on the same weights, precision, batch size and number of items. lm-eval is
imported only for a job that asks for it.
"""

import contextlib
import importlib.util
import io
import os
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from bench import harness_results
from bench.causes import first_line
from bench.errors import InputError
from bench.harness_results import Tokens
from bench.results import Figures
from worker.adapters.text import TextAdapter
from worker.device import Device, is_out_of_memory
from worker.energy import Meter
from worker.measure import Clock, Outcome, Report
from worker.protocol import HarnessTask, Order, Progress

#: set while lm-eval works: its processes for the bootstrap would be forks of one that has threads and a device
_ENVIRONMENT = {"DISABLE_MULTIPROC": "1"}


class Prepared(NamedTuple):
    """A task that can be measured without the network."""

    #: worker.harness_tasks.Loaded
    task: Any
    #: the folder of a user's own task
    folder: Path | None


def prepare_harness(order: Order, report: Report, *, home: Path, allow_code: bool = False) -> Prepared:
    """Load the task that an order names, with its data, which is fetched on first use. Takes no device.

    Own task files hold templates and functions that run here as code: without `allow_code` they are refused. They are
    kept under `home`. Raises InputError where lm-eval, the task or its data is not there.
    """
    task = order.harness
    if task is None:
        raise InputError(f"the job of workload {order.spec.workload!r} names no task of lm-eval")
    _check_installed()
    _check_allowed(order, task, allow_code)
    report(Progress(phase="fetching"))
    with _quiet(), _environment():
        from worker.harness_tasks import kept, load

        folder = kept(task, home)
        with _inside(folder):
            return Prepared(load(task, folder), folder)


def measure_harness(
    adapter: TextAdapter,
    order: Order,
    prepared: Prepared,
    device: Device,
    report: Report,
    clock: Clock = time.perf_counter,
    meter: Meter | None = None,
) -> Outcome:
    """Run a task of lm-eval on a loaded model, over the first `items` documents of each of its tasks.

    Raises InputError where the task can't be run.
    """
    report(Progress(phase="warming up"))
    with _quiet(), _environment(), _inside(prepared.folder), device.watch() as fallbacks:
        outcome = _measured(adapter, order, prepared.task, device, report, clock, meter or Meter())
    return outcome._replace(fallbacks=tuple(fallbacks))


def _check_installed() -> None:
    if importlib.util.find_spec("lm_eval") is None:
        raise InputError(
            "this worker has no lm-eval, which the job's task is from; install it there: pip install 'benchbeat[eval]'"
        )


def _check_allowed(order: Order, task: HarnessTask, allow_code: bool) -> None:
    if task.files is not None and not allow_code:
        raise InputError(
            f"workload {order.spec.workload!r} brings task files of its own, whose templates and functions would run as"
            " code on this worker, and its settings don't allow that; set allow_task_code = true in its benchbeat.toml"
        )


def _measured(
    adapter: TextAdapter, order: Order, loaded: Any, device: Device, report: Report, clock: Clock, meter: Meter
) -> Outcome:
    from worker.harness_model import TimedModel, own_settings

    def told(done: int, total: int) -> None:
        report(Progress(phase="measuring", done=done, total=total))

    with own_settings(adapter):
        model = TimedModel(adapter, order.spec.batch_size, device, clock, told, meter)
        results = _evaluated(model, order, loaded)
    found = harness_results.metrics(results)
    sizes = {name: results["n-samples"][name]["effective"] for name in loaded.tasks}
    accuracy = harness_results.accuracy(found, loaded.name, sizes)

    def count(prompt: str) -> Tokens:
        written = model.written.get(prompt)
        return Tokens(*written) if written else Tokens(len(model.tok_encode(prompt)), 0, "stop")

    seconds = sum(sample.latency_seconds for sample in model.samples)
    tokens = sum(sample.new_tokens for sample in model.samples)
    items = sum(sizes.values())
    figures = Figures(
        iterations=1,
        decode_tokens_per_second=tokens / seconds if tokens and seconds > 0 else None,
        latency_seconds=seconds / items if items else None,
        items=items,
        accuracy=accuracy.value,
        accuracy_stderr=accuracy.stderr,
    )
    return Outcome(
        figures,
        tuple(model.samples),
        harness_results.answers(results, found, count),
        metrics=found,
        libraries={"lm_eval": metadata.version("lm_eval")},
        energy=meter.figures(model.began_joules, model.ended_joules, tokens),
    )


def _evaluated(model: Any, order: Order, loaded: Any) -> Mapping[str, Any]:
    """Return lm-eval's results. What fails outside the model is the task's fault: trying again changes nothing."""
    from lm_eval import evaluator

    try:
        with _uncurious(evaluator):
            results: Mapping[str, Any] = evaluator.simple_evaluate(
                model=model,
                tasks=loaded.objects,
                task_manager=loaded.manager,
                limit=order.spec.items,
                batch_size=order.spec.batch_size,
                log_samples=True,
            )
    except Exception as error:
        if model.failed or is_out_of_memory(error):
            raise
        said = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"lm-eval can't run the task {loaded.name!r}: {said}") from error
    return results


class _Nowhere(io.TextIOBase):
    """Takes what is written and forgets it."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep lm-eval's progress bars, prints and advice out of the log."""
    nowhere = _Nowhere()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


@contextlib.contextmanager
def _uncurious(evaluator: Any) -> Iterator[None]:
    """Keep lm-eval from asking git, pip and the drivers about the machine, which takes seconds under the lock."""
    asking = {"add_env_info": lambda results: None, "get_git_commit_hash": lambda: None}
    before = {name: getattr(evaluator, name) for name in asking}
    vars(evaluator).update(asking)
    try:
        yield
    finally:
        vars(evaluator).update(before)


@contextlib.contextmanager
def _inside(folder: Path | None) -> Iterator[None]:
    """Be in the folder of a user's own task, whose files are named from there."""
    with contextlib.chdir(folder) if folder is not None else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
