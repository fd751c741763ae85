"""The session as an object: what fails, what is freed, what is told."""

import fcntl
import os
import re
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.catalog import ModelEntry
from bench.errors import InputError, ModelError, OutOfMemoryError, UnavailableError
from bench.results import Figures, Metric
from bench.spec import JobSpec
from tests.worker.fakes import FakeCounter, FakeDevice
from tests.worker.sessions import entry, quality, speed
from worker import adapters, weights
from worker import session as module
from worker.energy import Counter
from worker.harness import Prepared
from worker.judging import judged
from worker.measure import Outcome
from worker.protocol import Event, Failed, Finished, HarnessTask, Locked, Order, Progress
from worker.session import Session


@pytest.fixture(scope="module")
def qwen(tiny_qwen: Path) -> ModelEntry:
    return entry(f"file:{tiny_qwen}")


def _session(tmp_path: Path, emitted: list[Event], device: FakeDevice | None = None) -> Session:
    return Session(device or FakeDevice(), emitted.append, home=tmp_path, lock_dir=tmp_path)


def _is_free(tmp_path: Path) -> bool:
    """Whether nobody holds the device."""
    descriptor = os.open(tmp_path / "benchbeat-machine.lock", os.O_RDONLY | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ModelError("gated: set HF_TOKEN"), "model", "gated: set HF_TOKEN"),
        (InputError("no items"), "input", "no items"),
        (OutOfMemoryError("too small"), "memory", "too small"),
        (MemoryError(), "memory", r"the memory of .* \(cpu\) is not enough for m in float32: MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried"), "memory", r"not enough for m .*: CUDA out of memory\."),
        (RuntimeError("MPS backend out of memory"), "memory", "not enough for m"),
        (UnavailableError("the hub can't be reached"), "error", "the hub can't be reached"),
        (ZeroDivisionError("division by zero"), "error", "ZeroDivisionError: division by zero"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_failure_has_its_kind_and_frees_the_device(
    tmp_path: Path, qwen: ModelEntry, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str, message: str
) -> None:
    emitted: list[Event] = []
    session = _session(tmp_path, emitted)
    session.run(speed(qwen))

    def fail(*arguments: Any, **options: Any) -> Any:
        assert not _is_free(tmp_path)
        raise error

    monkeypatch.setattr(module, "measure_speed", fail)
    session.run(speed(qwen, job_id=2))
    assert isinstance(emitted[-2], Progress | Locked)
    failed = emitted[-1]
    assert isinstance(failed, Failed)
    assert (failed.job_id, failed.kind) == (2, kind)
    assert re.search(message, failed.message)
    assert ("Traceback" in failed.details) == (not isinstance(error, ModelError | InputError | OutOfMemoryError))
    assert _is_free(tmp_path)
    monkeypatch.undo()
    session.run(speed(qwen, job_id=3))
    last = emitted[-1]
    assert isinstance(last, Finished)
    # What is wrong with the model's memory may stay with it.
    assert (last.measurement.figures.load_seconds is None) == (kind in ("model", "input"))


class _Metered(FakeDevice):
    """A device whose counter goes on with the clock: ten watts."""

    def energy_counter(self) -> Counter:
        return FakeCounter(time.perf_counter)


def test_a_run_has_the_energy_of_what_counts(tmp_path: Path, qwen: ModelEntry) -> None:
    emitted: list[Event] = []
    session = _session(tmp_path, emitted, _Metered())
    session.run(speed(qwen))
    session.run(quality(qwen, {"one?": "1", "two?": "2"}, job_id=2))
    timed, asked = [event.measurement for event in emitted if isinstance(event, Finished)]
    for measured in (timed, asked):
        figures, spent = measured.figures, sum(each.latency_seconds for each in measured.samples)
        assert figures.energy_source == "rapl"
        assert figures.energy_joules is not None
        assert 10 * spent < figures.energy_joules < 10 * (measured.finished_at - measured.started_at)
    per_token = timed.figures.energy_joules_per_token, asked.figures.energy_joules_per_token
    tokens = len(timed.samples) * (1 + 4), sum(answer.new_tokens for answer in asked.answers)
    joules = timed.figures.energy_joules or 0.0, asked.figures.energy_joules or 0.0
    assert per_token == pytest.approx((joules[0] / tokens[0], joules[1] / tokens[1]))
    assert (timed.figures.warmup_iterations or 0) >= 1
    assert asked.figures.warmup_iterations is asked.figures.warm is None


def test_a_device_whose_energy_can_not_be_read_is_measured_all_the_same(tmp_path: Path, qwen: ModelEntry) -> None:
    class Broken(FakeDevice):
        def energy_counter(self) -> Counter:
            raise PermissionError("only root")

    emitted: list[Event] = []
    _session(tmp_path, emitted, Broken()).run(speed(qwen))
    last = emitted[-1]
    assert isinstance(last, Finished)
    assert (last.measurement.figures.energy_joules, last.measurement.figures.energy_source) == (None, None)


def test_fetching_does_not_hold_the_device(tmp_path: Path, qwen: ModelEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    free: list[bool] = []
    resolve = weights.resolve

    def look(*arguments: Any, **options: Any) -> Any:
        free.append(_is_free(tmp_path))
        return resolve(*arguments, **options)

    monkeypatch.setattr(weights, "resolve", look)
    _session(tmp_path, []).run(speed(qwen))
    assert free == [True]


def test_answers_are_judged_when_everything_is_measured(
    tmp_path: Path, qwen: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[Event] = []
    judged_at: list[float] = []
    session = _session(tmp_path, emitted)

    def look(order: Order, outcome: Outcome, read: Any) -> Outcome:
        assert _is_free(tmp_path)
        assert session._memory._sampler is None
        bytearray(64 * 2**20)  # what judging takes is no part of the peak
        judged_at.append(time.time())
        return judged(order, outcome, read)

    monkeypatch.setattr(module, "judged", look)
    for job_id in (1, 2):
        session.run(quality(qwen, {"one?": "1", "two?": "2"}, job_id))
    session.run(speed(qwen, job_id=3))
    finished = [event.measurement for event in emitted if isinstance(event, Finished)]
    assert [one.finished_at < at for one, at in zip(finished, judged_at, strict=False)] == [True, True]
    assert [one.figures.accuracy is None for one in finished] == [False, False, True]
    assert len(judged_at) == 2


def test_a_loaded_model_from_the_hub_is_not_looked_up_again(
    tmp_path: Path, tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def fetch(repo: str, revision: str | None, **options: Any) -> tuple[Path, str]:
        fetched.append(repo)
        return tiny_qwen, "c" * 40

    monkeypatch.setattr("worker.hub.fetch", fetch)
    emitted: list[Event] = []
    session = _session(tmp_path, emitted)
    for job_id in (1, 2):
        session.run(speed(entry("hub:org/name"), job_id))
    finished = [event for event in emitted if isinstance(event, Finished)]
    assert [event.measurement.resolved.revision for event in finished] == ["c" * 40] * 2
    assert fetched == ["org/name"]


def test_the_last_model_is_gone_before_the_next_is_loaded(
    tmp_path: Path, qwen: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Any]] = []
    gone: list[bool] = []
    load = adapters.load

    def watch(*arguments: Any, **options: Any) -> Any:
        gone.append(all(reference() is None for reference in made))
        adapter = load(*arguments, **options)
        made.append(weakref.ref(adapter.model))
        return adapter

    monkeypatch.setattr(module, "load", watch)
    session = _session(tmp_path, [])
    for job_id, attention in enumerate(["sdpa", "eager", "sdpa"]):
        session.run(speed(qwen, job_id, attention=attention))
    assert gone == [True, True, True]


def test_a_model_that_did_not_fit_is_gone(tmp_path: Path, qwen: ModelEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Any]] = []

    def fail(adapter: Any, *arguments: Any, **options: Any) -> Any:
        made.append(weakref.ref(adapter.model))
        raise MemoryError

    monkeypatch.setattr(module, "measure_speed", fail)
    emitted: list[Event] = []
    _session(tmp_path, emitted).run(speed(qwen))
    assert isinstance(emitted[-1], Failed)
    assert made[0]() is None


def test_progress_is_told_twice_a_second_and_at_every_new_phase() -> None:
    told: list[Event] = []
    times = iter(range(0, 16_000, 250))
    throttled = module._Throttled(told.append, lambda: next(times) / 1000)
    for step in range(16):
        throttled(Progress(phase="measuring" if step >= 7 else "warming up", done=step))
    assert [event.done for event in told if isinstance(event, Progress)] == [0, 2, 4, 6, 7, 9, 11, 13, 15]


def test_an_accelerator_is_checked_once_and_refused_where_it_errs(
    tmp_path: Path, qwen: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Accelerator(FakeDevice):
        name = "mps"

        @property
        def torch_device(self) -> torch.device:
            return torch.device("cpu")

    checked: list[str] = []

    def refuse(device: Any) -> None:
        checked.append("refused")
        raise UnavailableError("the GPU is not measured on, since its logits differ")

    emitted: list[Event] = []
    session = _session(tmp_path, emitted, Accelerator())
    monkeypatch.setattr("worker.selfcheck.check", refuse)
    session.run(speed(qwen))
    assert isinstance(emitted[-1], Failed)
    assert "is not measured on" in emitted[-1].message
    monkeypatch.setattr("worker.selfcheck.check", lambda device: checked.append("fine"))
    for job_id in (2, 3):
        session.run(speed(qwen, job_id))
    assert checked == ["refused", "fine"]


def test_what_was_left_to_the_cpu_stands_beside_the_driver(tmp_path: Path, qwen: ModelEntry) -> None:
    emitted: list[Event] = []
    _session(tmp_path, emitted, FakeDevice(fallbacks=("aten::odd falls back",))).run(speed(qwen))
    last = emitted[-1]
    assert isinstance(last, Finished)
    assert "aten::odd falls back" in str(last.measurement.environment.driver)


def test_a_task_of_a_foreign_harness_goes_to_it_with_what_the_settings_allow(
    tmp_path: Path, qwen: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = Metric(task="mine", name="acc", filter="none", value=0.5, stderr=0.1)
    asked: list[tuple[str, Any]] = []
    free: list[bool] = []

    def prepare(order: Order, report: Any, **options: Any) -> Prepared:
        asked.append((str(order.harness and order.harness.name), options))
        free.append(_is_free(tmp_path))
        return Prepared("prepared", None)

    def measure(adapter: Any, order: Order, prepared: Prepared, device: Any, report: Any, meter: Any) -> Outcome:
        asked.append(("measured", prepared.task))
        free.append(_is_free(tmp_path))
        return Outcome(Figures(iterations=1, accuracy=0.5), (), metrics=(metric,), libraries={"lm_eval": "0.4"})

    monkeypatch.setattr(module, "prepare_harness", prepare)
    monkeypatch.setattr(module, "measure_harness", measure)
    emitted: list[Event] = []
    session = Session(FakeDevice(), emitted.append, home=tmp_path, lock_dir=tmp_path, allow_task_code=True)
    spec = JobSpec(model="m", workload="lm_eval:mine")
    session.run(Order(job_id=1, attempt=1, spec=spec, model=qwen, harness=HarnessTask(name="mine")))
    last = emitted[-1]
    assert isinstance(last, Finished)
    assert asked == [("mine", {"home": tmp_path, "allow_code": True}), ("measured", "prepared")]
    assert free == [True, False], "its data is fetched while others may measure"
    assert last.measurement.metrics == (metric,)
    assert last.measurement.environment.libraries == {"lm_eval": "0.4"}
    assert (last.measurement.figures.accuracy, last.measurement.resolved.chat_template) == (0.5, None)
    session.run(speed(qwen, job_id=2))
    after = emitted[-1]
    assert isinstance(after, Finished)
    assert after.measurement.environment.libraries is None


def test_a_run_says_what_started_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    device: Any = FakeDevice()
    assert module._environment(device).libraries is None
    monkeypatch.setenv("_BENCHBEAT_LAUNCH", "launchd")
    environment = module._environment(device)
    assert environment.libraries == {"launch": "launchd"}
    outcome = Outcome(Figures(iterations=1), (), libraries={"lm_eval": "0.4"})
    assert module._environment_of(environment, outcome).libraries == {"launch": "launchd", "lm_eval": "0.4"}
