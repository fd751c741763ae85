"""Counting the words, sentences, lines, lists and marks of a text, as a person would."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping

# ---- words

#: a character of Han or kana is a word by itself, as word processors count them
_IDEOGRAPH = "\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_IDEOGRAPH}]|[^\s—{_IDEOGRAPH}]+")
_HAS_WORD_CHARACTER = re.compile(r"[^\W_]")


def count_words(text: str) -> int:
    """Count what stands between spaces or long dashes and holds a letter or digit; "well-known" is one word."""
    return sum(1 for word in _WORD.finditer(text) if _HAS_WORD_CHARACTER.search(word[0]))


# ---- lines and what they begin with

_FENCE_LINE = re.compile(r"\s{0,3}(?:```|~~~)")
_RULE = re.compile(r"\s*(?:[-*_]\s*){3,}\Z")
_BULLET = re.compile(r"\s*[-*•]\s+\S")
_NUMBERED = re.compile(r"\s*(?:\*\*|__)?\d{1,3}[.)](?:\*\*|__)?\s+\S")
_HEADING = re.compile(r" {0,3}#{1,6}\s+\S")
_LIST_MARK = re.compile(r"\s*(?:[-*•]\s+|#{1,6}\s+|>\s*|(?:\*\*|__)?\d{1,3}[.)](?:\*\*|__)?\s+)*")


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _lines_outside_fences(text: str) -> Iterator[str]:
    fenced = False
    for line in _lines(text):
        if _FENCE_LINE.match(line):
            fenced = not fenced
        elif not fenced:
            yield line


def _count_lines(text: str) -> int:
    return len(_lines(text))


def _count_bullets(text: str) -> int:
    return sum(1 for line in _lines_outside_fences(text) if _BULLET.match(line) and not _RULE.match(line))


def _count_numbered(text: str) -> int:
    return sum(1 for line in _lines_outside_fences(text) if _NUMBERED.match(line))


def _count_headings(text: str) -> int:
    return sum(1 for line in _lines_outside_fences(text) if _HEADING.match(line))


# ---- paragraphs and sentences


def _blocks(text: str) -> Iterator[list[str]]:
    """Yield the lines of every block that blank lines part."""
    block: list[str] = []
    for line in text.splitlines():
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _count_paragraphs(text: str) -> int:
    """Count blocks between blank lines; headings and rules are no paragraphs."""
    return sum(1 for block in _blocks(text) if not all(_HEADING.match(line) or _RULE.match(line) for line in block))


_SENTENCE_END = re.compile(
    r"(?<![.!?…؟۔।॥])(?P<mark>[.!?…؟۔।॥]++)[\"'”’»)\]*_]*+(?=\s|\Z)|(?P<wide>[。！？｡]++)[」』”’）]*+"
)
_SHORT = re.compile(
    r"(?:mrs?|ms|dr|prof|st|mt|sr|jr|vs|etc|fig|no|vol|approx|dept|gen|capt|sgt|rev|hon|inc|ltd)\Z", re.IGNORECASE
)
_LAST_WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*\Z")
_AHEAD = re.compile(r"[\s\"'“‘«(\[*_]*(\w?)")


def count_sentences(text: str) -> int:
    """Count sentences: they end at . ! ? and the like, and at the end of a paragraph, list item or heading.

    A full stop behind an abbreviation or an initial, or before a small letter, ends none.
    """
    return sum(_sentences_of(part) for part in _passages(text))


def _passages(text: str) -> Iterator[str]:
    """Yield the paragraphs, list items and headings of a text, without their marks."""
    for block in _blocks(text):
        passage: list[str] = []
        for line in block:
            mark = _LIST_MARK.match(line)
            start = mark.end() if mark else 0
            if line[:start].strip() and passage:
                yield " ".join(passage)
                passage = []
            passage.append(line[start:])
            if _HEADING.match(line):
                yield passage.pop()
        if passage:
            yield " ".join(passage)


def _sentences_of(passage: str) -> int:
    count, start, words = 0, 0, False
    for end in _SENTENCE_END.finditer(passage):
        words = words or bool(_HAS_WORD_CHARACTER.search(passage, start, end.start()))
        start = end.end()
        if words and _ends_sentence(passage, end):
            count, words = count + 1, False
    return count + (words or bool(_HAS_WORD_CHARACTER.search(passage, start)))


def _ends_sentence(passage: str, end: re.Match[str]) -> bool:
    if end["wide"]:
        return True
    ahead = _AHEAD.match(passage, end.end())
    following = ahead[1] if ahead else ""
    if following.islower():
        return False
    if end["mark"] != "." or not following:
        return True
    last = _LAST_WORD.search(passage, max(0, end.start() - 20), end.start())
    word = last[0] if last else ""
    initial = len(word) == 1 and word.isupper() and word != "I"
    return not (initial or _SHORT.match(word) or ("." in word and word.replace(".", "").isalpha()))


# ---- characters and marks


def _count_characters(text: str) -> int:
    return len(unicodedata.normalize("NFC", text.strip()))


def _count_commas(text: str) -> int:
    return sum(text.count(comma) for comma in ",，،")


_EXCLAIMED = re.compile(r"[?？؟!！]++")


def _count_questions(text: str) -> int:
    """Count question marks; several in a row, such as ?!?, are one."""
    return sum(1 for marks in _EXCLAIMED.findall(text) if marks.strip("!！"))


#: what can be counted, by name
COUNTS: Mapping[str, Callable[[str], int]] = {
    "words": count_words,
    "sentences": count_sentences,
    "lines": _count_lines,
    "paragraphs": _count_paragraphs,
    "bullets": _count_bullets,
    "numbered": _count_numbered,
    "headings": _count_headings,
    "characters": _count_characters,
    "commas": _count_commas,
    "questions": _count_questions,
}
