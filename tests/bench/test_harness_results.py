"""From lm-eval's results to ours."""

import math
from typing import Any

import pytest

from bench.harness_results import Accuracy, Tokens, accuracy, answers, metrics
from bench.results import Metric


def metric(task: str, name: str, value: float, stderr: float | None = None, filter_: str = "none") -> Metric:
    return Metric(task=task, name=name, filter=filter_, value=value, stderr=stderr)


def count(prompt: str) -> Tokens:
    return Tokens(len(prompt.split()), 0, "stop")


def test_what_is_no_finite_number_is_left_out() -> None:
    entry = {
        "name": "t",
        "sample_len": 3,
        "acc,none": 0.5,
        "acc_stderr,none": 0.25,
        "f1,none": 1,
        "f1_stderr,none": "N/A",
        "perplexity,none": math.inf,
        "word,none": "text",
        "list,none": [1, 2],
        "nothing,none": None,
    }
    assert metrics({"results": {"t": entry}}) == (metric("t", "acc", 0.5, 0.25), metric("t", "f1", 1.0))


def test_acc_goes_before_exact_match_and_the_first_filter_before_the_others() -> None:
    found = [
        metric("t", "exact_match", 0.1, 0.01, "strict"),
        metric("t", "exact_match", 0.2, 0.02, "loose"),
        metric("u", "exact_match", 0.3, 0.03),
        metric("u", "acc", 0.4, 0.04),
    ]
    assert accuracy(found, "t", {"t": 5}) == Accuracy(0.1, 0.01)
    assert accuracy(found, "u", {"u": 5}) == Accuracy(0.4, 0.04)


def test_a_group_that_aggregates_nothing_gets_the_mean_over_all_documents() -> None:
    found = [metric("a", "acc", 0.5, 0.1), metric("b", "acc", 0.8, 0.2)]
    value, stderr = accuracy(found, "tag", {"a": 10, "b": 30})
    assert value == pytest.approx((0.5 * 10 + 0.8 * 30) / 40)
    assert stderr == pytest.approx(math.sqrt((0.1 * 10) ** 2 + (0.2 * 30) ** 2) / 40)
    assert accuracy([*found, metric("tag", "acc", 0.7, 0.3)], "tag", {"a": 10, "b": 30}) == Accuracy(0.7, 0.3)


def test_a_group_without_an_accuracy_in_each_task_has_none() -> None:
    found = [metric("a", "acc", 0.5, 0.1), metric("b", "f1", 0.8, 0.2)]
    assert accuracy(found, "tag", {"a": 10, "b": 30}) == Accuracy(None, None)
    assert accuracy([metric("a", "acc", 0.5)], "tag", {"a": 10}) == Accuracy(0.5, None)
    assert accuracy([], "tag", {}) == Accuracy(None, None)


def _sample(**fields: Any) -> dict[str, Any]:
    return {"doc_id": 4, "filter": "none", "target": "x", **fields}


def test_an_answer_is_the_likeliest_choice() -> None:
    arguments = [("how many legs", " two"), ("how many legs", " four")]
    likely = [(-9.5, False), (-2.5, False)]
    sample = _sample(arguments=arguments, resps=[[each] for each in likely], filtered_resps=likely, acc=1.0)
    (answer,) = answers({"samples": {"t": [sample]}}, [metric("t", "acc", 1.0)], count)
    assert (answer.item_id, answer.text, answer.extracted, answer.score) == ("4", "four", "four", 1.0)
    assert (answer.prompt_tokens, answer.new_tokens, answer.finish) == (3, 0, "stop")


def test_an_answer_is_what_was_generated_with_the_first_filter_s_reading() -> None:
    fields: dict[str, Any] = {"arguments": [("how many legs", {"until": []})], "resps": [["It has four legs"]]}
    samples = [
        _sample(**fields, filter="strict", filtered_resps=["[invalid]"], exact_match=0.0),
        _sample(**fields, filter="loose", filtered_resps=[["four"]], exact_match=1.0),
    ]
    found = [metric("t", "exact_match", 0.0, filter_="strict"), metric("t", "exact_match", 1.0, filter_="loose")]
    (answer,) = answers({"samples": {"t": samples}}, found, count)
    assert (answer.text, answer.extracted, answer.score) == ("It has four legs", "[invalid]", 0.0)
    (other,) = answers({"samples": {"t": samples}}, found[1:], count)
    assert (other.extracted, other.score) == ("four", 1.0)


def test_a_likelihood_alone_is_no_answer() -> None:
    sample = _sample(arguments=[("a text",)], resps=[[-3.5]], filtered_resps=[-3.5], word_perplexity=(-3.5, 2))
    assert answers({"samples": {"t": [sample]}}, [], count) == ()
    sample = _sample(arguments=[("a", " b")], resps=[[(-3.5, True)]], filtered_resps=[(-3.5, True)], acc=1.0)
    assert answers({"samples": {"t": [sample]}}, [metric("t", "acc", 1.0)], count) == ()


def test_ids_name_their_task_where_there_are_several_and_odd_scores_are_none() -> None:
    def sample(score: Any) -> dict[str, Any]:
        return _sample(arguments=[("q", {})], resps=[["text"]], filtered_resps=["text"], acc=score)

    found = [metric("a", "acc", 1.0), metric("b", "acc", 1.0)]
    made = answers({"samples": {"a": [sample(17)], "b": [sample(True)]}}, found, count)
    assert [(each.item_id, each.score) for each in made] == [("a/4", None), ("b/4", 1.0)]
