import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import json_answers
from bench.scoring import agreement_key, check_answer, check_pattern, score
from tests.bench.growth import assert_linear
from tests.bench.hard_cases import PERSON

ANSWERS: dict[str, str | tuple[str, ...]] = {
    "number": "7",
    "exact": "seven",
    "choice": "B",
    "contains": ("7", "seven"),
    "regex": r"\bseven\b",
    "json_schema": PERSON,
    "keywords": ("seven|7", "plant*"),
    "constraints": ("words 1..3", "contains: seven", "sentences 1", "quoted", "ends with: seven"),
    "none": "",
}
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
REPEATED = [
    *('{"', "[1,", '{"a":', '\\"', "```\n", "{x:", "1 111 ", "1.111", "one ", "one hundred and ", ". ", "?!", "...a"),
    *("\n\n", "- ", "# ", "1. ", "**1** ", " (1)", "~~", "1× 10^5", "answer is 1 ", "tree ", "- - ", "half a ", "{ "),
]


@pytest.mark.parametrize("scorer", sorted(ANSWERS))
@given(text=st.text(max_size=200), pattern=st.none() | st.sampled_from([r"<(.*)>", r"\w+", "("]))
def test_any_text_is_judged_from_0_to_1(scorer: str, text: str, pattern: str | None) -> None:
    extracted, value = score(scorer, text, ANSWERS[scorer], pattern)
    assert value is None if scorer == "none" else value is not None and 0 <= value <= 1
    assert extracted is None or len(extracted) <= 200


@pytest.mark.parametrize("scorer", ["number", "contains", "exact", "keywords", "regex"])
@pytest.mark.parametrize("form", ["  {}\n", "**{}**", "*{}*", "`{}`"])
@pytest.mark.parametrize("text", ["seven", "7", "eight"])
def test_space_and_emphasis_change_nothing(scorer: str, form: str, text: str) -> None:
    assert score(scorer, form.format(text), ANSWERS[scorer]).score == score(scorer, text, ANSWERS[scorer]).score


@pytest.mark.parametrize("scorer", ["number", "contains", "exact", "keywords"])
@given(text=st.sampled_from(["seven", "It is seven.", "a plant", "forty-two", "Answer: seven"]))
def test_case_changes_nothing(scorer: str, text: str) -> None:
    assert score(scorer, text.upper(), ANSWERS[scorer]).score == score(scorer, text.lower(), ANSWERS[scorer]).score


@given(st.text("ab c", max_size=30), st.text("ab c", max_size=30))
def test_more_text_covers_no_fewer_points(text: str, more: str) -> None:
    points = ("a", "b c", "ab*")
    assert (score("keywords", f"{text} {more}", points).score or 0) >= (score("keywords", text, points).score or 0)


@given(VALUES)
def test_json_comes_back_from_its_canonical_form(value: Any) -> None:
    canonical = json_answers.canonical(value)
    assert canonical is not None
    assert json_answers.find_json(canonical) == value
    assert json_answers.canonical(json.loads(canonical)) == canonical
    assert json_answers.find_json(f"```json\n{json.dumps(value, indent=2)}\n```") == value


@pytest.mark.parametrize("scorer", sorted(ANSWERS))
def test_endless_repetition_takes_linear_time(scorer: str) -> None:
    for unit in REPEATED:
        assert_linear(lambda text: score(scorer, text, ANSWERS[scorer]), unit, "x")


def test_expressions_that_would_hang_find_nothing() -> None:
    text = "a" * 60 + "b"
    for scorer, answer, pattern in (
        ("regex", r"^(a|aa)+$", None),
        ("constraints", r"matches: ^(a|aa)+$", None),
        ("number", "7", r"^(a|aa)+$"),
    ):
        start = time.process_time()
        assert score(scorer, text, answer, pattern).score == 0.0
        assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("scorer", "answer", "fault"),
    [
        ("regex", "(", "'(' is no regular expression: missing )"),
        ("regex", "(?:(?:a{99}){99}){99}", "its nested counts"),
        ("json_schema", "{", "the schema is no JSON: Expecting"),
        ("json_schema", "[]", "the schema is no JSON object"),
        ("json_schema", '{"type": "strnig"}', "the schema is faulty at type"),
        ("json_schema", '{"$ref": "#"}', "refers to itself without end"),
        ("json_schema", '{"properties": {"a": {"$ref": "#/$defs/a"}}}', "which it does not hold"),
        ("json_schema", '{"$ref": "https://example.org/schema.json"}', "which it does not hold"),
        ("json_schema", '{"pattern": "("}', "expression '(' is faulty"),
        ("keywords", "plant||tree", "has an alternative that holds no letter"),
        ("constraints", "wrods 3", "did you mean 'words'"),
    ],
)
def test_answers_that_cannot_be_scored(scorer: str, answer: str, fault: str) -> None:
    assert fault in (check_answer(scorer, answer) or "")


def test_output_patterns_are_checked() -> None:
    assert check_pattern(r"<<(.*?)>>") is None
    assert check_pattern("(") == "it is no regular expression: missing ) at position 1"


@pytest.mark.parametrize(
    ("scorer", "one", "other", "agree"),
    [
        ("number", "It is 7", "Answer: 7.0", True),
        ("number", "7", "8", False),
        ("number", "?", "?", False),
        ("contains", "seven", "It is 7", True),
        ("contains", "Eight.", "eight", True),
        ("contains", "eight", "nine", False),
        ("exact", "Seven!", "seven", True),
        ("choice", "(B)", "b", True),
        ("json_schema", '{"name": "A", "age": 1}', '```\n{"age": 1, "name": "A"}\n```', True),
        ("keywords", "seven", "7", True),
        ("keywords", "seven", "plants", False),
        ("none", "One text.", "one text", True),
        ("none", "", "", False),
    ],
)
def test_answers_agree(scorer: str, one: str, other: str, agree: bool) -> None:
    first, second = (agreement_key(scorer, score(scorer, t, ANSWERS[scorer]).extracted, t) for t in (one, other))
    assert (first is not None and first == second) is agree
