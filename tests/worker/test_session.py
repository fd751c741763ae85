"""The session as a real process with tiny models, and its failures as an object."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest
import torch

from bench.catalog import ModelEntry
from bench.errors import InputError, ModelError, OutOfMemoryError, UnavailableError
from bench.results import Figures, Measurement, Metric
from bench.spec import JobSpec, StopRule, hash_of
from bench.workloads import Item
from tests.worker.fakes import FakeDevice
from worker import adapters, weights
from worker import session as module
from worker.device_lock import held
from worker.harness import Prepared
from worker.judging import judged
from worker.measure import Outcome
from worker.protocol import Event, Failed, Finished, HarnessTask, Locked, Order, Progress, Prompt
from worker.session import Session, parse_order, read_orders, writer


def entry(source: str, **fields: Any) -> ModelEntry:
    return ModelEntry.model_validate(
        {"name": "m", "task": "text", "source": source, "memory_gib": {"float32": 1.0, "float16": 1.0}, **fields}
    )


def speed(model: ModelEntry, job_id: int = 1, **fields: Any) -> Order:
    spec = {"model": "m", "workload": "speed", "prompt_tokens": 16, "new_tokens": 4, "stop": StopRule(max_iterations=6)}
    return Order(job_id=job_id, attempt=1, spec=JobSpec.model_validate({**spec, **fields}), model=model)


def quality(model: ModelEntry, questions: dict[str, str], job_id: int = 1, **fields: Any) -> Order:
    prompts = tuple(
        Prompt(item=Item(id=str(n), prompt=text, answer=answer), messages=({"role": "user", "content": text},))
        for n, (text, answer) in enumerate(questions.items())
    )
    spec = {"model": "m", "workload": "facts", "strategy": "direct", "max_new_tokens": 8, "batch_size": 2, **fields}
    return Order(
        job_id=job_id,
        attempt=1,
        spec=JobSpec.model_validate(spec),
        model=model,
        score="contains",
        strategy_hash="h" * 64,
        prompts=prompts,
    )


class Child:
    """A session process; its events are kept with the time at which they came."""

    def __init__(self, tmp_path: Path, *arguments: str) -> None:
        reading, writing = os.pipe()
        self.log = tmp_path / "session.log"
        (tmp_path / "locks").mkdir(exist_ok=True)
        command = [sys.executable, "-P", "-m", "worker.session", "--events", str(writing), "--device", "cpu"]
        command += ["--home", str(tmp_path / "home"), "--lock-dir", str(tmp_path / "locks"), *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=(writing,), start_new_session=True
            )
        os.close(writing)
        self._events: SimpleQueue[tuple[float, dict[str, Any]]] = SimpleQueue()
        self._reader = Thread(target=self._read, args=(reading,))
        self._reader.start()

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as lines:
            for line in lines:
                self._events.put((time.monotonic(), json.loads(line)))

    def send(self, order: Order) -> float:
        """Send an order; return when."""
        assert self.process.stdin is not None
        sent = time.monotonic()
        self.process.stdin.write(order.model_dump_json().encode() + b"\n")
        self.process.stdin.flush()
        return sent

    def next(self) -> tuple[float, dict[str, Any]]:
        return self._events.get(timeout=60)

    def until(self, *events: str, phase: str | None = None) -> tuple[float, list[dict[str, Any]]]:
        """Return the events up to one of these (or of this phase), and when that came."""
        seen = []
        while True:
            at, event = self.next()
            seen.append(event)
            if event["event"] in events or (phase and event.get("phase") == phase):
                return at, seen

    def measure(self, order: Order) -> Measurement:
        self.send(order)
        last = self.until("finished", "failed")[1][-1]
        return Finished.model_validate(last).measurement

    def fail(self, order: Order) -> Failed:
        self.send(order)
        return Failed.model_validate(self.until("finished", "failed")[1][-1])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self._reader.join(20)


@contextmanager
def running(tmp_path: Path, *arguments: str) -> Iterator[Child]:
    child = Child(tmp_path, *arguments)
    try:
        yield child
    finally:
        child.close()


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """Give a session that tests share, as jobs do."""
    with running(tmp_path_factory.mktemp("session")) as made:
        yield made


@pytest.fixture(scope="module")
def qwen(tiny_qwen: Path) -> ModelEntry:
    return entry(f"file:{tiny_qwen}")


# ---- jobs through the process


def test_a_speed_job_comes_back_measured(child: Child, qwen: ModelEntry) -> None:
    before = time.time()
    measured = child.measure(speed(qwen, batch_size=2))
    assert before < measured.started_at < measured.finished_at < time.time()
    assert measured.resolved.device == "cpu"
    assert len(measured.resolved.revision) == 64
    assert measured.resolved.temperature is None
    assert measured.environment.torch_version == torch.__version__
    figures = measured.figures
    assert len(measured.samples) == figures.iterations == 6
    assert all(len(sample.inter_token_seconds) == 3 for sample in measured.samples)
    assert figures.latency_seconds is not None
    assert figures.ttft_seconds is not None
    assert figures.first_call_seconds is not None
    assert figures.latency_seconds > figures.ttft_seconds > 0
    assert figures.weights_bytes == 450_880
    assert figures.peak_device_memory_bytes is None
    assert (figures.peak_process_memory_bytes or 0) > 100 * 2**20


def test_a_quality_job_comes_back_with_its_answers(child: Child, qwen: ModelEntry) -> None:
    measured = child.measure(quality(qwen, {"one?": "1", "What comes after two, and after three?": "2"}))
    assert [answer.item_id for answer in measured.answers] == ["0", "1"]
    assert all(answer.score in (0.0, 1.0) for answer in measured.answers)
    assert all(0 < answer.new_tokens <= 8 for answer in measured.answers)
    resolved = measured.resolved
    assert (resolved.temperature, resolved.top_p, resolved.top_k, resolved.repetition_penalty) == (0.0, 1.0, 0, 1.0)
    assert (resolved.max_new_tokens, resolved.strategy_hash) == (8, "h" * 64)
    assert measured.figures.accuracy is not None


def test_what_was_asked_and_how_is_noted(child: Child, qwen: ModelEntry, tiny_base: Path) -> None:
    own = child.measure(quality(qwen, {"one?": "1"}))
    assert (own.resolved.chat_template, own.resolved.chat_template_hash) == ("model", None)
    assert own.breakdowns == ()
    assert own.figures.quality is not None
    plain = child.measure(quality(entry(f"file:{tiny_base}"), {"one?": "1"}))
    assert (plain.resolved.chat_template, plain.resolved.chat_template_hash) == ("plain", None)
    # A speed workload holds no conversation.
    assert child.measure(speed(qwen)).resolved.chat_template is None


def test_a_reasoning_model_of_the_catalog_runs_out_of_tokens_while_it_thinks(child: Child, tiny_qwen: Path) -> None:
    template = "{{ messages[0].content }}{{ ' Assistant: <think>\\n' }}"
    model = entry(f"file:{tiny_qwen}", chat_template=template)
    given = quality(model, {"What is one and one?": "2", "And two and two?": "4"})
    items = [prompt.item.model_copy(update={"level": 1, "language": "en"}) for prompt in given.prompts]
    prompts = tuple(one.model_copy(update={"item": i}) for one, i in zip(given.prompts, items, strict=True))
    measured = child.measure(given.model_copy(update={"prompts": prompts}))
    assert {(one.finish, one.thinking_tokens, one.extracted, one.score) for one in measured.answers} == {
        ("thinking", 8, None, 0.0)
    }
    assert (measured.resolved.chat_template, measured.resolved.chat_template_hash) == ("catalog", hash_of(template))
    assert [(part.by, part.value, part.items, part.accuracy) for part in measured.breakdowns] == [
        ("level", "1", 2, 0.0),
        ("language", "en", 2, 0.0),
    ]
    figures = measured.figures
    assert (figures.thinking_tokens, figures.answer_tokens, figures.completed) == (8.0, 0.0, 0.0)
    assert (figures.accuracy, figures.tokens_per_correct_answer) == (0.0, None)


def test_another_chat_template_is_another_model(child: Child, qwen: ModelEntry) -> None:
    ours = qwen.model_copy(update={"chat_template": "{{ messages[0].content }}"})
    loads = [child.measure(quality(model, {"one?": "1"})).figures.load_seconds for model in (qwen, ours, ours, qwen)]
    assert [seconds is not None for seconds in loads[1:]] == [True, False, True]


def test_a_chat_template_that_refuses_fails_for_good(child: Child, qwen: ModelEntry) -> None:
    failed = child.fail(
        quality(qwen.model_copy(update={"chat_template": "{{ raise_exception(messages[0].content) }}"}), {"one?": "1"})
    )
    assert failed.kind == "model"
    assert "the catalog's chat template can't write this conversation (one?)" in failed.message


def test_events_come_in_the_order_of_the_work(tmp_path: Path, qwen: ModelEntry) -> None:
    with running(tmp_path) as fresh:
        fresh.send(speed(qwen))
        first = fresh.until("finished", "failed")[1]
        fresh.send(speed(qwen, job_id=2))
        second = fresh.until("finished", "failed")[1]
    steps = [[event.get("phase") or event["event"] for event in events] for events in (first, second)]
    assert list(dict.fromkeys(steps[0])) == ["fetching", "locked", "loading", "warming up", "measuring", "finished"]
    assert list(dict.fromkeys(steps[1])) == ["fetching", "locked", "warming up", "measuring", "finished"]
    measured = [Finished.model_validate(events[-1]).measurement for events in (first, second)]
    assert measured[0].figures.load_seconds is not None
    assert measured[1].figures.load_seconds is None
    assert measured[0].session == measured[1].session
    assert [one.session_position for one in measured] == [1, 2]


def test_a_second_job_on_a_loaded_model_starts_at_once(child: Child, qwen: ModelEntry) -> None:
    child.measure(speed(qwen))
    delays = []
    for job_id in range(2, 6):
        sent = child.send(quality(qwen, {f"question {n}": "1" for n in range(24)}, job_id, max_new_tokens=2))
        # The first call follows this event.
        delays.append(child.until(phase="warming up")[0] - sent)
        child.until("finished")
    assert min(delays) < 0.05


@pytest.mark.parametrize(
    ("change", "loads"), [({"batch_size": 2}, False), ({"precision": "float16"}, True), ({"attention": "eager"}, True)]
)
def test_a_model_is_loaded_again_only_where_it_must_be(
    child: Child, qwen: ModelEntry, change: dict[str, Any], loads: bool
) -> None:
    child.measure(speed(qwen))
    measured = child.measure(speed(qwen, job_id=2, **change))
    assert (measured.figures.load_seconds is not None) == loads


def test_another_model_takes_the_place_of_the_loaded_one(child: Child, qwen: ModelEntry, tiny_llama: Path) -> None:
    revisions = set()
    for model in (qwen, entry(f"file:{tiny_llama}"), qwen):
        measured = child.measure(speed(model))
        revisions.add(measured.resolved.revision)
    assert measured.figures.load_seconds is not None
    assert len(revisions) == 2


def test_a_gguf_file_is_converted_on_the_way(child: Child, tiny_gguf: Path) -> None:
    model = entry(f"gguf:{tiny_gguf}")
    first = child.measure(quality(model, {"hello": "x"}))
    again = child.measure(quality(model, {"hello": "x"}, job_id=2))
    assert again.answers == first.answers
    assert first.resolved.revision == again.resolved.revision


def test_failures_have_a_kind_and_a_sentence_and_the_session_lives_on(child: Child, qwen: ModelEntry) -> None:
    missing = child.fail(speed(entry("file:/nowhere/at/all"), job_id=7))
    assert (missing.job_id, missing.attempt, missing.kind) == (7, 1, "model")
    assert "there are no weights at /nowhere/at/all" in missing.message
    empty = child.fail(quality(qwen, {}))
    assert (empty.kind, empty.details) == ("input", "")
    assert child.measure(speed(qwen)).figures.iterations == 6


def test_packed_weights_are_measured_and_named(child: Child, qwen: ModelEntry) -> None:
    found = [child.measure(speed(qwen, precision=each)) for each in ("float32", "bfloat16", "int8", "int4")]
    quantisers = [each.resolved.quantiser for each in found]
    assert quantisers == [None, None, "benchbeat int8 g64 v1", "benchbeat int4 g64 v1"]
    sizes = [each.figures.weights_bytes or 0 for each in found]
    # Of so small a model the embedding, which stays in float32, is the most.
    assert sizes[0] > sizes[2] > sizes[3] > 0
    answers = child.measure(quality(qwen, {"facts-001": "What is a class?"}, precision="int4"))
    assert answers.resolved.quantiser == quantisers[-1]
    assert len(answers.answers) == 1


def test_a_path_outside_models_dir_is_never_opened(tmp_path: Path, qwen: ModelEntry) -> None:
    (tmp_path / "allowed").mkdir()
    with running(tmp_path, "--models-dir", str(tmp_path / "allowed")) as fenced:
        failed = fenced.fail(speed(qwen))
    assert failed.kind == "model"
    assert "outside this worker's models_dir" in failed.message


def test_a_line_that_is_no_order_is_answered(child: Child, qwen: ModelEntry) -> None:
    assert child.process.stdin is not None
    child.process.stdin.write(b'{"job_id": "x"}\n')
    child.process.stdin.flush()
    failed = Failed.model_validate(child.until("failed")[1][-1])
    assert (failed.job_id, failed.kind) == (0, "error")
    assert child.measure(speed(qwen)).figures.iterations == 6


def test_a_measurement_waits_for_the_device(tmp_path: Path, qwen: ModelEntry) -> None:
    (tmp_path / "locks").mkdir()
    with running(tmp_path) as waiting:
        with held("machine", tmp_path / "locks"):
            waiting.send(speed(qwen))
            waiting.until(phase="waiting for the device")
        events = waiting.until("finished")[1]
    assert Locked.model_validate(events[0]).waited_seconds > 0


def _measuring_for_ever(child: Child, model: ModelEntry) -> None:
    child.send(speed(model, new_tokens=1500, stop=StopRule(min_iterations=5000, max_iterations=5000, target=1e-9)))
    child.until(phase="warming up")


def test_the_end_of_input_ends_it_in_the_middle_of_a_measurement(tmp_path: Path, qwen: ModelEntry) -> None:
    with running(tmp_path) as busy:
        _measuring_for_ever(busy, qwen)
        assert busy.process.stdin is not None
        started = time.monotonic()
        busy.process.stdin.close()
        assert busy.process.wait(20) == 0
        assert time.monotonic() - started < 5
        with held("machine", tmp_path / "locks") as waited:
            assert waited < 5


def test_death_frees_the_device(tmp_path: Path, qwen: ModelEntry) -> None:
    with running(tmp_path) as busy:
        _measuring_for_ever(busy, qwen)
        busy.process.kill()
        with held("machine", tmp_path / "locks") as waited:
            assert waited < 5


def test_a_device_that_is_not_there_ends_it_with_a_sentence(tmp_path: Path) -> None:
    with running(tmp_path, "--device", "cuda", "--device-index", "99") as broken:
        assert broken.process.wait(60) == 2
        assert "there is no CUDA device 99" in broken.log.read_text()


# ---- as an object


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

    def fail(*arguments: Any) -> Any:
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

    def fail(adapter: Any, *arguments: Any) -> Any:
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

    def measure(adapter: Any, order: Order, prepared: Prepared, device: Any, report: Any) -> Outcome:
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


# ---- lines


def test_orders_are_read_whole_whatever_the_size_of_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    class ProcessEndError(Exception):
        pass

    def end(code: int) -> None:
        raise ProcessEndError

    monkeypatch.setattr(os, "_exit", end)
    lines = [b"a" * 200_000, b"", b"b", b"c" * 70_000]
    pieces = [b"\n".join(lines)[at : at + 65_536] for at in range(0, 300_000, 65_536)]
    stream = iter([*pieces, b"\nlast without an end", b""])
    monkeypatch.setattr(os, "read", lambda descriptor, size: next(stream))
    orders: SimpleQueue[bytes] = SimpleQueue()
    with pytest.raises(ProcessEndError):
        read_orders(0, orders)
    assert [orders.get_nowait() for _ in range(orders.qsize())] == lines


def test_an_event_larger_than_a_pipe_arrives_whole() -> None:
    reading, writing = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as lines:
            got.extend(lines)

    thread = Thread(target=read)
    thread.start()
    failed = Failed(job_id=1, attempt=1, kind="error", message="m", details="x" * 1_000_000)
    writer(writing)(failed)
    os.close(writing)
    thread.join(20)
    assert [Failed.model_validate_json(line) for line in got] == [failed]


def test_an_order_survives_the_line(qwen: ModelEntry) -> None:
    order = quality(qwen, {"line\nbreak and \u2028 and ü": "x"})
    line = order.model_dump_json().encode()
    assert b"\n" not in line
    assert parse_order(line) == order


# ---- the real model


@pytest.mark.model
def test_the_real_model_answers_paris_and_stays_loaded(tmp_path: Path, smollm: Path, model_home: Path) -> None:
    from bench.catalog import builtin_models

    model = builtin_models()["smollm2-135m"]
    with running(tmp_path, "--home", str(model_home)) as child:
        measured = child.measure(quality(model, {"What is the capital of France?": "Paris"}, max_new_tokens=16))
        assert measured.answers[0].text == "The capital of France is Paris."
        assert measured.figures.accuracy == 1.0
        assert measured.resolved.revision == model.sha256
        assert (measured.figures.load_seconds or 0) > 0
        delays = []
        for job_id in range(2, 5):
            sent = child.send(quality(model, {"Hi!": "Hi"}, job_id, max_new_tokens=2))
            delays.append(child.until(phase="warming up")[0] - sent)
            child.until("finished")
        assert min(delays) < 0.05
