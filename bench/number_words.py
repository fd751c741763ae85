"""Numbers that a text writes as English words: "forty-two", "one hundred and seven", "two and a half"."""

import re
from collections.abc import Iterator
from math import inf

_SMALL_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
"""
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: value for value, word in enumerate(re.findall("[a-z]+", _SMALL_WORDS))}
_TENS = {word: 10 * value for value, word in enumerate(re.findall("[a-z]+", _TENS_WORDS), start=2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_PLURAL_PARTS = {"halves": 2, **{f"{word}s": value for word, value in _PARTS.items() if word != "half"}}
_SIGNS = {"minus", "negative"}
_JOINTS = {"and", "point", "oh", "a", "an", ","}

_WORDS = "|".join(
    sorted([*_SMALL, *_TENS, *_SCALES, *_PARTS, *_PLURAL_PARTS, *_SIGNS, *_JOINTS, "hundred"], key=len, reverse=True)
).replace("|,", "")
#: words of numbers in a row; an operator between two numbers, such as "plus", parts them
_RUN = re.compile(rf"\b(?:{_WORDS})\b(?:(?:\s*,\s*|[\s-]+)(?:{_WORDS})\b)*+", re.IGNORECASE)
_TOKEN = re.compile(r"[a-z]+|,")
#: what "one" stands for where it is no number: "this one", "one of them", "one can see"
_BEFORE_PRONOUN = re.compile(
    r"\b(?:no|any|some|every|each|this|that|which|the|another|other|last|first|next|right|wrong|correct)\s+\Z",
    re.IGNORECASE,
)
_AFTER_PRONOUN = re.compile(
    r"(?:\s+|-)(?:of|another|by|at|can|could|may|might|must|should|would|needs|has|is|thing|way|more|side|hand|day)\b",
    re.IGNORECASE,
)
_ENDS_PHRASE = re.compile(r"[\s*_]*(?:[.,;:!?)\n]|\Z|of\b)", re.IGNORECASE)


def numbers_in_words(text: str) -> Iterator[float]:
    """Yield the numbers that a text writes as English words, in its order.

    Markdown must be gone. A "one" that is a pronoun is none, and neither is an ordinal ("the third").
    """
    for run in _RUN.finditer(text):
        tokens = _TOKEN.findall(run[0].lower())
        if tokens == ["one"] and (
            _BEFORE_PRONOUN.search(text, max(0, run.start() - 12), run.start()) or _AFTER_PRONOUN.match(text, run.end())
        ):
            continue
        yield from _Row(tokens, ends_phrase=bool(_ENDS_PHRASE.match(text, run.end()))).numbers()


class _Row:
    """A row of tokens that is read from left to right, each once."""

    def __init__(self, tokens: list[str], ends_phrase: bool) -> None:
        self.tokens = tokens
        self.place = 0
        self.ends_phrase = ends_phrase

    def numbers(self) -> Iterator[float]:
        """Yield the row's numbers."""
        while self.place < len(self.tokens):
            start = self.place
            negative = self.tokens[start] in _SIGNS
            self.place += negative
            value = self.number()
            if value is None:
                self.place = start + 1
            else:
                yield -value if negative else value

    def number(self) -> float | None:
        """Return the number that begins here, and step behind it."""
        if (part := self.lone_part()) is not None:
            return part
        whole = self.whole()
        if whole is None:
            return None
        if self.at() in _PLURAL_PARTS or (whole == 1 and self.at() in _PARTS):
            return whole / self.denominator()
        if self.at() == "point" and self.digits_follow():
            return self.decimal(whole)
        if self.at() == "and" and (part := self.part_after_and()) is not None:
            return whole + part
        return whole

    def at(self, ahead: int = 0) -> str:
        """Return the token here or so many further on; "" behind the end."""
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else ""

    def denominator(self) -> int:
        """Return how many parts the token here names, and step behind it."""
        self.place += 1
        token = self.tokens[self.place - 1]
        return _PARTS.get(token) or _PLURAL_PARTS[token]

    def lone_part(self) -> float | None:
        """Read "half", "a half", "a quarter", "half a dozen", and "a third" where no noun follows."""
        article = self.at() in {"a", "an"}
        name = self.at(article)
        if name not in _PARTS or not (article or name == "half"):
            return None
        if name == "half" and self.at(article + 1) in {"a", "an"} and self.at(article + 2) == "dozen":
            self.place += article + 3
            return 6
        last = self.place + article + 1 == len(self.tokens)
        if name not in {"half", "quarter"} and not (last and self.ends_phrase):
            return None
        self.place += article
        return 1 / self.denominator()

    def part_after_and(self) -> float | None:
        """Read "and a half", "and three quarters" behind a whole number."""
        start = self.place
        self.place += 1
        if self.at() in {"a", "an", "one"} and self.at(1) in _PARTS:
            self.place += 1
            return 1 / self.denominator()
        if self.at() in _SMALL and self.at(1) in _PLURAL_PARTS:
            self.place += 1
            return _SMALL[self.tokens[self.place - 1]] / self.denominator()
        self.place = start
        return None

    def digits_follow(self) -> bool:
        """Whether a digit in words follows the token here."""
        return _digit(self.at(1)) is not None

    def decimal(self, whole: float) -> float:
        """Read "point one four" behind a whole number."""
        self.place += 1
        digits = []
        while (digit := _digit(self.at())) is not None:
            digits.append(digit)
            self.place += 1
        return float(f"{whole:.0f}.{''.join(digits[:17])}")

    def whole(self) -> float | None:
        """Read a whole number: groups below a thousand, each with a smaller scale than the one before."""
        total, smallest, found = 0.0, inf, False
        while True:
            start = self.place
            if found and self.at() in {"and", ","}:
                self.place += 1
                self.place += self.at() == "and"
            group = self.group(first=not found)
            scale = _SCALES.get(self.at())
            # A group that can't go on with the number begins the next one: "one thousand, two thousand".
            if group is None or (scale or 1) >= smallest:
                self.place = start
                return total if found else None
            if scale is None:
                return total + group
            total, smallest, found = total + group * scale, scale, True
            self.place += 1

    def group(self, *, first: bool) -> float | None:
        """Read a number below a thousand, or a year's two halves ("nineteen eighty-four")."""
        if self.at() in {"a", "an"} and (self.at(1) == "hundred" or self.at(1) in _SCALES):
            self.place += 1
            value = 1
        elif self.at() == "hundred" or (first and self.at() in _SCALES):
            value = 1
        else:
            start = self.place
            read = self.below_hundred()
            if read is None:
                return None
            value = read
            if first and self.place == start + 1 and 11 <= value <= 20 and self.at() in _TENS:
                return value * 100 + (self.below_hundred() or 0)
        return self.after_hundred(value) if self.at() == "hundred" else value

    def after_hundred(self, hundreds: int) -> int:
        """Read "hundred", and what below a hundred goes with it."""
        self.place += 1
        start = self.place
        self.place += self.at() == "and"
        rest = self.below_hundred()
        # "two hundred and three hundred" are two numbers.
        if rest is None or self.at() == "hundred" or self.at() in _PLURAL_PARTS:
            self.place = start
            rest = 0
        return hundreds * 100 + rest

    def below_hundred(self) -> int | None:
        """Read a number below a hundred."""
        token = self.at()
        if token in _TENS:
            self.place += 1
            ones = _SMALL.get(self.at(), 0)
            if 0 < ones < 10:
                self.place += 1
                return _TENS[token] + ones
            return _TENS[token]
        if token in _SMALL:
            self.place += 1
            return _SMALL[token]
        return None


def _digit(word: str) -> str | None:
    """Return the digit that a word names; None for another word."""
    value = 0 if word == "oh" else _SMALL.get(word, 10)
    return str(value) if value < 10 else None
