"""A reasoning model's thoughts: where they begin, where they end, and how many tokens they took."""

from collections.abc import Sequence
from typing import Any

OPENED = "<think>"
CLOSED = "</think>"

#: tokens at the end of a prompt that hold an opened mark, even where each letter of it is a token
_TAIL = 16


class Thoughts:
    """Reads a tokenizer's output with the marks of thoughts in it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        #: marks that decoding would skip as it skips the end of a turn, by their token
        self._skipped = {
            number: mark for mark in (OPENED, CLOSED) if (number := _skipped_token(tokenizer, mark)) is not None
        }

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids without special tokens; the marks of thoughts are kept."""
        if not self._skipped:
            return str(self._tokenizer.decode(ids, skip_special_tokens=True))
        parts, start = [], 0
        for place, number in enumerate(ids):
            if number in self._skipped:
                parts += [self._tokenizer.decode(ids[start:place], skip_special_tokens=True), self._skipped[number]]
                start = place + 1
        return "".join([*parts, self._tokenizer.decode(ids[start:], skip_special_tokens=True)])

    def opened_by(self, prompt: Sequence[int]) -> bool:
        """Whether a prompt ends where thoughts begin."""
        return str(self._tokenizer.decode(prompt[-_TAIL:], skip_special_tokens=False)).rstrip().endswith(OPENED)

    def tokens(self, prompt: Sequence[int], ids: Sequence[int], text: str) -> int | None:
        """Return how many of an answer's tokens are thoughts, their end mark among them.

        That is all of them where the thoughts never end, and None where the model did not think: the prompt opened
        no thoughts and the text does not begin with them. `text` is `decode(ids)`.
        """
        if not (text.lstrip().startswith(OPENED) or self.opened_by(prompt)):
            return None
        return self._length(ids) if is_over(text) else len(ids)

    def _length(self, ids: Sequence[int]) -> int:
        """Return the length of the shortest beginning that holds the end mark, by bisection."""
        low, high = 1, len(ids)
        while low < high:
            middle = (low + high) // 2
            if is_over(self.decode(ids[:middle])):
                high = middle
            else:
                low = middle + 1
        return low


def is_over(text: str) -> bool:
    """Whether the thoughts of a text have come to their end."""
    return CLOSED in text


def is_unanswered(text: str, thinking_tokens: int | None) -> bool:
    """Whether a model thought and never came to an answer."""
    return thinking_tokens is not None and not is_over(text)


def _skipped_token(tokenizer: Any, mark: str) -> int | None:
    """Return the token of a mark where it is one that decoding skips."""
    ids = tokenizer(mark, add_special_tokens=False)["input_ids"]
    return ids[0] if len(ids) == 1 and not tokenizer.decode(ids, skip_special_tokens=True) else None
