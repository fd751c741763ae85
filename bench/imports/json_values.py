"""JSON values one after the other, of a file of any size: an array's elements, or an object a line."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from bench.errors import InputError
from bench.imports.records import Placed

#: reads so many characters of a text, fewer at its end
Read = Callable[[int], str]

_CHUNK = 1 << 18
#: the largest object that is read
MAX_CHARACTERS = 64 << 20
#: a fault so near the end of what was read may be one of reading no further
_NEAR = 16


def json_objects(read: Read, name: str) -> Iterator[Placed]:
    """Yield the objects of a text: those that follow each other, and the elements of arrays of them.

    At most one object, and some of what follows it, is held at a time. Raises InputError that names the file and the
    line: for what is no JSON, for an array of something else, and for a text that ends too early.
    """
    return _Reader(read, name).objects()


class _Reader:
    """A text that is read piece by piece, and the place in it."""

    def __init__(self, read: Read, name: str) -> None:
        self._read = read
        self._name = name
        self._text = ""
        self._at = 0
        #: of the place
        self._line = 1
        self._is_over = False
        self._decoder = json.JSONDecoder()

    def objects(self) -> Iterator[Placed]:
        while sign := self._next():
            if sign == "[":
                self._step()
                yield from self._elements()
            else:
                yield self._object(sign)

    def _elements(self) -> Iterator[Placed]:
        sign = self._next()
        while sign != "]":
            yield self._object(sign)
            sign = self._next()
            if sign == ",":
                self._step()
                sign = self._next()
                if sign == "]":
                    raise self._fault("an element is missing after the comma")
            elif sign != "]":
                raise self._fault("a comma is missing between two elements") if sign else self._cut_off()
        self._step()

    def _next(self) -> str:
        """Go to the next sign that is no space, and return it; empty at the end."""
        while True:
            while self._at < len(self._text):
                sign = self._text[self._at]
                if sign not in " \t\r\n":
                    return sign
                self._line += sign == "\n"
                self._at += 1
            if not self._fill(_CHUNK):
                return ""

    def _step(self) -> None:
        self._at += 1

    def _fill(self, size: int) -> bool:
        """Read on, and forget what lies behind. Returns False at the end."""
        more = "" if self._is_over else self._read(size)
        self._is_over = not more
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)

    def _object(self, sign: str) -> Placed:
        if not sign:
            raise self._cut_off()
        if sign != "{":
            raise self._fault(f"must be an object in braces, and begins with {sign!r}")
        line = self._line
        value, end = self._decode()
        self._line += self._text.count("\n", self._at, end)
        self._at = end
        return Placed(line, value)

    def _decode(self) -> tuple[dict[str, Any], int]:
        while True:
            try:
                return self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._go_on_after(error)
            except RecursionError:
                raise self._fault("is nested too deeply to be read") from None
            except ValueError as error:  # a number of thousands of digits
                raise self._fault(f"can't be read: {error}") from None

    def _go_on_after(self, error: json.JSONDecodeError) -> None:
        """Read on where that may help; else raise what is wrong in our words."""
        held, reached = len(self._text) - self._at, error.pos - self._at
        is_cut = error.msg.startswith("Unterminated string") or reached >= held - _NEAR
        if is_cut and held > MAX_CHARACTERS:
            raise self._fault(f"is larger than {MAX_CHARACTERS >> 20} MiB, which is no row of results") from None
        # As much as is held already: what is decoded again and again stays a small multiple of the text.
        if is_cut and self._fill(max(_CHUNK, held)):
            return
        end = self._at + reached
        if end >= len(self._text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise self._cut_off() from None
        line = self._line + self._text.count("\n", self._at, end)
        raise InputError(f"is no JSON: {error.msg[0].lower()}{error.msg[1:]}", where=f"{self._name}:{line}") from None

    def _fault(self, message: str) -> InputError:
        return InputError(message, where=f"{self._name}:{self._line}")

    def _cut_off(self) -> InputError:
        return self._fault("the file ends in the middle of what begins here: it was cut off")
