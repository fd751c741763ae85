"""Words of a text, brought to one form so that case, accents, punctuation and Markdown make no difference."""

import re
import unicodedata

from bench.reading import without_latex

#: scripts that put no space between words, or glue endings to them: Thai, Lao, Burmese, Khmer, kana, Han, Hangul
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff"
#: Indic scripts, whose vowel signs `\w` leaves out
_INDIC = "\u0900-\u0963\u0966-\u0dff"
_ACCENT = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]")
_DASH = re.compile("[\u2212\u2013]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_THOUSANDS_SPACE = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_SPACED = rf"(?:[^\W_{UNSPACED}{_INDIC}]+|[{_INDIC}]+)+"
_WORD = re.compile(
    rf"{_SPACED}(?:(?<=\d)\.(?=\d){_SPACED})*"
    rf"|(?<![^\W_])-(?=\d){_SPACED}(?:\.(?=\d){_SPACED})*"
    rf"|[{UNSPACED}]+"
)
#: what a contraction or a possessive ends with, which is no word: "it's", "I'd", "Shakespeare's"; "don't" is one word
_CONTRACTED = re.compile(r"(?<=[^\W\d_])['’](?:s|m|d|ll|re|ve)(?![^\W_])")
_NOT = re.compile(r"(?<=n)['’](?=t(?![^\W_]))")
_STARTS_UNSPACED = re.compile(rf"[{UNSPACED}]")
_ENDS_UNSPACED = re.compile(rf"[{UNSPACED}]\Z")


def normal(text: str) -> str:
    """Return the words of a text with single spaces between them: no case, accents, punctuation or Markdown.

    A decimal point and a number's sign are kept, thousands separators are not.
    """
    text = without_latex(text)
    text = text.lower() if text.isascii() else without_accents(_THOUSANDS_SPACE.sub("", _DASH.sub("-", text)))
    if "'" in text or "’" in text:
        text = _NOT.sub("", _CONTRACTED.sub("", text))
    if "," in text:
        text = _THOUSANDS.sub("", text)
    return " ".join(_WORD.findall(text))


def without_accents(text: str) -> str:
    """Return a text in small letters without accents; its letters are composed as far as they can be."""
    text = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", _ACCENT.sub("", text))


def occurs(words: str, text: str) -> bool:
    """Whether normalised words stand in a normalised text, as whole words where the script has such."""
    before = "" if _STARTS_UNSPACED.match(words) else " "
    after = "" if _ENDS_UNSPACED.search(words) else " "
    return bool(words) and f"{before}{words}{after}" in f" {text} "


def letter_stands(letter: str, text: str) -> bool:
    """Whether a text names a letter: as a capital by itself, or as a small one in marks or at the end.

    "A" and "I" before a small word are the article and the pronoun.
    """
    capital, small = letter.upper(), letter.lower()
    word = r"(?!\s+[a-z])" if capital in "AI" else ""
    alone = rf"(?<![\w'’-]){capital}(?![\w'’-]){word}"
    marked = rf"[\"'“‘*(_`]{small}[\"'”’*)_`]|(?<![\w'’-]){small}\W*\Z"
    return re.search(f"{alone}|{marked}", text) is not None


def begins_word(words: str, text: str) -> bool:
    """Whether words of a normalised text begin with normalised ones ("evaporat" in "it evaporates")."""
    before = "" if _STARTS_UNSPACED.match(words) else " "
    return bool(words) and f"{before}{words}" in f" {text}"


def plural(words: str) -> str | None:
    """Return the regular English plural of normalised words; None where their last is no English word.

    It is the third person of a verb as well: "plants", "boxes", "carries".
    """
    last = words.rpartition(" ")[2]
    if len(last) < 3 or not (last.isascii() and last.isalpha()):
        return None
    if last.endswith("y") and last[-2] not in "aeiou":
        return f"{words[:-1]}ies"
    return words + ("es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s")
