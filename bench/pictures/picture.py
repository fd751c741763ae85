"""One picture with what is asked of it."""

import hashlib
from typing import NamedTuple

from bench.pictures.canvas import Canvas


class Sketch(NamedTuple):
    """A drawing with its question and the true answer, which comes from what was drawn."""

    canvas: Canvas
    prompt: str
    #: alternatives, or for `keywords` the points that all count
    answer: tuple[str, ...]


class Picture(NamedTuple):
    """One item of a workload of pictures."""

    id: str
    prompt: str
    answer: tuple[str, ...]
    level: int
    #: the PNG file
    png: bytes

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in hex."""
        return hashlib.sha256(self.png).hexdigest()
