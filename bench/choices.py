"""Reading the letter of a multiple-choice question from what a model wrote."""

import re
from collections import deque

#: a small letter counts only where it can't be the article "a", and "I" only where it can't be the pronoun
_LETTER = r"(?<![^\W_])(?:[A-HJ](?![\w'’])|[a-jI](?=\W*(?:\Z|\n)|[).\]:*}]))"
_STATED = re.compile(rf"\b(?i:answer|choice|option)\s+(?i:is|would\s+be|must\s+be)[\s:*_(\[{{]*({_LETTER})")
_LEADING = re.compile(rf"[\s*_(\[{{\"'$]*(?!A\s+[a-z])({_LETTER})")
_LEADING_MARKED = re.compile(rf"[\s*_(\[{{\"'$]*(?i:(?:option|choice)\s+)?[(\[*_]*({_LETTER})")
_ENCLOSED = re.compile(r"\(([A-Ja-j])\)|\[([A-J])\]|\*\*([A-J])[).:]?\*\*|^[ \t]*([A-J])[).:](?=\s|\Z)", re.MULTILINE)


def read_letter(part: str, marked: bool) -> str | None:
    """Return the letter, a capital, that a text names by the surest way that it uses.

    `marked` says that the text follows a marker, so that a letter which begins it is the answer.
    """
    found = _LEADING_MARKED.match(part) if marked else None
    found = found or last(_STATED, part) or _LEADING.match(part) or last(_ENCLOSED, part)
    return next(group for group in found.groups() if group).upper() if found else None


def last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match of a pattern in a text."""
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)
