import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.scoring import SCORERS, Score, check_answer, check_scorer, score
from tests.bench.growth import assert_linear

NUMBERS = [
    # text, expected answer, what is read, score
    ("42", "42", "42", 1.0),
    ("The answer is 42.", "42", "42", 1.0),
    ("2 + 3 = 5", "5", "5", 1.0),
    ("First 3, then 4, so 7 in the end", "7", "7", 1.0),
    ("Answer: 42", "42", "42", 1.0),
    ("ANSWER: 42", "42", "42", 1.0),
    ("**Answer:** 42", "42", "42", 1.0),
    ("**Answer**: 42", "42", "42", 1.0),
    ("Final answer: **42** apples, from 7 boxes of 6", "42", "42", 1.0),
    ("Answer:\n\n42", "42", "42", 1.0),
    ("Answer:42", "42", "42", 1.0),
    ("Answer：42", "42", "42", 1.0),
    ("Answer: 1\nNo, I was wrong.\nAnswer: 2", "2", "2", 1.0),
    ("Answer: 42\n\nAnswer:", "42", "42", 1.0),
    ("So it is 42.\nAnswer:", "42", None, 0.0),
    ("Answer: forty-two", "42", "42", 1.0),
    ("Answer: 3 + 4 = 7", "7", "7", 1.0),
    ("Answer: 3 apples + 4 apples = 7 apples", "7", "7", 1.0),
    ("Answer: x = 7\nwhere y = 9", "7", "7", 1.0),
    ("Answer: 7 (as 3 + 5 = 8, less 1)", "7", "7", 1.0),
    ("1,234,567", "1234567", "1234567", 1.0),
    ("It costs $1,234.50.", "1234.5", "1234.5", 1.0),
    ("1\u202f234 and 5\u00a0678", "5678", "5678", 1.0),
    ("about 10, 20, 30", "30", "30", 1.0),
    ("-5", "-5", "-5", 1.0),
    ("−5 degrees", "-5", "-5", 1.0),
    ("-$5", "-5", "-5", 1.0),
    ("5", "-5", "5", 0.0),
    ("10-3", "3", "3", 1.0),
    ("between 3–5", "5", "5", 1.0),
    ("50% -20", "-20", "-20", 1.0),
    ("25 %", "25", "25", 1.0),
    ("25%", "25%", "25", 1.0),
    ("3.0", "3", "3", 1.0),
    (".5", "0.5", "0.5", 1.0),
    ("so ...5", "5", "5", 1.0),
    ("1e3", "1000", "1000", 1.0),
    ("3/4", "0.75", "0.75", 1.0),
    ("0.75", "3/4", "0.75", 1.0),
    ("1 3/4 cups", "1.75", "1.75", 1.0),
    ("-3/4", "-0.75", "-0.75", 1.0),
    ("½", "0.5", "0.5", 1.0),
    ("2½ litres", "2.5", "2.5", 1.0),
    ("3/0", "3", None, 0.0),
    (r"\boxed{42}", "42", "42", 1.0),
    (r"\[ \boxed{42} \] as 2 steps show", "42", "42", 1.0),
    (r"Answer: $\boxed{\frac{3}{4}}$", "0.75", "0.75", 1.0),
    (r"$1\dfrac{1}{2}$", "1.5", "1.5", 1.0),
    (r"$1{,}000$", "1000", "1000", 1.0),
    (r"$1\,000$", "1000", "1000", 1.0),
    (r"$x_1 = 7$", "7", "7", 1.0),
    (r"$5 \times 10 = 50\text{ cm}^2$", "50", "50", 1.0),
    ("25 m²", "25", "25", 1.0),
    ("10² is 100", "100", "100", 1.0),
    ("_42_ and `7`", "7", "7", 1.0),
    ("42km on the A4", "42", "42", 1.0),
    ("４２", "42", "42", 1.0),
    ("٤٢", "42", "42", 1.0),
    ("0.3333333", "1/3", "0.3333333", 1.0),
    ("0.3333", "1/3", "0.3333", 0.0),
    ("<think>3 or 4?</think>5", "5", "5", 1.0),
    ("<think>It is 5, but wait", "5", None, 0.0),
    ("it may be 3, so</think>\n\nAnswer: 5", "5", "5", 1.0),
    ("", "42", None, 0.0),
    ("no idea", "42", None, 0.0),
    ("9" * 5000, "9", None, 0.0),
]

TEXTS = [
    ("The capital of France is Paris.", "Paris", 1.0),
    ("**PARIS**", "Paris", 1.0),
    ("It's Paris's tower", "Paris", 1.0),
    ("a comparison", "Paris", 0.0),
    ("Parisian", "Paris", 0.0),
    ("Paris or Lyon?\nAnswer: Lyon", "Paris", 0.0),
    ("Bras\u00edlia", "Brasilia", 1.0),
    ("Brasilia", "Bras\u00edlia", 1.0),
    ("Brasi\u0301lia", "Bras\u00edlia", 1.0),
    ("Gabriel GARCÍA MÁRQUEZ wrote it", ("Garcia Marquez", "Marquez"), 1.0),
    ("New\n  York", "New York", 1.0),
    ("new-york", "New York", 1.0),
    ("York is new", "New York", 0.0),
    ("H₂O", "H2O", 1.0),
    ("$H_2O$", "H2O", 1.0),
    ("8.", "8", 1.0),
    ("8.5", "8", 0.0),
    ("1,000 years", "1000", 1.0),
    ("-40 °C", "-40", 1.0),
    ("−40", "-40", 1.0),
    ("–40", "-40", 1.0),
    ("1914–1918", "1918", 1.0),
    ("40", "-40", 0.0),
    ("in 1914-1918", "1918", 1.0),
    ("twenty four", "twenty-four", 1.0),
    ("STRASSE", "Straße", 1.0),
    ("法国的首都是巴黎。", "巴黎", 1.0),
    ("法国的首都是里昂。", "巴黎", 0.0),
    ("Paris是首都", "Paris", 1.0),
    ("프랑스의 수도는 파리입니다", "파리", 1.0),
    ("Это Париж.", "париж", 1.0),
    ("Парижский", "Париж", 0.0),
    ("फ़्रांस की राजधानी पेरिस है", "पेरिस", 1.0),
    ("दाल", "दिल", 0.0),
    ("กรุงเทพมหานคร", "กรุงเทพ", 1.0),
    ("", "Paris", 0.0),
    ("!?…", "Paris", 0.0),
]

EXACT = [
    ("Paris.", "Paris", 1.0),
    ("Answer: **paris**", "Paris", 1.0),
    (r"\boxed{\text{Paris}}", "Paris", 1.0),
    ("Paris, France", "Paris", 0.0),
    ("yes", ("no", "YES"), 1.0),
    ("3.50", "3.5", 0.0),
    ("", "Paris", 0.0),
]

CHOICES = [
    ("B", "B"),
    ("b", "B"),
    ("B.", "B"),
    ("(B)", "B"),
    ("(b)", "B"),
    ("**B**", "B"),
    ("**B)** Paris", "B"),
    ("B) Paris", "B"),
    ("B because it is warmer", "B"),
    ("B: Paris", "B"),
    ("The answer is B", "B"),
    ("The answer is (B), not (C).", "B"),
    ("the answer is b.", "B"),
    ("The correct answer is **B**.", "B"),
    ("Answer: B", "B"),
    ("Answer: B because A is too small", "B"),
    ("**Answer:** (b)", "B"),
    ("Answer: Option D", "D"),
    ("Answer: Paris (C)", "C"),
    (r"\boxed{C}", "C"),
    (r"\boxed{\text{C}}", "C"),
    ("A) red\nB) blue\nThe answer is A", "A"),
    ("A cat is the answer", None),
    ("I think the answer is D", "D"),
    ("I would say (C)", "C"),
    ("The answer is a cat", None),
    ("The answer is decided", None),
    ("Answer: I think B is right, so (B)", "B"),
    ("The answer is I", "I"),
    ("<think>A? B?</think>C", "C"),
    ("", None),
    ("Paris", None),
    ("K", None),
]


@pytest.mark.parametrize(("text", "answer", "extracted", "expected"), NUMBERS)
def test_number(text: str, answer: str, extracted: str | None, expected: float) -> None:
    assert score("number", text, answer) == Score(extracted, expected)


@pytest.mark.parametrize(("text", "answer", "expected"), TEXTS)
def test_contains(text: str, answer: str | tuple[str, ...], expected: float) -> None:
    extracted, value = score("contains", text, answer)
    assert value == expected
    assert (extracted is not None) == bool(expected)


@pytest.mark.parametrize(("text", "answer", "expected"), EXACT)
def test_exact(text: str, answer: str | tuple[str, ...], expected: float) -> None:
    assert score("exact", text, answer).score == expected


@pytest.mark.parametrize(("text", "letter"), CHOICES)
def test_choice(text: str, letter: str | None) -> None:
    assert score("choice", text, letter or "B") == Score(letter, float(letter is not None))


def test_contains_names_the_alternative_that_was_found() -> None:
    assert score("contains", "Eight legs", ("8", "eight")) == Score("eight", 1.0)


def test_alternatives_of_a_number() -> None:
    assert score("number", "7", ("5", "7.0")).score == 1.0


def test_none_scores_nothing() -> None:
    assert score("none", "whatever", "") == Score(None, None)


def test_exact_keeps_a_short_extract_of_a_long_text() -> None:
    extracted, value = score("exact", "word " * 10_000, "word")
    assert value == 0.0
    assert extracted is not None
    assert len(extracted) == 200


def test_which_scorers_there_are() -> None:
    with pytest.raises(InputError, match=r"^w.toml:3: score: 'wer' counts words that were misheard, and text work"):
        check_scorer("wer", task="text", where="w.toml:3")
    assert check_scorer("wer", task="speech") == "wer"
    with pytest.raises(InputError, match="unknown scorer 'contain'; did you mean 'contains'"):
        score("contain", "text", "answer")
    assert {check_scorer(name, task="text") for name in SCORERS} == {
        *("number", "exact", "choice", "contains", "regex", "json_schema", "keywords", "constraints", "none")
    }


@pytest.mark.parametrize(
    ("scorer", "answer"),
    [
        ("number", "blue"),
        ("number", ""),
        ("number", "3 apples"),
        ("number", "3/0"),
        ("number", "1e999"),
        ("number", ["1", "two"]),
        ("contains", "?!"),
        ("contains", []),
        ("exact", ""),
        ("choice", "K"),
        ("choice", "AB"),
        ("choice", ""),
    ],
)
def test_answers_that_cannot_be_scored(scorer: str, answer: str | list[str]) -> None:
    assert check_answer(scorer, answer)


@pytest.mark.parametrize("answer", ["42", "-1,234.5", "3/4", "1 1/2", "$5", "25%", "−3", ".5", " 7 "])
def test_numbers_that_can_be_scored(answer: str) -> None:
    assert check_answer("number", answer) is None
    assert score("number", f"Answer: {answer}", answer).score == 1.0


def test_reason_why_an_answer_cannot_be_scored() -> None:
    assert check_answer("number", "blue") == "'blue' is no number"
    assert check_answer("none", []) is None


@given(st.sampled_from(sorted(SCORERS)), st.text(max_size=300), st.sampled_from(["7", "B", "Paris", "巴黎"]))
def test_any_text_is_judged(scorer: str, text: str, answer: str) -> None:
    extracted, value = score(scorer, text, answer)
    assert value in {None, 0.0, 1.0}
    assert value != 1.0 or extracted is not None


@given(
    st.sampled_from(sorted(SCORERS)), st.text(max_size=100), st.text(" \t\n", max_size=5), st.text(" \n", max_size=5)
)
def test_space_around_a_text_changes_nothing(scorer: str, text: str, before: str, after: str) -> None:
    assert score(scorer, before + text + after, "7") == score(scorer, text, "7")


@given(
    st.integers(-(10**12), 10**12), st.sampled_from(["{}", "{:,}", "**{}**", "is {}.", "Answer: {:,}", "\\boxed{{{}}}"])
)
def test_a_number_is_read_however_it_is_written(value: int, form: str) -> None:
    assert score("number", form.format(value), str(value)) == Score(str(value), 1.0)


# A single letter is judged as a letter, not as a word.
@given(st.lists(st.text("abcdefgh", min_size=2, max_size=6), min_size=1, max_size=8), st.data())
def test_any_run_of_words_is_contained(words: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    needle = " ".join(words[start:end]).upper()
    assert score("contains", ", ".join(words), needle).score == 1.0
    assert score("contains", "".join(words) + "x", "x").score == 0.0


UNITS = (
    "1|1,|1,111|1 |1 1/|1/| |Answer:|Answer: 1\n|answer *|\\boxed{|\\frac{1}{|"
    "-|(|a|B |é|巴|1.|_|^{|=|<think>|A(|answer is |answer\n|a.\n"
)


@pytest.mark.parametrize("scorer", sorted(SCORERS))
@pytest.mark.parametrize("unit", UNITS.split("|"))
def test_endless_repetition_takes_linear_time(scorer: str, unit: str) -> None:
    assert_linear(lambda text: score(scorer, text, "7"), unit)
