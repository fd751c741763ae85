"""Scoring: what a model wrote, read as an answer and compared with the expected one.

Reading is linear in the length of the text, so that a model that repeats itself for ever costs nothing.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable
from math import inf, isclose, isfinite
from typing import Literal, NamedTuple, cast, get_args

from bench.errors import InputError, suggest

Scorer = Literal["number", "exact", "choice", "regex", "json_schema", "contains", "keywords", "wer", "none"]

#: relative difference up to which two numbers are the same answer
TOLERANCE = 1e-6

#: an extracted text is stored beside the whole one, so it is cut after this many characters
_EXTRACT_LENGTH = 200


class Score(NamedTuple):
    """How an answer was judged."""

    #: what was read as the answer: a number in plain digits, a letter, the alternative that was found, or the text
    #: itself (`exact`, at most 200 characters); None where nothing could be read
    extracted: str | None
    #: 1.0 right, 0.0 wrong, None where the workload is not scored
    score: float | None


def score(scorer: str, text: str, answer: str | Iterable[str]) -> Score:
    """Judge what a model wrote against the expected answer, of which several are alternatives.

    Where the text has a marker (`Answer:` or LaTeX's boxed), only what follows the last one is judged, and of a
    reasoning model only what follows its thoughts. Raises InputError where the scorer is not available.
    """
    judge = _JUDGES[check_scorer(scorer)]
    return judge(text, (answer,) if isinstance(answer, str) else tuple(answer))


def check_scorer(name: str, *, where: str | None = None) -> Scorer:
    """Return the scorer's name. Raises InputError, naming `where`, for an unknown one or one not available yet."""
    if name in _JUDGES:
        return cast(Scorer, name)
    if name in get_args(Scorer):
        available = ", ".join(sorted(SCORERS))
        raise InputError(f"score: {name!r} is not available yet; there is {available}", where=where)
    raise InputError(f"score: unknown scorer {name!r}{suggest(name, SCORERS)}", where=where)


def check_answer(scorer: str, answer: str | Iterable[str]) -> str | None:
    """Return why the scorer can't score this expected answer, in words ("'blue' is no number"), or None."""
    alternatives = (answer,) if isinstance(answer, str) else tuple(answer)
    if scorer == "none":
        return None
    if not alternatives:
        return "the list of answers is empty"
    return next((fault for a in alternatives if (fault := _fault(scorer, a))), None)


def _fault(scorer: str, answer: str) -> str | None:
    if scorer == "number":
        number = _NUMBER.fullmatch(_plain(answer).strip(" \t$€£¥%"))
        return None if number and isfinite(_value(number)) else f"{answer!r} is no number"
    if scorer == "choice":
        return None if re.fullmatch("[A-Ja-j]", answer) else f"{answer!r} is no letter from A to J"
    return None if _normal(answer) else f"{answer!r} holds no letter or digit"


# ---- the part of a text that is judged

#: "Answer:", "**Final answer:**", "__Answer__ :" and LaTeX's \boxed{
_MARKER = re.compile(r"(?<![^\W_])answer[\s*_]*[:\uff1a]|\\boxed\s*\{", re.IGNORECASE)
_WORD_CHARACTER = re.compile(r"[^\W_]")


def _judged(text: str) -> tuple[str, bool]:
    """Return the part of a text that is judged, and whether it follows a marker.

    A marker with nothing behind it, as an answer that was cut off leaves it, does not hide the one before.
    """
    text = _after_thoughts(text)
    # The plain search is far cheaper, and most texts have no marker.
    markers = list(_MARKER.finditer(text)) if "answer" in text.lower() or "\\boxed" in text else []
    end = len(text)
    for marker in reversed(markers):
        if _WORD_CHARACTER.search(text, marker.end(), end):
            return text[marker.end() : end], True
        end = marker.start()
    return ("", True) if markers else (text, False)


def _after_thoughts(text: str) -> str:
    """Return what follows a reasoning model's thoughts, which is nothing where they never end."""
    if "<think>" not in text and "</think>" not in text:
        return text
    _, closed, rest = text.rpartition("</think>")
    return "" if "<think>" in rest else rest if closed else text


# ---- LaTeX, as far as answers hold it

_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*([-+]?\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_THIN_SPACE = re.compile(r"\\[,;:!]")
_COMMAND = re.compile(r"\\(?:[a-zA-Z]+|[()\[\] ])")
_SUBSCRIPT = re.compile(r"_\{?(\d+)\}?")


def _without_latex(text: str) -> str:
    if "\\" in text:
        text = _FRACTION.sub(r" \1/\2 ", text)
        text = _THIN_SPACE.sub("", text)
        text = _COMMAND.sub(" ", text)
    if "{,}" in text:
        text = text.replace("{,}", ",")
    return _SUBSCRIPT.sub(r"\1", text) if "_" in text else text


# ---- number

#: how characters that numbers are typeset with are written in ASCII (minus, dash, separators); powers are left out
_TYPESET = {
    **dict.fromkeys("\u2212\u2013\ufe63\uff0d", "-"),
    **dict.fromkeys("\u066c\uff0c", ","),
    **dict.fromkeys("\u066b\uff0e", "."),
    **dict.fromkeys("\u2044\uff0f", "/"),
    **dict.fromkeys("⁰¹²³⁴⁵⁶⁷⁸⁹", ""),
    **{c: f" {unicodedata.normalize('NFKD', c).replace('⁄', '/')}" for c in "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"},
}
_TYPESET_CHARACTER = re.compile(f"[{''.join(_TYPESET)}]")
_GROUP_SPACE = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_POWER = re.compile(r"\^\s?\{?\s?[-+]?\d+\}?")

#: 42, -1,234.5, .5, 1e3, 3/4, 1 3/4; digits that end a name (A4) are none, a dash between numbers is no sign
_NUMBER = re.compile(
    r"""
    (?=[-+.\d])
    (?:(?<![^\W_])(?<![)\]}%])(?P<sign>[-+])[$€£¥]?)?
    (?<![^\W_])
    (?:
        (?:(?P<whole>\d++)[ ])?(?<!/)(?P<top>\d++)/(?P<bottom>\d++)(?![/\d])
      | (?P<plain>
            (?:\d{1,3}(?:,\d{3})+(?!\d)|\d++)(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\w))?
          | (?<![\w.])\.\d+
        )
    )
    """,
    re.VERBOSE,
)


def _plain(text: str) -> str:
    """Return a text with the digits, signs and separators that a number is written with in ASCII."""
    text = _without_latex(text)
    if not text.isascii():
        text = _TYPESET_CHARACTER.sub(lambda c: _TYPESET[c[0]], _GROUP_SPACE.sub("", text))
    return _POWER.sub(" ", text) if "^" in text else text


def _read_number(text: str) -> re.Match[str] | None:
    """Return the first number after a marker, or else the last one of the text."""
    part, marked = _judged(text)
    part = _plain(part)
    if marked:
        return _NUMBER.search(_after_equals(part)) or _NUMBER.search(part)
    return _last(_NUMBER, part)


def _after_equals(part: str) -> str:
    """Return what follows the last equals sign of the first line ("Answer: 3 + 4 = 7"), or the whole.

    An equals sign in parentheses explains a number that was given before.
    """
    line = part.lstrip(" \t\r\n*_").partition("\n")[0]
    before, equals, after = line.rpartition("=")
    return after if equals and before.count("(") == before.count(")") else part


def _value(number: re.Match[str]) -> float:
    """Return a number's value; a fraction over zero is infinite."""
    if number["plain"]:
        value = float(number["plain"].replace(",", ""))
    else:
        bottom = float(number["bottom"])
        value = float(number["whole"] or 0) + float(number["top"]) / bottom if bottom else inf
    return -value if number["sign"] == "-" else value


def _shown(value: float) -> str:
    """Return a number in plain digits, the same for 7, 7.0 and 007."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"


def _judge_number(text: str, answers: tuple[str, ...]) -> Score:
    number = _read_number(text)
    value = _value(number) if number else inf
    if not isfinite(value):
        return Score(None, 0.0)
    expected = (_NUMBER.search(_plain(answer)) for answer in answers)
    right = any(e is not None and isclose(value, _value(e), rel_tol=TOLERANCE) for e in expected)
    return Score(_shown(value), float(right))


# ---- exact and contains

#: scripts that put no space between words, or glue endings to them: Thai, Lao, Burmese, Khmer, kana, Han, Hangul
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff"
#: Indic scripts, whose vowel signs `\w` leaves out
_INDIC = "\u0900-\u0963\u0966-\u0dff"
_ACCENT = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]")
_DASH = re.compile("[\u2212\u2013]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SPACED = rf"(?:[^\W_{_UNSPACED}{_INDIC}]+|[{_INDIC}]+)+"
_WORD = re.compile(
    rf"{_SPACED}(?:(?<=\d)\.(?=\d){_SPACED})*"
    rf"|(?<![^\W_])-(?=\d){_SPACED}(?:\.(?=\d){_SPACED})*"
    rf"|[{_UNSPACED}]+"
)
_STARTS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_ENDS_UNSPACED = re.compile(rf"[{_UNSPACED}]\Z")


def _normal(text: str) -> str:
    """Return the words of a text with single spaces between them: no case, accents, punctuation or Markdown.

    A decimal point and a number's sign are kept, thousands separators are not.
    """
    text = _without_latex(text)
    if text.isascii():
        text = text.lower()
    else:
        text = unicodedata.normalize("NFKD", text).casefold()
        text = unicodedata.normalize("NFKC", _ACCENT.sub("", _DASH.sub("-", text)))
    if "," in text:
        text = _THOUSANDS.sub("", text)
    return " ".join(_WORD.findall(text))


def _occurs(words: str, text: str) -> bool:
    """Whether normalised words stand in a normalised text, as whole words where the script has such."""
    before = "" if _STARTS_UNSPACED.match(words) else " "
    after = "" if _ENDS_UNSPACED.search(words) else " "
    return bool(words) and f"{before}{words}{after}" in f" {text} "


def _judge_contains(text: str, answers: tuple[str, ...]) -> Score:
    part = _normal(_judged(text)[0])
    found = next((answer for answer in answers if _occurs(_normal(answer), part)), None)
    return Score(found, float(found is not None))


def _judge_exact(text: str, answers: tuple[str, ...]) -> Score:
    part = _judged(text)[0].strip()
    normal = _normal(part)
    right = bool(normal) and any(normal == _normal(answer) for answer in answers)
    return Score(part[:_EXTRACT_LENGTH] or None, float(right))


# ---- choice

#: a small letter counts only where it can't be the article "a", and "I" only where it can't be the pronoun
_LETTER = r"(?<![^\W_])(?:[A-HJ](?![\w'’])|[a-jI](?=\W*(?:\Z|\n)|[).\]:*}]))"
_STATED = re.compile(rf"\b(?i:answer|choice|option)\s+(?i:is|would\s+be|must\s+be)[\s:*_(\[{{]*({_LETTER})")
_LEADING = re.compile(rf"[\s*_(\[{{\"'$]*(?!A\s+[a-z])({_LETTER})")
_LEADING_MARKED = re.compile(rf"[\s*_(\[{{\"'$]*(?i:(?:option|choice)\s+)?[(\[*_]*({_LETTER})")
_ENCLOSED = re.compile(r"\(([A-Ja-j])\)|\[([A-J])\]|\*\*([A-J])[).:]?\*\*|^[ \t]*([A-J])[).:](?=\s|\Z)", re.MULTILINE)


def _judge_choice(text: str, answers: tuple[str, ...]) -> Score:
    part, marked = _judged(text)
    letter = _read_letter(_without_latex(part), marked)
    right = letter is not None and any(letter == answer.strip().upper() for answer in answers)
    return Score(letter, float(right))


def _read_letter(part: str, marked: bool) -> str | None:
    """Return the letter that a text names, by the surest way that it uses."""
    found = _LEADING_MARKED.match(part) if marked else None
    found = found or _last(_STATED, part) or _LEADING.match(part) or _last(_ENCLOSED, part)
    return next(group for group in found.groups() if group).upper() if found else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


def _judge_none(text: str, answers: tuple[str, ...]) -> Score:
    return Score(None, None)


_JUDGES: dict[str, Callable[[str, tuple[str, ...]], Score]] = {
    "number": _judge_number,
    "exact": _judge_exact,
    "choice": _judge_choice,
    "contains": _judge_contains,
    "none": _judge_none,
}

#: the scorers that are available
SCORERS: frozenset[str] = frozenset(_JUDGES)
