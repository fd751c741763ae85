from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest

from bench.catalog import ModelEntry
from bench.readability import readability
from bench.results import Answer, Figures, Sample
from bench.spec import JobSpec
from bench.workloads import Item
from worker.judging import Judge, judged
from worker.measure import Outcome
from worker.protocol import Order, Prompt
from worker.reader import Reader

SUM = Item(id="a", prompt="3 + 4?", answer="7")
LONG = "The river runs from the hills to the sea, and many small towns stand on its banks. People fish there all year."
ENTRY = ModelEntry(name="m", task="text", source="file:m", precision="float32", memory_gib={"float32": 1.0})


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


def given(text: str, item_id: str = "a", **fields: Any) -> Answer:
    """Return an answer that nobody has judged."""
    made = {"sample": 2, "extracted": None, "score": None, "prompt_tokens": 5, "new_tokens": 9, "finish": "stop"}
    return Answer.model_validate({"item_id": item_id, "text": text, **made, **fields})


def scored(text: str, *, scorer: str = "number", pattern: str | None = None, item: Item = SUM, **fields: Any) -> Answer:
    return Judge(scorer, pattern).scored(item, given(text, **fields))


def judge_all(reader: Reader, items: list[Item], answers: list[Answer], **fields: Any) -> Outcome:
    order = Order(
        job_id=1,
        attempt=1,
        spec=JobSpec(model="m", workload="w"),
        model=ENTRY,
        prompts=tuple(Prompt(item=item, messages=()) for item in items),
        **fields,
    )
    call = Sample(iteration=0, batch_size=len(answers), prompt_tokens=5, new_tokens=9, latency_seconds=2.0)
    outcome = Outcome(Figures(iterations=1, first_call_seconds=0.5), (call,), tuple(answers))
    return judged(order, outcome, reader.read)


def test_an_answer_carries_what_was_generated() -> None:
    answer = scored("Answer: 7")
    assert (answer.item_id, answer.sample, answer.text) == ("a", 2, "Answer: 7")
    assert (answer.prompt_tokens, answer.new_tokens, answer.finish) == (5, 9, "stop")
    assert (answer.extracted, answer.score, answer.thinking_tokens) == ("7", 1.0, None)


def test_what_stands_after_the_thoughts_is_judged() -> None:
    answer = scored("3 and 4 are 8, no\n</think>\n\n7", thinking_tokens=6)
    assert (answer.extracted, answer.score, answer.thinking_tokens) == ("7", 1.0, 6)


@pytest.mark.parametrize(("finish", "text"), [("thinking", "so it is 7"), ("stop", "<think>it is 7")])
def test_thoughts_that_never_end_are_no_answer(finish: str, text: str) -> None:
    answer = scored(text, finish=finish, thinking_tokens=9)
    assert (answer.extracted, answer.score) == (None, 0.0)
    assert answer.finish == finish


def test_what_is_not_scored_is_not_scored_in_thoughts_either() -> None:
    assert scored("so", scorer="none", finish="thinking", thinking_tokens=9).score is None


def test_a_strategy_s_expression_finds_the_answer() -> None:
    text = "First 4, then 9. Result=7; I was sure of 8."
    assert scored(text).score == 0.0
    assert scored(text, pattern=r"Result=(\d+)").extracted == "7"
    assert scored("no result", pattern=r"Result=(\d+)").score == 0.0


def test_the_figures_follow_from_the_judged_answers(reader: Reader) -> None:
    items = [SUM.model_copy(update={"level": 1}), Item(id="b", prompt="?", answer="8", level=2)]
    outcome = judge_all(reader, items, [given("Answer: 7"), given(f"{LONG} 9", "b")], score="number")
    assert [answer.score for answer in outcome.answers] == [1.0, 0.0]
    assert [answer.readability is None for answer in outcome.answers] == [True, False]
    figures = outcome.figures
    assert (figures.accuracy, figures.items, figures.first_call_seconds, figures.latency_seconds) == (0.5, 2, 0.5, 1.0)
    assert figures.readability == outcome.answers[1].readability
    assert [(part.by, part.value, part.accuracy) for part in outcome.breakdowns] == [
        ("level", "1", 1),
        ("level", "2", 0),
    ]
    assert outcome.libraries == {"textstat": version("textstat")}


def test_only_what_is_said_after_the_thoughts_is_read(reader: Reader) -> None:
    thoughts = "Incomprehensibilities notwithstanding, "
    texts = [given(LONG), given(f"{thoughts}</think>{LONG}", thinking_tokens=4), given("Seven.")]
    texts += [given(thoughts * 20, finish="thinking", thinking_tokens=9), given(f"<think>{LONG}", thinking_tokens=9)]
    read = [answer.readability for answer in judge_all(reader, [SUM], texts).answers]
    assert read == [readability(LONG), readability(LONG), None, None, None]


def test_the_language_and_the_form_that_are_asked_for_are_read(reader: Reader) -> None:
    plain = Item(id="a", prompt="Write.", answer="")
    shaped = plain.model_copy(update={"id": "b", "structure": ("bullets 3",)})
    german = plain.model_copy(update={"id": "c", "language": "de"})
    answers = judge_all(reader, [plain, shaped, german], [given(LONG, name) for name in "abc"]).answers
    assert [answer.readability for answer in answers] == [
        readability(LONG),
        readability(LONG, None, ("bullets 3",)),
        readability(LONG, "de"),
    ]
    assert len({answer.readability for answer in answers}) == 3


def test_answers_that_can_t_be_read_are_judged_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    outcome = judge_all(Reader(("/nowhere/at/all",)), [SUM], [given(f"{LONG} 7")], score="number", prose=True)
    assert (outcome.answers[0].score, outcome.answers[0].readability, outcome.figures.readability) == (1.0, None, None)
    assert outcome.figures.quality == 10.0
    assert outcome.libraries is None
    assert "readability of 1 answers is not measured" in caplog.text


@pytest.mark.parametrize(
    ("scorer", "pattern", "text", "names"),
    [
        ("number", None, "7", None),
        ("regex", None, "7", ["regex"]),
        ("number", "(.*)", "7", ["regex"]),
        ("json_schema", None, "7", ["jsonschema"]),
    ],
)
def test_the_libraries_that_had_a_part_are_named(
    scorer: str, pattern: str | None, text: str, names: list[str] | None
) -> None:
    item = Item(id="a", prompt="?", answer='{"type": "number"}' if scorer == "json_schema" else "7")
    answer = scored(text, scorer=scorer, pattern=pattern, item=item)
    expected = {name: version(name) for name in names} if names else None
    assert Judge(scorer, pattern).libraries([answer]) == expected
