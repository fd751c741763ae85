"""Reading the letter of a multiple-choice question from what a model wrote."""

import re
import unicodedata
from collections import deque

#: a small letter counts only where it can't be the article "a", and "I" only where it can't be the pronoun
_LETTER = r"(?<![^\W_])(?:[A-HJ](?![\w'’])|[a-jI](?=\W*(?:\Z|\n)|[).\]:*}]))"
_STATED = re.compile(rf"\b(?i:answer|choice|option)\s+(?i:is|would\s+be|must\s+be)[\s:*_(\[{{]*({_LETTER})")
_SAID = re.compile(
    rf"\b(?i:it\s+is|it['’]s|option|choice|sure|i\s+(?:would\s+)?(?:choose|pick|select|say|think))[\s:,*_(\[{{]*({_LETTER})"
)
#: the options themselves, said over: no choice
_OPTION = re.compile(r"(?<![^\W_])([A-J])[).:]")
_LISTED = re.compile(r"[\s*_(\[{\"'$]*[A-J](?:\s*[,/&]\s*(?:and\s+|or\s+)?|\s+(?:and|or)\s+)[A-J](?![\w'’])")
_LEADING = re.compile(rf"[\s*_(\[{{\"'$]*(?!A\s+[a-z])({_LETTER})")
_LEADING_MARKED = re.compile(rf"[\s*_(\[{{\"'$]*(?i:(?:option|choice)\s+)?[(\[*_]*({_LETTER})")
_ENCLOSED = re.compile(r"\(([A-Ja-j])\)|\[([A-J])\]|\*\*([A-J])[).:]?\*\*|^[ \t]*([A-J])[).:](?=\s|\Z)", re.MULTILINE)


def read_letter(part: str, marked: bool) -> str | None:
    """Return the letter, a capital, that a text names by the surest way that it uses.

    `marked` says that the text follows a marker, so that a letter which begins it is the answer.
    """
    part = unicodedata.normalize("NFKC", part) if not part.isascii() else part
    found = last(_STATED, part) or last(_SAID, part)
    if marked:
        found = _LEADING_MARKED.match(part) or found
    if found is None and not _is_said_over(part):
        found = _LEADING.match(part) or last(_ENCLOSED, part)
    return next(group for group in found.groups() if group).upper() if found else None


def _is_said_over(part: str) -> bool:
    """Whether a text only repeats letters: a list of them, three options or more, or one again and again."""
    marked = _OPTION.findall(part)
    return _LISTED.match(part) is not None or (len(marked) >= 3 and len(set(marked)) != 2)


def last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match of a pattern in a text."""
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)
