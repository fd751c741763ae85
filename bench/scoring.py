"""Scoring: what a model wrote, read as an answer and compared with the expected one.

Reading is linear in the length of the text, so that a model that repeats itself for ever costs nothing. docs/scoring.md
says for every scorer what is judged, and how.
"""

import re
from collections.abc import Callable, Iterable
from math import isclose
from typing import Literal, NamedTuple, cast, get_args

from bench import constraints, expressions, json_answers, schemas
from bench.catalog import Task
from bench.choices import read_letter
from bench.errors import InputError, suggest
from bench.numbers import expected_number, is_number, read_number, shown_number
from bench.reading import Part, after_thoughts, answer_section, judged, without_latex
from bench.words import begins_word, letter_stands, normal, occurs, plural

__all__ = [
    "SCORERS",
    "TOLERANCE",
    "Score",
    "Scorer",
    "after_thoughts",
    "agreement_key",
    "check_answer",
    "check_pattern",
    "check_scorer",
    "score",
]

Scorer = Literal[
    "number", "exact", "choice", "regex", "json_schema", "contains", "keywords", "constraints", "wer", "none"
]

#: relative difference up to which two numbers are the same answer
TOLERANCE = 1e-6

#: an extracted text is stored beside the whole one, so it is cut after this many characters
_EXTRACT_LENGTH = 200


#: what is extracted where a strategy's output pattern took too long, so that a bad pattern is not taken for a bad model
OUT_OF_TIME = "(the output pattern ran out of time)"


class Score(NamedTuple):
    """How an answer was judged."""

    #: what was read as the answer: a number in plain digits, a letter, the alternative or the points that were found,
    #: canonical JSON, the constraints that failed, or the text itself (`exact`, `regex`); at most 200 characters, and
    #: None where nothing could be read
    extracted: str | None
    #: 1.0 right, 0.0 wrong, between them the share of the points covered (`keywords`); None where the workload is not
    #: scored
    score: float | None


def score(scorer: str, text: str, answer: str | Iterable[str], pattern: str | None = None) -> Score:
    """Judge what a model wrote against the expected answer.

    Several answers are alternatives; of `keywords` and `constraints` they count together. `pattern` is a strategy's
    output pattern: what it finds last is judged, and where it finds nothing the answer is wrong. Otherwise only what
    follows a marker (`Answer:` or LaTeX's boxed) is judged where there is one, and of a reasoning model only what
    follows its thoughts. Raises InputError where the scorer is not available.
    """
    name = check_scorer(scorer, task="text")
    answers = (answer,) if isinstance(answer, str) else tuple(answer)
    if name == "none":
        return Score(None, None)
    try:
        part = _part(name, after_thoughts(text), pattern)
    except TimeoutError:
        return Score(OUT_OF_TIME, 0.0)
    if not part.text.strip():
        return Score(None, 0.0)
    extracted, value = _JUDGES[name](part, answers)
    return Score(extracted if extracted is None else extracted[:_EXTRACT_LENGTH], value)


def check_scorer(name: str, *, task: Task, where: str | None = None) -> Scorer:
    """Return the scorer's name. Raises InputError, naming `where`, for one that is unknown or not for the task."""
    known = get_args(Scorer)
    if name not in known:
        raise InputError(f"score: unknown scorer {name!r}{suggest(name, known)}", where=where)
    if name == "wer" and task != "speech":
        raise InputError(f"score: 'wer' counts words that were misheard, and {task} workloads have none", where=where)
    return cast(Scorer, name)


def check_answer(scorer: str, answer: str | Iterable[str]) -> str | None:
    """Return why the scorer can't score this expected answer, in words ("'blue' is no number"), or None."""
    answers = (answer,) if isinstance(answer, str) else tuple(answer)
    if scorer == "none":
        return None
    if not answers:
        return "the list of answers is empty"
    return next((fault for each in answers if (fault := _FAULTS[check_scorer(scorer, task="speech")](each))), None)


def check_pattern(pattern: str) -> str | None:
    """Return why a text is no output pattern, in words ("it is no regular expression: ..."), or None."""
    fault = expressions.fault_of(pattern)
    return f"it is no regular expression: {fault}" if fault else None


def agreement_key(scorer: str, extracted: str | None, text: str) -> str | None:
    """Return what two answers to the same item must share to agree; None agrees with nothing.

    `extracted` is what `score` read from `text`. Alternatives of `contains` are the same answer; of a wrong one, and
    where nothing is scored, the words of the text must be the same.
    """
    if extracted == OUT_OF_TIME:
        return None
    if scorer == "contains":
        return "found" if extracted is not None else _words_key(judged(after_thoughts(text)).text)
    if scorer == "none":
        return _words_key(after_thoughts(text))
    if extracted is None:
        return None
    if scorer == "exact":
        return _words_key(extracted)
    return " ".join(extracted.split()).casefold() if scorer == "regex" else extracted


def _words_key(text: str) -> str | None:
    words = normal(text)
    return f"text: {words}" if words else None


# ---- the part that is judged


def _part(scorer: Scorer, text: str, pattern: str | None) -> Part:
    if pattern is not None:
        return Part(expressions.last_answer(pattern, text) or "", True)
    if scorer in ("constraints", "keywords"):
        return answer_section(text)
    # A JSON text may hold "Answer:" in a string, so the marker is looked for beside the values.
    return Part(text, False) if scorer == "json_schema" else judged(text)


_LEFT_OF_MARKER = re.compile(r"\A(?:\*\*|__|[*_])(?=\s)")


def _bare(part: Part) -> str:
    """Return a part without the space around it and the Markdown that is left of its marker."""
    text = part.text.strip()
    return _LEFT_OF_MARKER.sub("", text).lstrip() if part.marked else text


# ---- the judges


def _judge_number(part: Part, answers: tuple[str, ...]) -> Score:
    value = read_number(part)
    if value is None:
        return Score(None, 0.0)
    expected = map(expected_number, answers)
    right = any(number is not None and isclose(value, number, rel_tol=TOLERANCE) for number in expected)
    return Score(shown_number(value), float(right))


def _judge_contains(part: Part, answers: tuple[str, ...]) -> Score:
    words = normal(part.text)
    found = next((answer for answer in answers if _contained(answer, part.text, words)), None)
    return Score(found, float(found is not None))


def _contained(answer: str, text: str, words: str) -> bool:
    if len(answer) == 1 and answer.isascii() and answer.isalpha():
        return letter_stands(answer, text)
    return occurs(normal(answer), words)


def _judge_exact(part: Part, answers: tuple[str, ...]) -> Score:
    words = normal(part.text)
    right = bool(words) and any(words == normal(answer) for answer in answers)
    return Score(_bare(part), float(right))


def _judge_choice(part: Part, answers: tuple[str, ...]) -> Score:
    letter = read_letter(without_latex(part.text), part.marked)
    right = letter is not None and any(letter == answer.strip().upper() for answer in answers)
    return Score(letter, float(right))


#: emphasis or code around the whole
_EMPHASISED = re.compile(r"(?P<mark>\*{1,3}|`{1,3})(?P<inner>[^*`]+)(?P=mark)")


def _judge_regex(part: Part, answers: tuple[str, ...]) -> Score:
    text = _bare(part)
    emphasised = _EMPHASISED.fullmatch(text)
    for form in (text, emphasised["inner"].strip()) if emphasised else (text,):
        for answer in answers:
            if (found := expressions.search(answer, form)) is not None:
                return Score(found, 1.0)
    return Score(None, 0.0)


def _judge_json(part: Part, answers: tuple[str, ...]) -> Score:
    value = json_answers.find_json(part.text)
    extracted = None if value is json_answers.NOTHING else json_answers.canonical(value)
    if extracted is None:
        return Score(None, 0.0)
    return Score(extracted, float(any(schemas.satisfies(value, answer) for answer in answers)))


def _judge_keywords(part: Part, answers: tuple[str, ...]) -> Score:
    words = normal(part.text)
    found = [answer for answer in answers if any(_covers(words, each) for each in answer.split("|"))]
    # Named by its first alternative, so that answers which cover the same points agree.
    names = "; ".join(answer.partition("|")[0].strip() for answer in found)
    return Score(names or None, len(found) / len(answers) if answers else 0.0)


def _covers(words: str, alternative: str) -> bool:
    """Whether normalised words hold an alternative, its regular plural, or a word that begins with "it*"."""
    wanted = normal(alternative)
    if alternative.rstrip().endswith("*"):
        return begins_word(wanted, words)
    return occurs(wanted, words) or ((several := plural(wanted)) is not None and occurs(several, words))


def _judge_constraints(part: Part, answers: tuple[str, ...]) -> Score:
    failed = constraints.failed(answers, part.text)
    return Score("; ".join(failed) or "all held", float(not failed))


_JUDGES: dict[Scorer, Callable[[Part, tuple[str, ...]], Score]] = {
    "number": _judge_number,
    "exact": _judge_exact,
    "choice": _judge_choice,
    "contains": _judge_contains,
    "regex": _judge_regex,
    "json_schema": _judge_json,
    "keywords": _judge_keywords,
    "constraints": _judge_constraints,
}

#: the scorers that `score` judges by; `wer` is judged where Whisper is
SCORERS: frozenset[str] = frozenset([*_JUDGES, "none"])


# ---- faults of expected answers


def _fault_of_number(answer: str) -> str | None:
    return None if is_number(answer) else f"{answer!r} is no number"


def _fault_of_words(answer: str) -> str | None:
    return None if normal(answer) else f"{answer!r} holds no letter or digit"


def _fault_of_choice(answer: str) -> str | None:
    return None if re.fullmatch("[A-Ja-j]", answer) else f"{answer!r} is no letter from A to J"


def _fault_of_regex(answer: str) -> str | None:
    if not answer.strip():
        return "an empty expression is found in every text"
    fault = expressions.fault_of(answer)
    return f"{answer!r} is no regular expression: {fault}" if fault else None


def _fault_of_point(answer: str) -> str | None:
    if all(map(normal, answer.split("|"))):
        return None
    return f"{answer!r} has an alternative that holds no letter or digit"


def _fault_of_constraint(answer: str) -> str | None:
    try:
        constraints.parse(answer)
    except ValueError as error:
        return str(error)
    return None


_FAULTS: dict[Scorer, Callable[[str], str | None]] = {
    "number": _fault_of_number,
    "exact": _fault_of_words,
    "choice": _fault_of_choice,
    "contains": _fault_of_words,
    "regex": _fault_of_regex,
    "json_schema": schemas.schema_fault,
    "keywords": _fault_of_point,
    "constraints": _fault_of_constraint,
    "wer": _fault_of_words,
}
