from importlib.metadata import version
from typing import Any

import pytest

from bench.workloads import Item
from worker.adapters.text import Generated
from worker.judging import Judge

SUM = Item(id="a", prompt="3 + 4?", answer="7")
LONG = "The river runs from the hills to the sea, and many small towns stand on its banks. People fish there all year."


def judged(text: str, *, scorer: str = "number", pattern: str | None = None, item: Item = SUM, **fields: Any) -> Any:
    generated = Generated(text, 5, 9, fields.pop("finish", "stop"), **fields)
    return Judge(scorer, pattern).answer(item, 2, generated)


def test_an_answer_carries_what_was_generated() -> None:
    answer = judged("Answer: 7")
    assert (answer.item_id, answer.sample, answer.text) == ("a", 2, "Answer: 7")
    assert (answer.prompt_tokens, answer.new_tokens, answer.finish) == (5, 9, "stop")
    assert (answer.extracted, answer.score, answer.thinking_tokens) == ("7", 1.0, None)


def test_what_stands_after_the_thoughts_is_judged() -> None:
    answer = judged("3 and 4 are 8, no\n</think>\n\n7", thinking_tokens=6)
    assert (answer.extracted, answer.score, answer.thinking_tokens) == ("7", 1.0, 6)


@pytest.mark.parametrize(("finish", "text"), [("thinking", "so it is 7"), ("stop", "<think>it is 7")])
def test_thoughts_that_never_end_are_no_answer(finish: str, text: str) -> None:
    answer = judged(text, finish=finish, thinking_tokens=9)
    assert (answer.extracted, answer.score, answer.readability) == (None, 0.0, None)
    assert answer.finish == finish


def test_what_is_not_scored_is_not_scored_in_thoughts_either() -> None:
    assert judged("so", scorer="none", finish="thinking", thinking_tokens=9).score is None


def test_a_strategy_s_expression_finds_the_answer() -> None:
    text = "First 4, then 9. Result=7; I was sure of 8."
    assert judged(text).score == 0.0
    assert judged(text, pattern=r"Result=(\d+)").extracted == "7"
    assert judged("no result", pattern=r"Result=(\d+)").score == 0.0


def test_only_what_is_said_after_the_thoughts_is_read() -> None:
    plain = judged(LONG, scorer="none").readability
    assert plain is not None
    assert 0 < plain <= 100
    thought = judged(f"Incomprehensibilities notwithstanding, </think>{LONG}", scorer="none", thinking_tokens=4)
    assert thought.readability == plain
    assert judged("Seven.").readability is None


def test_a_form_that_is_asked_for_and_missing_costs_readability() -> None:
    item = Item(id="w", prompt="Write.", answer="", structure=("bullets 3",))
    free, shaped = judged(LONG, scorer="none"), judged(LONG, scorer="none", item=item)
    assert shaped.readability < free.readability


@pytest.mark.parametrize(
    ("scorer", "pattern", "text", "names"),
    [
        ("number", None, "7", None),
        ("regex", None, "7", ["regex"]),
        ("number", "(.*)", "7", ["regex"]),
        ("json_schema", None, "7", ["jsonschema"]),
        ("none", None, LONG, ["textstat"]),
    ],
)
def test_the_libraries_that_had_a_part_are_named(
    scorer: str, pattern: str | None, text: str, names: list[str] | None
) -> None:
    item = Item(id="a", prompt="?", answer='{"type": "number"}' if scorer == "json_schema" else "7")
    answer = judged(text, scorer=scorer, pattern=pattern, item=item)
    expected = {name: version(name) for name in names} if names else None
    assert Judge(scorer, pattern).libraries([answer]) == expected
