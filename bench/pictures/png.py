"""Writing PNG files whose bytes are the same wherever the pixels are.

zlib's output differs between its versions and relatives, and a picture's SHA-256 is part of a series' key. So the
compressed stream is written here: RFC 1951 with its fixed codes, literals and runs of zeros, which is nearly all that
is left of a drawing once each row is written as its difference from the row above.
"""

import re
import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: a row that is written as its difference from the row above (PNG's filter "up")
_UP = b"\x02"
#: a run that is worth a code: a zero, and then 3 to 258 more
_RUN = re.compile(rb"\x00{4,259}")
#: RFC 1951, 3.2.5: shortest length of each length code, from code 257, and the extra bits that say the rest
_LENGTHS = (
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    13,
    15,
    17,
    19,
    23,
    27,
    31,
    35,
    43,
    51,
    59,
    67,
    83,
    99,
    115,
    131,
    163,
    195,
    227,
)
_EXTRA_BITS = (0,) * 8 + tuple(bits for bits in range(1, 6) for _ in range(4))
_LONGEST = 258


def write_png(image: "Image.Image") -> bytes:
    """Return an RGB picture as a PNG file."""
    rows = _differences(image)
    stream = b"\x78\x01" + _deflate(rows) + struct.pack(">I", zlib.adler32(rows))
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", stream) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _differences(image: "Image.Image") -> bytes:
    from PIL import Image, ImageChops

    above = Image.new("RGB", image.size)
    above.paste(image, (0, 1))
    changed = ImageChops.subtract_modulo(image, above).tobytes()
    width = image.width * 3
    return b"".join(_UP + changed[start : start + width] for start in range(0, len(changed), width))


def _deflate(data: bytes) -> bytes:
    """Return one block of fixed codes. Bits are collected as text, first bit first, which Python joins fast."""
    parts = ["110"]  # the last block; fixed codes
    start = 0
    for run in _RUN.finditer(data):
        parts += map(_LITERALS.__getitem__, data[start : run.start()])
        parts.append(_zeros(run.end() - run.start()))
        start = run.end()
    parts += map(_LITERALS.__getitem__, data[start:])
    parts.append(_code(256))
    bits = "".join(parts)
    return int(bits[::-1], 2).to_bytes((len(bits) + 7) // 8, "little")


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


@lru_cache(_LONGEST)
def _zeros(count: int) -> str:
    """Return the code of a zero that is followed by `count` - 1 copies of it."""
    length = count - 1
    if length == _LONGEST:
        return _LITERALS[0] + _code(285) + "00000"
    place = max(place for place, shortest in enumerate(_LENGTHS) if shortest <= length)
    extra = _EXTRA_BITS[place]
    rest = format(length - _LENGTHS[place], f"0{extra}b")[::-1] if extra else ""
    # Distance 1, which is code 0 of five bits.
    return _LITERALS[0] + _code(257 + place) + rest + "00000"
