"""Reading the number that a text gives as its answer, however it is written."""

import re
import unicodedata
from math import inf, isfinite

from bench.choices import last
from bench.number_words import numbers_in_words
from bench.reading import Part, without_latex
from bench.words import UNSPACED

# ---- bringing the ways of writing a number to one

#: how characters that numbers are typeset with are written in ASCII (minus, dash, separators); powers are left out
_TYPESET = {
    **dict.fromkeys("\u2212\u2013\ufe63\uff0d", "-"),
    **dict.fromkeys("\u066c\uff0c", ","),
    **dict.fromkeys("\u066b\uff0e", "."),
    **dict.fromkeys("\u2044\uff0f", "/"),
    **dict.fromkeys("\u2019\u02bc", "'"),
    **dict.fromkeys("⁰¹²³⁴⁵⁶⁷⁸⁹", ""),
    # marks of direction, joiners and what makes a digit a keycap
    **dict.fromkeys("\u200b\u200e\u200f\u2060\ufe0f\u20e3", ""),
    **{c: f" {unicodedata.normalize('NFKD', c).replace('⁄', '/')}" for c in "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"},
}
_TYPESET_CHARACTER = re.compile(f"[{''.join(_TYPESET)}]")
_GROUP_SPACE = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_POWER = re.compile(r"\^\s?\{?\s?[-+]?\d+\}?")
#: "3 × 10^5", "3 \times 10^{5}", "3 x 10⁵"
_TIMES_TEN_TO = re.compile(
    r"(?<=\d)\s?(?:[×x*·⋅]|\\times|\\cdot)\s?10(?:\^\s?\{?\s?(?P<power>[-+−]?\d{1,3})\}?|(?P<raised>⁻?[⁰¹²³⁴-⁹]{1,3}))(?!\d)"
)
_RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_STRUCK = re.compile(r"~~[^~\n]*~~")
_LINK = re.compile(r"\bhttps?://[^\s)>\]]+")
_NEGATIVE = re.compile(
    r"(?:\bnegative|(?:\A|[:=(]|\b(?:is|was|equals|of|to))[\s*_]*\bminus)\s+(?=[\d.])", re.IGNORECASE
)

#: no letter of a word stands before; scripts without spaces write a number right behind one
_NO_LETTER = rf"(?<![^\W_{UNSPACED}])"

#: thousands with spaces, apostrophes, dots or by lakhs, and a decimal comma, where it can be nothing else
_GROUPED = re.compile(
    _NO_LETTER
    + r"""
    (?<![.,'(\[]) (?<!\d[ ])
    (?:
        (?P<dots>\d{1,3}(?:\.\d{3}){2,} (?:,\d+)? | \d{1,3}(?:\.\d{3})+,\d+)
      | (?P<gaps>[1-9]\d{0,2}(?:'\d{3})++ (?:[.,]\d+)? | [1-9]\d{0,2}(?:[ ]\d{3}(?!\d))++ (?:[.,]\d+)? (?![ ]?[-/]))
      | (?P<lakhs>\d{1,2}(?:,\d{2})+,\d{3} (?:\.\d+)?)
      | (?P<comma>\d++,(?:\d{1,2}|\d{4,}) | 0,\d+ | \d{4,},\d+)
    )
    (?![.,'/_]?\d) (?![ ]\d)
    """,
    re.VERBOSE,
)

#: 42, -1,234.5, .5, 1e3, 3/4, 1 3/4; digits that end a name (A4) are none, a dash between numbers is no sign
_NUMBER = re.compile(
    rf"""
    (?=[-+.\d])
    (?:{_NO_LETTER}(?<![)\]}}%])(?P<sign>[-+])[$€£¥₹]?)?
    {_NO_LETTER}
    (?:
        (?:(?P<whole>\d++)[ ])?(?<!/)(?P<top>\d++)/(?P<bottom>\d++)(?![/\d])
      | (?P<plain>
            (?:\d{{1,3}}(?:,\d{{3}})+(?!\d)|\d++)(?:\.\d+)?(?:[eE][-+]?\d{{1,3}}(?![^\W{UNSPACED}]))?
          | {_NO_LETTER}(?<![_.])\.\d+
        )
    )
    (?:[ -]?(?P<scale>(?i:hundred|dozen|thousand|million|billion|trillion))\b)?
    """,
    re.VERBOSE,
)
_SCALES = {"hundred": 100, "dozen": 12, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


#: a number that is said not to be the answer
_NEGATED = re.compile(r"\bnot\s+(?:equal\s+to\s+)?[-+$€£¥]{0,2}\d[\d.,]*(?<=\d)", re.IGNORECASE)


def _plain(text: str) -> str:
    """Return a text with digits, signs, separators and powers of ten as a number in ASCII has them."""
    if "10" in text:
        text = _TIMES_TEN_TO.sub(_exponent, text)
    if "~~" in text:
        text = _STRUCK.sub(" ", text)
    if "://" in text:
        text = _LINK.sub(" ", text)
    text = without_latex(text)
    if not text.isascii():
        text = _TYPESET_CHARACTER.sub(lambda c: _TYPESET[c[0]], _GROUP_SPACE.sub("", text))
    if "^" in text:
        text = _POWER.sub(" ", text)
    if "not " in text:
        text = _NEGATED.sub(" ", text)
    if "inus" in text or "egative" in text:
        text = _NEGATIVE.sub(lambda found: re.sub(r"(?i)\b(?:minus|negative)\s+", "-", found[0]), text)
    return _GROUPED.sub(_ungrouped, text)


def _exponent(found: re.Match[str]) -> str:
    power = found["power"].replace("−", "-") if found["power"] else found["raised"].translate(_RAISED)
    return f"e{power}"


def _ungrouped(found: re.Match[str]) -> str:
    number = found[0]
    if found["dots"]:
        return number.replace(".", "").replace(",", ".")
    if found["gaps"]:
        return re.sub("[ ']", "", number).replace(",", ".")
    return number.replace(",", "") if found["lakhs"] else number.replace(",", ".")


def _value(number: re.Match[str]) -> float:
    """Return a number's value; a fraction over zero is infinite."""
    if number["plain"]:
        value = float(number["plain"].replace(",", ""))
    else:
        bottom = float(number["bottom"])
        value = float(number["whole"] or 0) + float(number["top"]) / bottom if bottom else inf
    if number["scale"]:
        value *= _SCALES[number["scale"].lower()]
    return -value if number["sign"] == "-" else value


# ---- which of the numbers is the answer

_STATED = re.compile(r"\banswer\b[\s*_]*(?:is|=|would\s+be|must\s+be)\b", re.IGNORECASE)
_EQUALS = re.compile(r"=|\bequals?\b|\bmakes\b|\bis\b", re.IGNORECASE)
#: a remark behind the answer: "42 (6 boxes of 7)", "42 [1]"
_REMARK = re.compile(r"(?<=\s)(?:\([^()\n]*\)|\[[^\[\]\n]*\])(?=[\s.!*_]*\Z)")
_BOLD_NUMBER = re.compile(r"\*\*[\s$€£¥]*(?:[^\W\d]{1,2}\s*=\s*)?([-+$€£¥]{0,2}\.?\d[\d.,'/ ]*)[^\d\n*]{0,20}\*\*")
_EMPHASIS = re.compile(r"[*_`]+")


def read_number(part: Part) -> float | None:
    """Return the number that a part of a text gives as its answer; None where there is none that is finite.

    It is the first one after a marker. Elsewhere it is the one that "the answer is" names, or the only bold one of the
    last line, or else the last one. Numbers in English words count where there are no digits, and where they begin
    what follows a marker.
    """
    text = _plain(part.text)
    value = _marked_number(text) if part.marked else _free_number(text)
    return float(value) if value is not None and isfinite(value) else None


def _marked_number(text: str) -> float | None:
    line = text.lstrip(" \t\r\n*_").partition("\n")[0]
    found = _NUMBER.search(_after_equals(line) or text) or _NUMBER.search(text)
    if found is None or not any(map(str.isdigit, line)):
        words = _EMPHASIS.sub("", line if found else text).strip()
        value = _in_words(words, marked=True) if not found or _begins_with_number(words) else None
        if value is not None:
            return value
    return _value(found) if found else None


def _after_equals(line: str) -> str:
    """Return what follows the last equals sign of a line ("3 + 4 = 7"), or nothing.

    An equals sign in parentheses explains a number that was given before.
    """
    before, equals, after = line.rpartition("=")
    return after if equals and before.count("(") == before.count(")") else ""


def _free_number(text: str) -> float | None:
    stated = last(_STATED, text)
    if stated:
        sentence = text[stated.end() :].partition("\n")[0]
        found = _NUMBER.search(_after_equals(sentence) or sentence) or _NUMBER.search(sentence)
        if found:
            return _value(found)
    text = text.rstrip()
    end = text[text.rfind("\n") + 1 :]
    bold = _BOLD_NUMBER.findall(end) if "**" in end else []
    if len(bold) == 1 and (found := _NUMBER.match(bold[0].strip("$€£¥ "))):
        return _value(found)
    # A remark is passed over only where its line has a number besides.
    without_remark = _REMARK.sub("", end) if end.rstrip(".!*_ ").endswith((")", "]")) else end
    found = last(_NUMBER, without_remark) or last(_NUMBER, text)
    return _value(found) if found else _in_words(_EMPHASIS.sub("", text), marked=False)


def _begins_with_number(line: str) -> bool:
    """Whether a line without digits begins with a number in words."""
    start = line[:40].partition(" ")[0].partition("-")[0]
    return next(numbers_in_words(start), None) is not None


def _in_words(text: str, *, marked: bool) -> float | None:
    """Return the number in words that is the answer: of a marked text the first, or the one its first sum gives."""
    if not marked:
        values = list(numbers_in_words(text))
        return values[-1] if values else None
    line = text.partition("\n")[0]
    equals = last(_EQUALS, line)
    result = next(numbers_in_words(line[equals.end() :]), None) if equals else None
    return next(numbers_in_words(text), None) if result is None else result


# ---- expected answers


def expected_number(answer: str) -> float | None:
    """Return the number that an expected answer gives; None where it holds none."""
    found = _NUMBER.search(_plain(answer))
    return _value(found) if found else None


def is_number(answer: str) -> bool:
    """Whether an expected answer is one number, in digits, and nothing besides."""
    found = _NUMBER.fullmatch(_plain(answer).strip(" \t$€£¥₹%"))
    return found is not None and isfinite(_value(found))


def shown_number(value: float) -> str:
    """Return a number in plain digits, the same for 7, 7.0 and 007."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
