from typing import Any

import pytest

from bench.catalog import ModelEntry
from bench.quality import QUALITY_FORMULA, quality
from bench.results import Answer, Figures, Sample
from bench.spec import JobSpec
from bench.workloads import Item
from worker.protocol import Order
from worker.summary import breakdowns, quality_figures

ENTRY = ModelEntry(name="m", task="text", source="file:m", precision="float32", memory_gib={"float32": 1.0})


def answer(item_id: str, score: float | None = 1.0, sample: int = 0, **fields: Any) -> Answer:
    given = {"text": "7", "extracted": "7", "prompt_tokens": 5, "new_tokens": 10, "finish": "stop", **fields}
    return Answer.model_validate({"item_id": item_id, "sample": sample, "score": score, **given})


def summed(*answers: Answer, seconds: float = 6.0, samples: int = 1, **fields: Any) -> Figures:
    spec = JobSpec.model_validate({"model": "m", "workload": "w", "samples": samples, "temperature": 0.5})
    order = Order.model_validate({"job_id": 1, "attempt": 1, "spec": spec, "model": ENTRY, "score": "number", **fields})
    call = Sample(iteration=0, batch_size=len(answers), prompt_tokens=5, new_tokens=10, latency_seconds=seconds)
    return quality_figures(order, [call], answers, 0.5)


def test_tokens_and_seconds_are_shared_by_what_was_right() -> None:
    figures = summed(answer("a"), answer("b", 0.5), answer("c", 0.0))
    assert figures.tokens_per_correct_answer == pytest.approx(20.0)
    assert figures.seconds_per_correct_answer == pytest.approx(4.0)


@pytest.mark.parametrize("score", [0.0, None])
def test_where_nothing_is_right_there_is_no_price_of_it(score: float | None) -> None:
    figures = summed(answer("a", score), answer("b", score))
    assert (figures.tokens_per_correct_answer, figures.seconds_per_correct_answer) == (None, None)


def test_thoughts_are_counted_apart() -> None:
    figures = summed(answer("a", thinking_tokens=8), answer("b", thinking_tokens=4), answer("c"))
    assert figures.thinking_tokens == pytest.approx(6.0)
    assert figures.answer_tokens == pytest.approx((2 + 6 + 10) / 3)
    assert summed(answer("a")).thinking_tokens is None


def test_only_what_the_model_ended_is_complete() -> None:
    ends = [
        answer(name, finish=finish) for name, finish in zip("abcd", ["stop", "length", "thinking", "stop"], strict=True)
    ]
    assert summed(*ends).completed == pytest.approx(0.5)


def test_readability_is_the_mean_of_what_could_be_read() -> None:
    assert summed(answer("a", readability=40.0), answer("b"), answer("c", readability=80.0)).readability == 60.0
    assert summed(answer("a")).readability is None


def test_consistency_is_how_often_answers_to_an_item_agree() -> None:
    same = [answer("a", sample=sample) for sample in range(2)]
    other = [answer("b", sample=sample, text=str(sample), extracted=str(sample)) for sample in range(2)]
    assert summed(*same, *other, samples=2).consistency == pytest.approx(0.5)
    assert summed(answer("a"), answer("b")).consistency is None


def test_thoughts_without_an_answer_agree_with_nothing() -> None:
    lost = [answer("a", 0.0, sample, text="7", extracted=None, thinking_tokens=10) for sample in range(2)]
    assert summed(*lost, samples=2).consistency == 0.0


def test_quality_counts_readability_only_in_prose() -> None:
    answers = [answer("a", readability=50.0), answer("b", 0.0, finish="length", readability=50.0)]
    plain, prose = summed(*answers), summed(*answers, prose=True)
    assert plain.quality == pytest.approx(quality(accuracy=0.5, completed=0.5))
    assert prose.quality == pytest.approx(quality(accuracy=0.5, completed=0.5, readability=50.0))
    assert plain.quality_formula == prose.quality_formula == QUALITY_FORMULA
    assert plain.readability == prose.readability == 50.0


def test_without_scores_there_is_no_quality() -> None:
    figures = summed(answer("a", None), score="none")
    assert (figures.accuracy, figures.quality, figures.quality_formula) == (None, None, None)
    assert figures.completed == 1.0


# ---- breakdowns


def item(name: str, level: int | None = None, language: str | None = None) -> Item:
    return Item(id=name, prompt="?", answer="7", level=level, language=language)


def test_accuracy_is_broken_down_by_level_then_by_language() -> None:
    items = [item("a", 2, "fr"), item("b", 1, "de"), item("c", 2, "de")]
    found = breakdowns(items, [answer("a"), answer("b", 0.0), answer("c", 0.0)])
    assert [(each.by, each.value, each.items, each.accuracy) for each in found] == [
        ("level", "1", 1, 0.0),
        ("level", "2", 2, 0.5),
        ("language", "de", 2, 0.0),
        ("language", "fr", 1, 1.0),
    ]
    assert found[0].accuracy_stderr is None
    assert found[1].accuracy_stderr == pytest.approx(0.5)


def test_the_error_of_a_part_is_clustered_by_item() -> None:
    answers = [answer(name, score, sample) for name, score in (("a", 1.0), ("b", 0.0)) for sample in range(4)]
    (only,) = breakdowns([item("a", 1), item("b", 1)], answers)
    assert only.items == 2
    assert only.accuracy_stderr == pytest.approx(0.5)


def test_items_without_a_level_are_left_out_and_where_none_has_one_there_is_nothing() -> None:
    assert [each.items for each in breakdowns([item("a", 1), item("b")], [answer("a"), answer("b")])] == [1]
    assert breakdowns([item("a")], [answer("a")]) == ()
    assert breakdowns([item("a", 1)], [answer("a", None)]) == ()
