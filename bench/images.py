"""Any picture that Pillow reads, as a model sees it: RGB, upright, eight bits a channel, on white."""

import io
import math
import re
import struct
import warnings
from functools import cache
from typing import Any, NoReturn

from PIL import Image, ImageOps, UnidentifiedImageError

from bench.causes import first_line
from bench.errors import InputError

#: most pixels that a picture may have: in RGBA they take 400 MB
MAX_PIXELS = 100_000_000

#: formats that are no pictures of their own: EPS and WMF are programs that something else would have to run, MPEG is
#: film, and of the others Pillow knows no more than the name
_NOT_READ = frozenset({"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"})

#: beginnings of files that people take for pictures, and their end where more than the first bytes decide
_MISTAKEN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (4, b"ftypqt", "a video (QuickTime)"),
    (4, b"ftyphe", "an HEIC photo, which Pillow does not read: export it as JPEG"),
    (4, b"ftypmif1", "an HEIF photo, which Pillow does not read: export it as JPEG"),
    (4, b"ftypmsf1", "an HEIF photo, which Pillow does not read: export it as JPEG"),
    (4, b"ftypcrx", "a raw photo (CR3), which Pillow does not read: export it as JPEG"),
    (4, b"ftypavi", "an AVIF picture, damaged or of a kind that Pillow does not read: export it as JPEG"),
    (4, b"ftypM4A", "a sound (M4A)"),
    # Every other brand: there are dozens.
    (4, b"ftyp", "a video (MP4)"),
    (0, b"FLV\x01", "a video (Flash)"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (0, b"\x00\x00\x01\xba", "a video (MPEG)"),
    (0, b"\x00\x00\x01\xb3", "a video (MPEG)"),
    (8, b"AVI ", "a video (AVI)"),
    (8, b"WAVE", "a sound (WAV)"),
    (0, b"fLaC", "a sound (FLAC)"),
    (0, b"ID3", "a sound (MP3)"),
    (0, b"OggS", "a sound or a video (Ogg)"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"version https://git-lfs", "a Git LFS pointer instead of the file: git lfs pull"),
)
_MARKUP = ((b"<svg", "an SVG drawing, which is no raster picture: export it as PNG"), (b"<html", "a web page"))
#: what decoders say of a file that ends too early
_CUT = ("truncated", "unexpected end", "broken data stream")
#: how far into a file markup is looked for
_HEAD = 1000
#: bytes of a packet of an MPEG transport stream, each of which begins with a G
_PACKET = 188


def decode(data: bytes, *, where: str | None = None) -> Image.Image:
    """Return a picture as RGB: upright by its EXIF orientation, on white where it is transparent, its first frame.

    16-bit and floating-point greys are brought to eight bits, CMYK is converted without its colour profile.
    `where` is the place that names the picture ("items.jsonl:3: image"). Raises InputError, one sentence, for what is
    no picture, is cut off, or has more than `MAX_PIXELS`; what memory says passes through.
    """
    if not data:
        raise InputError("the picture is empty (0 bytes)", where=where)
    with warnings.catch_warnings():
        # Pillow warns of sizes below our limit, and of tags that it can't read.
        warnings.simplefilter("ignore")
        image = _opened(data, where)
        try:
            image.load()
        except (MemoryError, InputError):
            raise
        except Exception as error:  # noqa: BLE001  (a decoder may raise anything for a file that is broken)
            _refuse_broken(image, error, where)
        return _rgb(_upright(image), where)


def check(data: bytes, *, where: str | None = None) -> None:
    """Raise InputError, one sentence, for what does not begin like a picture that can be read, or is too large a one.

    The pixels are not looked at: `decode` may still find the picture cut off or broken.
    """
    if not data:
        raise InputError("the picture is empty (0 bytes)", where=where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _opened(data, where).close()


def _opened(data: bytes, where: str | None) -> Image.Image:
    mistaken = _mistaken(data)
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
    except Image.DecompressionBombError as error:
        _refuse_bomb(error, where)
    except UnidentifiedImageError:
        what = f"it looks like {mistaken}" if mistaken else f"{len(data)} bytes of no format that Pillow reads"
        raise InputError(f"this is no picture: {what}", where=where) from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  (a decoder may raise anything for a file that is broken)
        raise InputError(f"the picture is broken or cut off: {first_line(error)}", where=where) from None
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        _refuse_size(f"{image.width} x {image.height} are {pixels / 1e6:.0f} million pixels", where)
    return image


def _refuse_bomb(error: Exception, where: str | None) -> NoReturn:
    """Say our limit: Pillow names one of its own, which is higher."""
    found = re.search(r"\d+", str(error))
    _refuse_size(f"it has {int(found[0]) / 1e6:.0f} million pixels" if found else "it has too many pixels", where)


def _refuse_size(found: str, where: str | None) -> NoReturn:
    raise InputError(
        f"the picture would take too much memory: {found}, and {MAX_PIXELS // 10**6} million are allowed; "
        "make it smaller",
        where=where,
    ) from None


def _refuse_broken(image: Image.Image, error: Exception, where: str | None) -> NoReturn:
    said = first_line(error)
    if isinstance(error, Image.DecompressionBombError):
        _refuse_bomb(error, where)
    cut = isinstance(error, EOFError) or any(words in said.lower() for words in _CUT)
    what = "is cut off" if cut else "is broken"
    raise InputError(
        f"the picture ({image.format}, {image.width} x {image.height}) {what}: {said}", where=where
    ) from None


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name not in _NOT_READ)


def _mistaken(data: bytes) -> str | None:
    """Return what the beginning of a file says it is, for people; None where it says nothing."""
    for offset, mark, what in _MISTAKEN:
        if data[offset : offset + len(mark)] == mark:
            return what
    if data[: 2 * _PACKET + 1 : _PACKET] == b"GGG":
        return "a video (MPEG transport stream)"
    head = data[:_HEAD].lower()
    return next((what for mark, what in _MARKUP if mark in head), None)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, OSError, struct.error, OverflowError):
        # Data that can't be read names no orientation.
        return image


def _rgb(image: Image.Image, where: str | None) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = _eight_bits(image, where)
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        sheet = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Image.alpha_composite(sheet, coloured).convert("RGB")
    if image.mode == "RGB":
        return image.copy()
    try:
        return image.convert("RGB")
    except ValueError:
        raise InputError(
            f"the picture's colours ({image.mode}) can't be turned into RGB; save it as RGB", where=where
        ) from None


def _eight_bits(image: Image.Image, where: str | None) -> Image.Image:
    """Return a grey picture of 16 or 32 bits, or of floating-point numbers, with 8 bits.

    White is the highest number of the format: 65535 for 16 bits; of the formats whose numbers have no such end, 1, 255
    or 65535, the lowest that no number is above, else the highest number.
    """
    high = _highest(image, where)
    if image.mode.startswith("I;16"):
        white = 65535.0
    else:
        ends = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        white = next((end for end in ends if high <= end), high)
    wide = image if image.mode == "F" else image.convert("I").convert("F")
    return wide.point(lambda value: value * (255 / white) + 0.5).convert("L")


def _highest(image: Image.Image, where: str | None) -> float:
    extremes: Any = image.getextrema()
    low, high = float(extremes[0]), float(extremes[1])
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError("the picture holds numbers that are no brightness (infinite, or none)", where=where)
    return high
