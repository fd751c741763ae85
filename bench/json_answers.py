"""The JSON value in what a model wrote: found, read strictly, and brought to one form."""

import json
import re
from math import isfinite
from typing import Any, Final

from bench.reading import answer_section

#: stands for "no JSON", since None is a value of it
NOTHING: Final = object()

# ---- reading


class _NotJsonError(ValueError):
    """A text is JSON by Python's rules only."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NotJsonError("a key stands twice in an object")
    return found


def _float(text: str) -> int | float:
    value = float(text)
    if not isfinite(value):
        raise _NotJsonError("a number is too large")
    # 7.0 and 7 are the same number in JSON.
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _constant(name: str) -> Any:
    raise _NotJsonError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
#: where an object or a list may begin; "[see above]" is none
_OPENING = re.compile(r"""\{\s*(?:["'}]|\w+\s*:)|\[\s*(?:[\[\]{"\-\d]|true\b|false\b|null\b)""")
#: a string, whose brackets count for nothing, or a bracket
_BRACKET = re.compile(r'"(?:[^"\\\n]|\\.)*+"?|[\[\]{}]')
_EMPHASIS = " \t\r\n*`"


def find_json(text: str) -> Any:
    """Return the first JSON value of a text, NOTHING where there is none.

    It stands alone, in a ``` fence, or, if it is an object or a list, inside prose. Where a line begins with "Answer:",
    what follows the last such line comes first. What is no strict JSON (a trailing comma, NaN, a key twice) is none.
    """
    section = answer_section(text)
    for candidate in (text, section.text) if section.marked else (text,):
        value = _alone(candidate)
        if value is not NOTHING:
            return value
    if section.marked and (value := _within(section.text)) is not NOTHING:
        return value
    return _within(text)


def alone(text: str) -> Any:
    """Return the JSON value that is the whole of a text, or of the fence that is; else NOTHING."""
    value = _alone(text)
    if value is NOTHING and (fence := _FENCE.fullmatch(text.strip())):
        value = _alone(fence[1])
    return value


def _alone(text: str) -> Any:
    text = text.strip(_EMPHASIS)
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return NOTHING
    return value if end == len(text) else NOTHING


def _within(text: str) -> Any:
    """Return the value in the first fence that holds one and nothing else, else the first object or list."""
    if "```" in text:
        for fence in _FENCE.finditer(text):
            value = _alone(fence[1])
            if value is not NOTHING:
                return value
    return _first_object(text)


def _first_object(text: str) -> Any:
    """Return the first object or list of a text, passing over faulty ones: what stands in them is no answer."""
    place = 0
    while opening := _OPENING.search(text, place):
        try:
            return _DECODER.raw_decode(text, opening.start())[0]
        except (ValueError, RecursionError):
            place = _end_of_brackets(text, opening.start())
    return NOTHING


def _end_of_brackets(text: str, start: int) -> int:
    """Return the place behind the bracket that closes the one at `start`, or the text's end."""
    depth = 0
    for piece in _BRACKET.finditer(text, start):
        depth += (piece[0] in "{[") - (piece[0] in "}]")
        if depth == 0 and piece[0] in "}]":
            return piece.end()
    return len(text)


def canonical(value: Any) -> str | None:
    """Return a value as JSON with sorted keys and no spaces, the same for equal values; None if nested too deeply."""
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        # Half of a surrogate pair is JSON, but no text.
        return text if text.isascii() or _is_text(text) else json.dumps(value, sort_keys=True, separators=(",", ":"))
    except (RecursionError, ValueError):
        return None


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
