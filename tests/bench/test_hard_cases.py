import pytest

from bench import constraints
from bench.scoring import SCORERS, check_answer, check_pattern, score
from tests.bench.constraint_cases import CASES
from tests.bench.hard_cases import ALL_CASES, Case


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: f"{case.scorer}-{case.text[:30]!r}")
def test_it_is_judged_as_a_person_would(case: Case) -> None:
    assert score(case.scorer, case.text, case.answer, case.pattern) == (case.extracted, case.score)


@pytest.mark.parametrize(("constraint", "text", "expected"), CASES)
def test_a_constraint_holds_where_a_person_says_so(constraint: str, text: str, expected: bool) -> None:
    assert constraints.holds(constraints.parse(constraint), text) is expected


def test_every_case_has_an_answer_that_can_be_scored() -> None:
    assert [case for case in ALL_CASES if check_answer(case.scorer, case.answer)] == []
    assert [case for case in ALL_CASES if case.pattern and check_pattern(case.pattern)] == []
    assert {case.scorer for case in ALL_CASES} == SCORERS - {"none"}
    assert len(ALL_CASES) + len(CASES) >= 300
