"""Users' regular expressions, of the library `regex`, searched in what models wrote without ever hanging a worker.

The library is imported on first use: most commands never need it.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex

#: a search that takes longer finds nothing
TIME_LIMIT_SECONDS = 0.5
#: characters of an expression, and parts it may have when its counted repeats are written out
_MOST_CHARACTERS = 2000
_MOST_PARTS = 20_000

#: an escape, a set, the opening of a group with its flags, its end, a counted repeat, or any other character
_PIECE = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<open>\()|(?P<close>\))|\{(?P<least>\d*)(?:,(?P<most>\d*))?\}[?+]?|.", re.DOTALL
)


class ExpressionError(ValueError):
    """A text is no regular expression; the message says why, and where."""


@lru_cache(maxsize=1024)
def compiled(expression: str) -> "regex.Pattern[str]":
    """Return an expression ready to be searched. Raises ExpressionError."""
    import regex

    if len(expression) > _MOST_CHARACTERS:
        raise ExpressionError(f"it is longer than {_MOST_CHARACTERS} characters")
    # The library writes counted repeats out, and nested ones fill the memory before any time limit counts.
    if _parts(expression) > _MOST_PARTS:
        raise ExpressionError("its nested counts, such as (a{100}){100}, are too large")
    try:
        return regex.compile(expression)
    except regex.error as error:
        raise ExpressionError(str(error)) from None
    except (RecursionError, OverflowError, ValueError, MemoryError):
        raise ExpressionError("it is nested too deeply or its counts are too large") from None


def fault_of(expression: str) -> str | None:
    """Return why a text is no regular expression, in words ("missing ) at position 5"), or None."""
    try:
        compiled(expression)
    except ExpressionError as error:
        return str(error)
    return None


def search(expression: str, text: str) -> str | None:
    """Return what the expression finds first; None where it finds nothing, takes too long or is none."""
    try:
        found = compiled(expression).search(text, timeout=TIME_LIMIT_SECONDS)
    except (ExpressionError, TimeoutError):
        return None
    return found[0] if found else None


def last_answer(pattern: str, text: str) -> str | None:
    """Return what an output pattern finds last: its group `answer`, else its group 1, else the whole match.

    A match that holds only space does not hide the one before. None where nothing is found. Raises TimeoutError
    where it takes too long.
    """
    answer = None
    try:
        expression = compiled(pattern)
        group = "answer" if "answer" in expression.groupindex else min(expression.groups, 1)
        for match in expression.finditer(text, timeout=TIME_LIMIT_SECONDS):
            if (match[group] or "").strip():
                answer = match[group]
    except ExpressionError:
        return None
    return answer


def _parts(expression: str) -> int:
    """Return how many parts an expression has when its counted repeats are written out."""
    totals, latest = [0], 0
    for piece in _PIECE.finditer(expression):
        if piece["open"]:
            totals.append(0)
            latest = 0
        elif piece["close"]:
            latest = totals.pop() if len(totals) > 1 else 0
            totals[-1] += latest
        elif piece["least"] is not None:
            times = max(int((count or "1")[:9]) for count in (piece["least"], piece["most"]))
            totals[-1] += latest * (times - 1)
            latest *= times
        else:
            latest = 1
            totals[-1] += 1
    return sum(totals)
