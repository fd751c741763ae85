"""Ranges: an axis of numbers in a few characters, "128..512*2" or "0.1..0.9+0.2"."""

import re
from collections.abc import Iterator
from decimal import Decimal

#: so many values may one range have
MAX_VALUES = 100_000

#: more digits than anybody writes would make the arithmetic slow
_NUMBER = r"[+-]?\d{1,15}(?:\.\d{1,15})?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*(?:([*+])\s*({_NUMBER})\s*)?")

EXAMPLE = "write a range as 1..4, 0.1..0.9+0.2 or 128..512*2"


def is_range(text: str) -> bool:
    """Return whether a text is meant as a range."""
    return ".." in text


def read_range(text: str) -> list[int | float]:
    """Return the numbers of a range: FROM..TO+STEP, FROM..TO*FACTOR, or FROM..TO for whole numbers.

    The steps are exact decimals, and TO is in it where a step meets it. Raises ValueError that says what is wrong.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no range; {EXAMPLE}")
    first, last = Decimal(match[1]), Decimal(match[2])
    operator, by = match[3] or "+", Decimal(match[4] or 1)
    if match[3] is None and not (_is_whole(first) and _is_whole(last)):
        raise ValueError(f"the range {text!r} needs a step, as in {match[1]}..{match[2]}+0.1")
    if last < first:
        raise ValueError(f"the range {text!r} ends below its start")
    if by <= 0 or (operator == "*" and (by <= 1 or first <= 0)):
        raise ValueError(f"the range {text!r} would never end; {EXAMPLE}")
    values = []
    for value in _steps(first, last, operator, by):
        values.append(int(value) if _is_whole(value) else float(value))
        if len(values) > MAX_VALUES:
            raise ValueError(f"the range {text!r} has more than {MAX_VALUES:,} values")
    return values


def _steps(first: Decimal, last: Decimal, operator: str, by: Decimal) -> Iterator[Decimal]:
    value = first
    while value <= last:
        yield value
        value = value * by if operator == "*" else value + by


def _is_whole(value: Decimal) -> bool:
    return value == value.to_integral_value()
