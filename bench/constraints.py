"""Constraints on the form of a text that can be verified: counts, words that must or must not occur, formats.

words 40..60 · bullets 3 · commas 0 · contains: Paris · without: very · ends with: Thank you! · json
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from bench import expressions, json_answers
from bench.counting import COUNTS
from bench.errors import suggest
from bench.words import UNSPACED, without_accents


class Constraint(NamedTuple):
    """One thing that a text must fulfil; `str` gives it as `parse` reads it."""

    #: what is counted ("words"), or what kind of constraint it is ("contains", "starts with", "json")
    name: str
    #: the count lies between these, both included; None for no upper bound. `contains` wants at least `least`
    least: int = 0
    most: int | None = None
    #: what `contains`, `without`, `starts with`, `ends with` and `matches` look for
    text: str = ""

    def __str__(self) -> str:
        if self.name in COUNTS:
            return f"{self.name} {self._range()}"
        if self.name == "contains" and self.least > 1:
            return f"contains {self.least}: {self.text}"
        return f"{self.name}: {self.text}" if self.text else self.name

    def _range(self) -> str:
        if self.most is None:
            return f">= {self.least}"
        if self.least == self.most:
            return str(self.least)
        return f"{self.least}..{self.most}" if self.least else f"<= {self.most}"


# ---- reading

_RANGE = re.compile(
    r"(?P<exact>\d{1,9})|(?P<low>\d{1,9})\s*\.\.\s*(?P<high>\d{1,9})|(?P<sign>[<>]=)\s*(?P<bound>\d{1,9})"
)
_SAYING = re.compile(
    r"\s*(?P<name>[a-z]+(?:\s+with)?)(?:\s+(?P<times>\d{1,9}))?\s*:(?P<text>.*)", re.IGNORECASE | re.DOTALL
)
_SAYINGS = ("contains", "without", "starts with", "ends with", "matches")


@lru_cache(maxsize=4096)
def parse(text: str) -> Constraint:
    """Read a constraint ("words 40..60", "contains 2: tree"). Raises ValueError, with near matches of a name."""
    if saying := _SAYING.fullmatch(text):
        return _parse_saying(saying, text)
    name, _, rest = text.strip().partition(" ")
    name, rest = name.lower(), rest.strip()
    if name in COUNTS:
        return _parse_count(name, rest, text)
    if name in _FORMS and not rest:
        return Constraint(name)
    if name in _FORMS:
        raise ValueError(f"{text!r} is no constraint: nothing follows {name!r}")
    whole = text.strip().lower()
    if name in _SAYINGS or whole.startswith(_SAYINGS):
        raise ValueError(f"{text!r} is no constraint: it needs a colon and a text, such as 'contains: tree'")
    raise ValueError(f"{text!r} is no constraint: unknown name {name!r}{suggest(name, [*COUNTS, *_FORMS, *_SAYINGS])}")


def _parse_count(name: str, rest: str, text: str) -> Constraint:
    found = _RANGE.fullmatch(rest)
    if found is None:
        raise ValueError(f"{text!r} is no constraint: {name!r} needs N, A..B, >= N or <= N, such as '{name} 3..5'")
    if found["exact"]:
        return Constraint(name, int(found["exact"]), int(found["exact"]))
    if found["sign"]:
        bound = int(found["bound"])
        return Constraint(name, bound) if found["sign"] == ">=" else Constraint(name, 0, bound)
    low, high = int(found["low"]), int(found["high"])
    if low > high:
        raise ValueError(f"{text!r} is no constraint: {low} is above {high}")
    return Constraint(name, low, high)


def _parse_saying(saying: re.Match[str], text: str) -> Constraint:
    name, wanted = " ".join(saying["name"].lower().split()), saying["text"].strip()
    if name in COUNTS:
        raise ValueError(f"{text!r} is no constraint: {name!r} takes no colon, such as '{name} 3..5'")
    if name not in _SAYINGS:
        raise ValueError(f"{text!r} is no constraint: unknown name {name!r}{suggest(name, _SAYINGS)}")
    if not wanted:
        raise ValueError(f"{text!r} is no constraint: no text follows the colon")
    if saying["times"] and (name != "contains" or int(saying["times"]) < 1):
        raise ValueError(f"{text!r} is no constraint: only 'contains' takes a count, of 1 or more")
    if name == "matches" and (fault := expressions.fault_of(wanted)):
        raise ValueError(f"{text!r} is no constraint: the expression is faulty: {fault}")
    return Constraint(name, int(saying["times"] or 1) if name == "contains" else 0, None, wanted)


# ---- judging


def holds(constraint: Constraint, text: str) -> bool:
    """Whether a text fulfils a constraint."""
    if count := COUNTS.get(constraint.name):
        counted = count(text)
        return constraint.least <= counted and (constraint.most is None or counted <= constraint.most)
    if form := _FORMS.get(constraint.name):
        return form(text)
    return _SAYING_JUDGES[constraint.name](constraint, text)


def failed(constraints: Sequence[str], text: str) -> list[str]:
    """Return which of the constraints, given as texts, a text does not fulfil; what is no constraint never holds."""
    return [constraint for constraint in constraints if not _held(constraint, text)]


def share_held(constraints: Sequence[str], text: str) -> float:
    """Return the share, 0 to 1, of the constraints that a text fulfils; 0.0 of a text that is blank."""
    if not constraints or not text.strip():
        return 0.0
    return 1 - len(failed(constraints, text)) / len(constraints)


def _held(constraint: str, text: str) -> bool:
    try:
        parsed = parse(constraint)
    except ValueError:
        return False
    return holds(parsed, text)


# ---- what a text says

_QUOTE = str.maketrans("‘’‚‛′“”„‟«»–—−‐‑", '\'\'\'\'\'""""""-----')
_MARKS = re.compile(r"[*_`]+")
_SPACE = re.compile(r"\s+")
_WORD_CHARACTER = re.compile(rf"[^\W_{UNSPACED}]")
_AROUND = " \t\n\r*_`~"
_BEFORE = _AROUND + "#>\"'([-•"
_AFTER = _AROUND + ".,;:!?…。！？\"')]}|-"


@lru_cache(maxsize=64)
def _folded(text: str, marks: bool) -> str:
    """Return a text without case, accents and kinds of quotes and dashes, and without Markdown unless `marks`."""
    text = text.translate(_QUOTE) if not text.isascii() else text
    text = text.lower() if text.isascii() else without_accents(text)
    return _SPACE.sub(" ", text if marks else _MARKS.sub("", text)).strip()


def _pair(wanted: str, text: str) -> tuple[str, str]:
    marks = bool(_MARKS.search(wanted))
    return _folded(wanted, marks), _folded(text, marks)


@lru_cache(maxsize=1024)
def _as_words(wanted: str) -> re.Pattern[str]:
    """Return an expression that finds a folded text as whole words, where the script has such."""
    letter = _WORD_CHARACTER.pattern
    before = f"(?<!{letter})" if _WORD_CHARACTER.match(wanted) else ""
    after = f"(?!{letter})" if _WORD_CHARACTER.match(wanted[-1:]) else ""
    return re.compile(before + re.escape(wanted) + after)


def _contains(constraint: Constraint, text: str) -> bool:
    wanted, folded = _pair(constraint.text, text)
    found = _as_words(wanted).finditer(folded)
    return all(next(found, None) for _ in range(min(constraint.least, len(folded) + 1)))


def _without(constraint: Constraint, text: str) -> bool:
    wanted, folded = _pair(constraint.text, text)
    return _as_words(wanted).search(folded) is None


def _starts_with(constraint: Constraint, text: str) -> bool:
    wanted, folded = _pair(constraint.text, text)
    bare = folded.lstrip(_BEFORE) if _WORD_CHARACTER.match(wanted) else folded
    return any(_as_words(wanted).match(form) is not None for form in (folded, bare))


def _ends_with(constraint: Constraint, text: str) -> bool:
    wanted, folded = _pair(constraint.text, text)
    # What ends with punctuation of its own must stand there with it; quotes and Markdown may still follow.
    ignored = _AFTER if wanted[-1].isalnum() else _AROUND + "\"'"
    return any(
        form.endswith(wanted) and _as_words(wanted).match(form, len(form) - len(wanted)) is not None
        for form in (folded, folded.rstrip(ignored))
    )


def _matches(constraint: Constraint, text: str) -> bool:
    return expressions.search(constraint.text, text.strip()) is not None


_SAYING_JUDGES: Mapping[str, Callable[[Constraint, str], bool]] = {
    "contains": _contains,
    "without": _without,
    "starts with": _starts_with,
    "ends with": _ends_with,
    "matches": _matches,
}


# ---- the form of a whole text

#: closing quotes by the opening one
_QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»", "»": "«", "「": "」", "『": "』"}


def _is_json(text: str) -> bool:
    return isinstance(json_answers.alone(text), dict | list)


def _is_quoted(text: str) -> bool:
    """Whether a pair of double quotes holds the whole text, rather than its first word and its last."""
    text = text.strip().strip("*_`").strip()
    if len(text) < 3 or text[-1] not in _QUOTES.get(text[0], ""):
        return False
    inner = text[1:-1]
    first = next((place for place, each in enumerate(inner) if each in text[0] + text[-1]), None)
    if first is None:
        return True
    # The first quote inside must open: a straight one stands behind a space or a bracket then.
    return inner[first] != text[-1] if text[0] != text[-1] else inner[first - 1 : first] in {"", *" \n\t([\\"}


_FORMS: Mapping[str, Callable[[str], bool]] = {
    "uppercase": str.isupper,
    "lowercase": str.islower,
    "json": _is_json,
    "quoted": _is_quoted,
}
