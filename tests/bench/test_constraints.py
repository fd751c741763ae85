import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.constraints import Constraint, holds, parse, share_held
from bench.counting import COUNTS
from bench.scoring import score

FAULTY = [
    ("wrods 3", "unknown name 'wrods'; did you mean 'words'"),
    ("contain: x", "unknown name 'contain'; did you mean 'contains'"),
    ("words", "needs N, A..B, >= N or <= N"),
    ("words three", "needs N, A..B, >= N or <= N"),
    ("words 5..3", "5 is above 3"),
    ("words -1", "needs N, A..B"),
    ("words: 5", "'words' takes no colon"),
    ("contains:", "no text follows the colon"),
    ("contains tree", "needs a colon"),
    ("contains 0: tree", "only 'contains' takes a count, of 1 or more"),
    ("without 2: tree", "only 'contains' takes a count"),
    ("json please", "nothing follows 'json'"),
    ("matches: (", "the expression is faulty: missing )"),
    ("", "unknown name ''"),
]

BOUNDS = st.integers(0, 500)
COUNTED = st.one_of(
    st.builds(lambda name, n: Constraint(name, n, n), st.sampled_from(sorted(COUNTS)), BOUNDS),
    st.builds(Constraint, st.sampled_from(sorted(COUNTS)), BOUNDS, st.none(), st.just("")),
    st.builds(lambda name, n, more: Constraint(name, n, n + more), st.sampled_from(sorted(COUNTS)), BOUNDS, BOUNDS),
)
TEXTS = st.text(min_size=1, max_size=20).map(str.strip).filter(bool)
SAID = st.one_of(
    st.builds(lambda n, text: Constraint("contains", n, None, text), st.integers(1, 9), TEXTS),
    st.builds(
        lambda name, text: Constraint(name, 0, None, text),
        st.sampled_from(["without", "starts with", "ends with"]),
        TEXTS,
    ),
)
FORMS = st.sampled_from(["uppercase", "lowercase", "json", "quoted"]).map(Constraint)


@pytest.mark.parametrize(("text", "fault"), FAULTY)
def test_what_is_no_constraint_is_refused_in_words(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match="is no constraint") as raised:
        parse(text)
    assert fault in str(raised.value)


@given(st.one_of(COUNTED, SAID, FORMS))
def test_a_constraint_is_read_as_it_is_written(constraint: Constraint) -> None:
    assert parse(str(constraint)) == constraint


@given(st.one_of(COUNTED, SAID, FORMS), st.text(max_size=200))
def test_any_text_is_judged(constraint: Constraint, text: str) -> None:
    assert holds(constraint, text) == holds(constraint, f" \n{text}\n ") or constraint.name in {"lines", "bullets"}


def test_the_share_of_constraints_that_hold() -> None:
    assert share_held(["words 2", "commas 0", "bullets 1"], "two words") == pytest.approx(2 / 3)
    assert share_held(["commas 0"], " \n") == 0.0
    assert share_held([], "text") == 0.0


def test_the_constraints_that_failed_are_named() -> None:
    assert score("constraints", "two words", ["words 2", "commas 1", "json"]) == ("commas 1; json", 0.0)
    assert score("constraints", "two words", ["words 2", "commas 0"]) == ("all held", 1.0)
    assert score("constraints", "First a draft, of five.\nAnswer: two words", "words 2") == ("all held", 1.0)
    assert score("constraints", "", "commas 0") == (None, 0.0)
