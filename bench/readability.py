"""Readability: how easily a text reads, and whether it has the form that was asked for."""

import re
from collections.abc import Sequence

from bench.constraints import share_held
from bench.reading import after_thoughts
from bench.syllables import count_syllables

#: fewer words have no readability
FEWEST_WORDS = 20

#: languages that have a formula of their own
LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pt", "ru")

#: what is asked of the words, and what of the form, where both are
_WORDS_WEIGHT, _FORM_WEIGHT = 0.7, 0.3

#: added to the English formula for Portuguese, whose words are longer
_PORTUGUESE_BONUS = 42

#: a text that repeats itself for ever is judged by its beginning, in characters
_JUDGED_LENGTH = 20_000


def readability(text: str, language: str | None = None, structure: Sequence[str] | None = None) -> float | None:
    """Return how easily an answer reads, 0 (very hard) to 100 (very easy); None where that can't be said.

    It is Flesch's reading ease (Flesch 1948, "A new readability yardstick", Journal of Applied Psychology 32), cut to
    0..100, of the text without its Markdown and a reasoning model's thoughts, with the coefficients that textstat has
    for the language: Flesch for English, Amstad (German), Fernández Huerta (Spanish), Kandel and Moles (French),
    Franchina and Vacca (Italian), Douma (Dutch), Oborneva (Russian); for Portuguese the English ones and 42 more
    (Martins and others 1996). Words, sentences and syllables are counted by textstat, except for syllables of English,
    for which it would download a dictionary: see `bench.syllables`.

    With `structure`, constraints on the form ("bullets 3"), it is 0.7 times that plus 30 times the share that holds.
    None under 20 words and for a language without a formula; no language is taken for English.
    """
    root = re.split("[-_]", language or "en")[0].lower()
    if root not in LANGUAGES:
        return None
    text = after_thoughts(text)
    ease = _reading_ease(plain_prose(text[:_JUDGED_LENGTH]), root)
    if ease is None or not structure:
        return ease
    return _WORDS_WEIGHT * ease + _FORM_WEIGHT * 100 * share_held(structure, text)


def _reading_ease(text: str, language: str) -> float | None:
    # Here, as the import takes over a second.
    from textstat.backend import counts, metrics, selections
    from textstat.backend.utils import get_lang_cfg

    words = selections.list_words(text, lowercase=True)
    if len(words) < FEWEST_WORDS:
        return None
    syllables = sum(map(count_syllables, words)) if language == "en" else counts.count_syllables(text, language)
    ease: float = (
        get_lang_cfg(language, "fre_base")
        - get_lang_cfg(language, "fre_sentence_length") * metrics.words_per_sentence(text)
        - get_lang_cfg(language, "fre_syll_per_word") * syllables / len(words)
    )
    return min(max(ease + (_PORTUGUESE_BONUS if language == "pt" else 0), 0.0), 100.0)


_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+•][ \t]+|\d{1,3}[.)][ \t]+|\|)", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)")
_EMPHASIS = re.compile(r"[*`]+|(?<!\w)_+|_+(?!\w)")
#: what ends a sentence, or leads on to the next line
_ENDS = ".!?…:;,"


def plain_prose(text: str) -> str:
    """Return a text without its Markdown, each heading, item and paragraph ended by a full stop."""
    blocks: list[str] = []
    continues = False
    for line in _LINK.sub(r"\1", _FENCE.sub("", text)).split("\n"):
        bare, marks = _LINE_MARK.subn("", line)
        bare = _EMPHASIS.sub("", bare).replace("|", " ").strip()
        if bare and continues and not marks:
            blocks[-1] += f" {bare}"
        elif bare:
            blocks.append(bare)
        continues = bool(bare) and not line.lstrip().startswith("#")
    return "\n".join(block if block[-1] in _ENDS else f"{block}." for block in blocks)
