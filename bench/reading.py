"""The part of a text that is judged: what follows a reasoning model's thoughts and the marker of an answer."""

import re
from typing import NamedTuple

#: "Answer:", "**Final answer:**", "__Answer__ :" and LaTeX's \boxed{
_MARKER = re.compile(r"(?<![^\W_])answer[\s*_]*[:\uff1a]|\\boxed\s*\{", re.IGNORECASE)
#: the marker where it begins a line, as chain of thought asks for it
_LINE_MARKER = re.compile(
    r"^[ \t>#*_]*(?:(?:the|my)[ ])?(?:final[ ])?answer[ *_]*[:\uff1a]", re.IGNORECASE | re.MULTILINE
)
_WORD_CHARACTER = re.compile(r"[^\W_]")


class Part(NamedTuple):
    """The part of a text that is judged."""

    text: str
    #: whether it follows a marker or was found by a strategy's output pattern, so that it begins with the answer
    marked: bool


def after_thoughts(text: str) -> str:
    """Return what follows a reasoning model's thoughts, which is nothing where they never end."""
    if "<think>" not in text and "</think>" not in text:
        return text
    _, closed, rest = text.rpartition("</think>")
    return "" if "<think>" in rest else rest if closed else text


def judged(text: str) -> Part:
    """Return what follows the last marker, or the whole text where there is none.

    A marker with nothing behind it, as an answer that was cut off leaves it, does not hide the one before.
    """
    # The plain search is far cheaper, and most texts have no marker.
    if "answer" not in text.lower() and "\\boxed" not in text:
        return Part(text, False)
    return _after_last(_MARKER, text)


def answer_section(text: str) -> Part:
    """Return what follows the last line that begins with "Answer:", or the whole text where there is none.

    For texts of some length, in which "answer:" may stand in the middle of a sentence.
    """
    return _after_last(_LINE_MARKER, text) if "answer" in text.lower() else Part(text, False)


def _after_last(marker: re.Pattern[str], text: str) -> Part:
    markers = list(marker.finditer(text))
    end = len(text)
    for each in reversed(markers):
        if _WORD_CHARACTER.search(text, each.end(), end):
            return Part(text[each.end() : end], True)
        end = each.start()
    return Part("", True) if markers else Part(text, False)


# ---- LaTeX, as far as answers hold it

_BEFORE_FRACTION = re.compile(r"(?<=\d)(?=\\[dt]?frac)")
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{\s*([-+]?\d+)\s*\}\s*\{\s*(\d+)\s*\}|\s(\d)\s?(\d)|(\d)(\d))")
_THIN_SPACE = re.compile(r"\\[,;:!]")
_COMMAND = re.compile(r"\\(?:[a-zA-Z]+|[()\[\] ])")
_SUBSCRIPT = re.compile(r"_\{?(\d+)\}?")


def without_latex(text: str) -> str:
    """Return a text without LaTeX's commands; a fraction of whole numbers becomes 3/4."""
    if "\\" in text:
        if "frac" in text:
            text = _FRACTION.sub(_fraction, _BEFORE_FRACTION.sub(" ", text))
        text = _THIN_SPACE.sub("", text)
        text = _COMMAND.sub(" ", text)
    if "{,}" in text:
        text = text.replace("{,}", ",")
    return _SUBSCRIPT.sub(r"\1", text) if "_" in text else text


def _fraction(found: re.Match[str]) -> str:
    top, bottom = (part for part in found.groups() if part)
    return f"{top}/{bottom} "
