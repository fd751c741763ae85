"""Choices that a seed decides, the same on every machine and in every version of Python."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

_One = TypeVar("_One")


class Dice:
    """A source of choices. Not `random`, whose algorithms may change: what is drawn is part of a series' key."""

    def __init__(self, *seed: object) -> None:
        self._seed = "\n".join(map(str, seed)).encode()
        self._rolls = 0

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit` - 1."""
        self._rolls += 1
        digest = hashlib.sha256(self._seed + b"\n%d" % self._rolls).digest()
        return int.from_bytes(digest[:8], "big") % limit

    def between(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def pick(self, among: Sequence[_One]) -> _One:
        """Return one of several."""
        return among[self.below(len(among))]

    def sample(self, among: Sequence[_One], count: int) -> list[_One]:
        """Return `count` different ones of several, in random order."""
        left = list(among)
        return [left.pop(self.below(len(left))) for _ in range(count)]
