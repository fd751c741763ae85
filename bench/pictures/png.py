"""Writing PNG files whose bytes are the same wherever the pixels are.

zlib's output differs between its versions and relatives, and a picture's SHA-256 is part of a series' key. So the
compressed stream is written here: RFC 1951 with its fixed codes, literals and runs of zeros, which is nearly all that
is left of a drawing once each row is written as its difference from the row above.
"""

import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: a row that is written as its difference from the row above (PNG's filter "up")
_UP = b"\x02"
#: a run that is worth a code: a zero, and then 3 or more
_RUN = re.compile(rb"\x00{4,}")
#: RFC 1951, 3.2.5: shortest length of each length code, from code 257, and the extra bits that say the rest
_LENGTHS = (
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227
)  # fmt: skip
_EXTRA_BITS = (0,) * 8 + tuple(bits for bits in range(1, 6) for _ in range(4))
_SHORTEST, _LONGEST = 3, 258
#: distance 1, which is code 0 of five bits
_ONE_BACK = "00000"
#: codes of rows and runs that are kept
_KEPT_ROWS = 1024


def write_png(image: "Image.Image") -> bytes:
    """Return an RGB picture as a PNG file."""
    rows = _differences(image)
    stream = b"\x78\x01" + _deflate(rows) + struct.pack(">I", zlib.adler32(b"".join(rows)))
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", stream) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _differences(image: "Image.Image") -> list[bytes]:
    from PIL import Image, ImageChops

    above = Image.new("RGB", image.size)
    above.paste(image, (0, 1))
    changed = ImageChops.subtract_modulo(image, above).tobytes()
    width = image.width * 3
    return [_UP + changed[start : start + width] for start in range(0, len(changed), width)]


def _deflate(rows: Iterable[bytes]) -> bytes:
    """Return one block of fixed codes. Bits are collected as text, first bit first, which Python joins fast."""
    # The last block; fixed codes.
    bits = "".join(("110", *map(_coded, rows), _code(256)))
    return int(bits[::-1], 2).to_bytes((len(bits) + 7) // 8, "little")


@lru_cache(_KEPT_ROWS)
def _coded(row: bytes) -> str:
    """Return the codes of a row; of a drawing, most rows are like another."""
    parts: list[str] = []
    start = 0
    for run in _RUN.finditer(row):
        first, end = run.span()
        parts += map(_LITERALS.__getitem__, row[start:first])
        parts.append(_zeros(end - first))
        start = end
    parts += map(_LITERALS.__getitem__, row[start:])
    return "".join(parts)


def _code(symbol: int) -> str:
    """Return the fixed code of a symbol (RFC 1951, 3.2.6)."""
    if symbol < 144:
        return format(0b00110000 + symbol, "08b")
    if symbol < 256:
        return format(0b110010000 + symbol - 144, "09b")
    if symbol < 280:
        return format(symbol - 256, "07b")
    return format(0b11000000 + symbol - 280, "08b")


_LITERALS = tuple(_code(value) for value in range(256))


@lru_cache(_KEPT_ROWS)
def _zeros(count: int) -> str:
    """Return the codes of so many zeros: one, and then copies of it, up to 258 a code."""
    first, left = divmod(count, _LONGEST + 1)
    rest = _LITERALS[0] * left if left < _SHORTEST + 1 else _LITERALS[0] + _copies(left - 1)
    return (_LITERALS[0] + _copies(_LONGEST)) * first + rest


def _copies(length: int) -> str:
    """Return the code of 3 to 258 copies of the byte before."""
    if length == _LONGEST:
        return _code(285) + _ONE_BACK
    place = bisect_right(_LENGTHS, length) - 1
    extra = _EXTRA_BITS[place]
    rest = format(length - _LENGTHS[place], f"0{extra}b")[::-1] if extra else ""
    return _code(257 + place) + rest + _ONE_BACK
