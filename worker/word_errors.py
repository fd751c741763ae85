"""Word errors of a transcript: jiwer's alignment over the text as Whisper's own normaliser writes it.

The English normaliser knows spellings, contractions and numbers ("twenty-one" is "21"); for other languages there is
the basic one. Only the session process uses it.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

import jiwer
from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

#: languages that put no space between words; as in Whisper's paper, their letters are counted instead
_UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my"})


class WordErrors(NamedTuple):
    """What lies between a transcript and what was said."""

    substitutions: int
    deletions: int
    insertions: int
    #: words that were said
    words: int
    #: the transcript as it was compared
    heard: str

    @property
    def errors(self) -> int:
        """All three kinds of errors together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def score(self) -> float:
        """1 minus the word error rate, and 0 where there are more errors than words."""
        if not self.words:
            return float(not self.errors)
        return max(0.0, 1 - self.errors / self.words)


def word_errors(transcript: str, answers: Sequence[str], language: str | None) -> WordErrors:
    """Compare a transcript with what was said; of several alternatives the nearest counts.

    `language` is a code ("en"); None is English.
    """
    normal = _normalizer((language or "en").lower())
    heard = _words(normal(transcript))
    return min((_compared(_words(normal(answer)), heard) for answer in answers), key=lambda found: -found.score)


def word_error_rate(found: Iterable[WordErrors]) -> float | None:
    """Return the errors of all clips over the words of all clips; None where nothing was said."""
    errors, words = 0, 0
    for each in found:
        errors += each.errors
        words += each.words
    return errors / words if words else None


def libraries() -> dict[str, str]:
    """Return the versions of what decides these figures; the normaliser is Whisper's."""
    return {name: version(name) for name in ("jiwer", "openai-whisper")}


def _compared(said: str, heard: str) -> WordErrors:
    found = jiwer.process_words(said, heard)
    return WordErrors(found.substitutions, found.deletions, found.insertions, len(said.split()), heard)


def _words(text: str) -> str:
    return " ".join(text.split())


@cache
def _normalizer(language: str) -> Any:
    if language == "en":
        return EnglishTextNormalizer()
    return BasicTextNormalizer(split_letters=language in _UNSPACED)
