from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.catalog import ModelEntry
from bench.errors import InputError
from bench.results import Figures
from bench.spec import JobSpec
from bench.workloads import Item
from tests.worker.fakes import FakeAdapter, FakeClock, FakeCounter, FakeDevice
from worker.energy import Meter
from worker.judging import judged
from worker.measure import Outcome, measuring
from worker.protocol import Order, Progress, Prompt
from worker.quality import measure_quality
from worker.reader import Passage
from worker.sampling import Decoding, generation_seed

#: the fake model answers with the number of words of the question
QUESTIONS = {
    "a": ("one two three", "3"),
    "b": ("one", "7"),
    "c": ("one two three four five", "5"),
    "d": ("one two", "2"),
}


def order(score: str | None = "number", **fields: Any) -> Order:
    prompts = tuple(
        Prompt(item=Item(id=name, prompt=text, answer=answer), messages=({"role": "user", "content": text},))
        for name, (text, answer) in QUESTIONS.items()
    )
    return Order(
        job_id=1,
        attempt=1,
        spec=JobSpec.model_validate({"model": "m", "workload": "w", "batch_size": 2, "max_new_tokens": 9, **fields}),
        model=ModelEntry(name="m", task="text", source="file:m", precision="float32", memory_gib={"float32": 1.0}),
        score=score,
        prompts=prompts,
    )


def measure(
    given: Order, adapter: FakeAdapter | None = None, device: FakeDevice | None = None, told: Any = None
) -> Outcome:
    adapter = adapter or FakeAdapter(FakeClock())
    report = told.append if told is not None else lambda progress: None
    return judged(given, measure_quality(adapter, given, device or FakeDevice(), report, Path, adapter.clock), unread)


def unread(passages: Sequence[Passage]) -> list[None]:
    """Take every answer for too short to be read."""
    return [None] * len(passages)


def test_answers_come_in_the_order_of_the_items_with_their_scores() -> None:
    answers = measure(order()).answers
    assert [answer.item_id for answer in answers] == ["a", "b", "c", "d"]
    assert [answer.score for answer in answers] == [1.0, 0.0, 1.0, 1.0]
    assert [answer.extracted for answer in answers] == ["3", "1", "5", "2"]
    assert [answer.prompt_tokens for answer in answers] == [3, 1, 5, 2]
    assert answers[0].text == "Answer: 3"
    assert (answers[0].new_tokens, answers[0].finish) == (3, "stop")


def test_nothing_is_judged_while_it_is_measured() -> None:
    adapter = FakeAdapter(FakeClock())
    outcome = measure_quality(adapter, order(), FakeDevice(), lambda progress: None, Path, adapter.clock)
    assert {(answer.score, answer.extracted, answer.readability) for answer in outcome.answers} == {(None, None, None)}
    assert outcome.figures == Figures(iterations=1, first_call_seconds=outcome.figures.first_call_seconds)
    assert (outcome.breakdowns, outcome.libraries) == ((), None)


def test_energy_is_that_of_the_batches_without_the_first_call() -> None:
    adapter = FakeAdapter(FakeClock())
    counter = FakeCounter(adapter.clock, watts=10, reading_seconds=50.0)
    meter = Meter(lambda: counter)
    outcome = measure_quality(adapter, order(), FakeDevice(), lambda progress: None, Path, adapter.clock, meter)
    # two batches of two seconds, of two answers of three tokens each
    assert outcome.energy == {
        "energy_joules": pytest.approx(40),
        "energy_joules_per_token": pytest.approx(40 / 12),
        "energy_source": "rapl",
    }
    assert [sample.latency_seconds for sample in outcome.samples] == pytest.approx([2.0, 2.0])


def test_what_is_compiled_is_compiled_before_the_clock_starts() -> None:
    adapter = FakeAdapter(FakeClock())
    outcome = measure(order(compile=True), adapter)
    asked = [([len(prompt) for prompt in prompts], decoding.max_new_tokens) for prompts, decoding, _ in adapter.batches]
    assert asked == [([1], 1), ([5, 3], 3), ([2, 1], 3), ([5, 3], 9), ([2, 1], 9)]
    assert len(outcome.samples) == 2
    assert outcome.figures.first_call_seconds == measure(order()).figures.first_call_seconds


def test_the_longest_prompts_go_first_and_like_goes_with_like() -> None:
    adapter = FakeAdapter(FakeClock())
    measure(order(), adapter)
    lengths = [[len(prompt) for prompt in prompts] for prompts, _, _ in adapter.batches]
    assert lengths == [[1], [5, 3], [2, 1]]


def test_the_first_call_is_one_token_and_no_part_of_the_figures() -> None:
    adapter = FakeAdapter(FakeClock())
    outcome = measure(order(), adapter)
    assert [decoding.max_new_tokens for _, decoding, _ in adapter.batches] == [1, 9, 9]
    assert outcome.figures.first_call_seconds == pytest.approx(0.25)
    assert len(outcome.samples) == 2


def test_the_figures_are_totals() -> None:
    figures = measure(order()).figures
    # two calls of two seconds, four answers of three tokens
    assert figures.iterations == 1
    assert figures.items == 4
    assert figures.latency_seconds == pytest.approx(1.0)
    assert figures.decode_tokens_per_second == pytest.approx(3.0)
    assert figures.accuracy == pytest.approx(0.75)
    assert figures.accuracy_stderr == pytest.approx(0.25)
    assert (figures.ttft_seconds, figures.latency_low_seconds, figures.inter_token_p50_seconds) == (None, None, None)


def test_one_sample_is_one_call() -> None:
    first, second = measure(order()).samples
    assert (first.iteration, first.batch_size, first.prompt_tokens, first.new_tokens) == (0, 2, 5, 6)
    assert (second.iteration, second.prompt_tokens) == (1, 2)
    assert first.latency_seconds == pytest.approx(2.0)
    assert first.decode_tokens_per_second == pytest.approx(3.0)
    assert (first.ttft_seconds, first.inter_token_seconds) == (None, ())


def test_every_item_is_asked_as_often_as_the_job_says_with_a_seed_of_its_own() -> None:
    adapter = FakeAdapter(FakeClock())
    outcome = measure(order(samples=3, temperature=0.5, seed=11, batch_size=5), adapter)
    assert [(answer.item_id, answer.sample) for answer in outcome.answers] == [
        (name, sample) for name in "abcd" for sample in range(3)
    ]
    seeds = {seed for _, decoding, seeds in adapter.batches if decoding.max_new_tokens > 1 for seed in seeds}
    assert seeds == {generation_seed(11, name, sample) for name in "abcd" for sample in range(3)}
    assert outcome.figures.items == 4
    # The error is clustered: asking the same item three times tells nothing about more items.
    assert outcome.figures.accuracy_stderr == pytest.approx(0.25)


def test_the_settings_in_force_are_given() -> None:
    assert measure(order(temperature=0.5, top_k=3)).decoding == Decoding(0.5, 1.0, 3, 1.0, 9)._asdict()


@pytest.mark.parametrize("score", [None, "none"])
def test_a_workload_that_is_not_scored_has_no_accuracy(score: str | None) -> None:
    outcome = measure(order(score))
    assert {answer.score for answer in outcome.answers} == {None}
    assert (outcome.figures.accuracy, outcome.figures.accuracy_stderr) == (None, None)
    assert outcome.figures.items == 4


def test_progress_counts_answers() -> None:
    told: list[Progress] = []
    measure(order(), told=told)
    assert [(progress.phase, progress.done, progress.total) for progress in told] == [
        ("warming up", 0, 4),
        ("measuring", 2, 4),
        ("measuring", 4, 4),
    ]
    assert told[1].median_seconds == pytest.approx(1.0)


def test_progress_has_the_median_of_the_seconds_per_answer_and_its_interval() -> None:
    told = measuring([0.5, 9.0, 0.4], done=6, total=12)
    assert (told.phase, told.done, told.total, told.median_seconds) == ("measuring", 6, 12, 0.5)
    assert (told.low_seconds, told.high_seconds) == (None, None)
    told = measuring([0.3, 0.1, 0.2, 0.6, 0.5, 0.4], done=6)
    assert told.median_seconds == pytest.approx(0.35)
    assert (told.low_seconds, told.high_seconds) == (0.1, 0.6)


def test_spans_are_synchronised_and_fallbacks_passed_on() -> None:
    device = FakeDevice(fallbacks=("aten::odd",))
    assert measure(order(), device=device).fallbacks == ("aten::odd",)
    assert device.synchronized == 2 * 3


def test_a_job_without_items_is_refused() -> None:
    empty = order().model_copy(update={"prompts": ()})
    with pytest.raises(InputError, match="no items of workload 'w'"):
        measure(empty)
