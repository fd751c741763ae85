"""The session as a real process with tiny models."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.catalog import ModelEntry
from bench.spec import StopRule, hash_of
from tests.worker.sessions import Child, entry, quality, running, speed
from worker.device_lock import held
from worker.protocol import Failed, Finished, Go, Locked


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
    work = ["warming up", "measuring", "released", "finished"]
    assert list(dict.fromkeys(steps[0])) == ["fetching", "locked", "loading", *work]
    assert list(dict.fromkeys(steps[1])) == ["fetching", "locked", *work]
    measured = [Finished.model_validate(events[-1]).measurement for events in (first, second)]
    assert measured[0].figures.load_seconds is not None
    assert measured[1].figures.load_seconds is None
    assert measured[0].session == measured[1].session
    assert [one.session_position for one in measured] == [1, 2]


def test_a_gated_job_begins_when_it_is_told_to(tmp_path: Path, qwen: ModelEntry) -> None:
    with running(tmp_path) as fresh:
        for job_id in (1, 2):
            fresh.send(speed(qwen, job_id=job_id).model_copy(update={"gated": True}))
            fresh.until("locked")
            # It holds the device and does nothing with it: what it waits is no part of what it records.
            told_at = time.time()
            fresh.send(Go(go=job_id))
            last = fresh.until("finished", "failed")[1][-1]
            assert Finished.model_validate(last).measurement.started_at >= told_at
        fresh.send(speed(qwen, job_id=3).model_copy(update={"gated": True}))
        fresh.until("locked")
        fresh.send(Go(go=4))
        assert "job 4 was let begin, not 3" in fresh.until("finished", "failed")[1][-1]["message"]


def test_a_session_whose_worker_is_gone_waits_for_nobody(tmp_path: Path, qwen: ModelEntry) -> None:
    with running(tmp_path) as fresh:
        fresh.send(speed(qwen).model_copy(update={"gated": True}))
        fresh.until("locked")
        assert fresh.process.stdin is not None
        fresh.process.stdin.close()
        assert fresh.process.wait(60) == 0


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
