import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench import images
from bench.errors import InputError
from bench.images import decode


def encoded(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def two_halves(mode: str = "RGB", left: Any = (255, 0, 0), right: Any = (0, 0, 255)) -> Image.Image:
    """Return a picture of 40 x 20 whose halves have a colour each."""
    image = Image.new(mode, (40, 20), right)
    image.paste(left, (0, 0, 20, 20))
    return image


def colours(image: Image.Image) -> tuple[Any, Any]:
    """Return the colours in the middle of the left and of the right half."""
    assert image.mode == "RGB"
    return image.getpixel((image.width // 4, image.height // 2)), image.getpixel(
        (image.width * 3 // 4, image.height // 2)
    )


def near(colour: Any, expected: tuple[int, int, int], off: int = 12) -> bool:
    return all(abs(one - other) <= off for one, other in zip(colour, expected, strict=True))


# ---- what is taken


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "JPEG2000"])
def test_formats(format_: str) -> None:
    size = {"sizes": [(40, 20)]} if format_ == "ICO" else {}
    left, right = colours(decode(encoded(two_halves(), format_, **size)))
    assert near(left, (255, 0, 0))
    assert near(right, (0, 0, 255))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_stands_upright_whichever_way_the_camera_was_held(orientation: int) -> None:
    upright = Image.new("RGB", (48, 24), (0, 0, 0))
    upright.paste((255, 0, 0), (0, 0, 24, 12))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = decode(encoded(stored, "JPEG", exif=exif, quality=95, subsampling=0))
    assert read.size == (48, 24)
    assert near(read.getpixel((12, 6)), (255, 0, 0), 20)
    assert near(read.getpixel((36, 18)), (0, 0, 0), 20)


def test_exif_that_can_t_be_read_names_no_orientation() -> None:
    read = decode(encoded(two_halves(), "JPEG", exif=b"Exif\0\0" + b"MM\0*" + b"\xff" * 20))
    assert read.size == (40, 20)


def test_transparent_is_white_and_half_transparent_is_half_white() -> None:
    assert colours(decode(encoded(two_halves("RGBA", (255, 0, 0, 0), (0, 0, 255, 128))))) == (
        (255, 255, 255),
        (127, 127, 255),
    )
    assert colours(decode(encoded(two_halves("LA", (0, 0), (0, 255))))) == ((255, 255, 255), (0, 0, 0))


def test_a_palette_with_a_transparent_colour() -> None:
    image = two_halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    hidden = image.getpixel((5, 5))
    for format_ in ("PNG", "GIF"):
        assert colours(decode(encoded(image, format_, transparency=hidden))) == ((255, 255, 255), (0, 0, 255))
    assert colours(decode(encoded(image))) == ((255, 0, 0), (0, 0, 255))


def test_a_transparent_colour_without_an_alpha_channel() -> None:
    assert colours(decode(encoded(two_halves(), transparency=(255, 0, 0)))) == ((255, 255, 255), (0, 0, 255))
    assert colours(decode(encoded(two_halves("L", 0, 90), transparency=0))) == ((255, 255, 255), (90, 90, 90))


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_brightness(format_: str) -> None:
    rows = b"".join(struct.pack("<40H", *[0x8080] * 20, *[0xFFFF] * 20) for _ in range(20))
    assert colours(decode(encoded(Image.frombytes("I;16", (40, 20), rows), format_))) == (
        (128, 128, 128),
        (255, 255, 255),
    )


@pytest.mark.parametrize(
    ("mode", "left", "right", "expected"),
    [
        ("F", 0.5, 1.0, (128, 255)),
        ("F", 128.0, 255.0, (128, 255)),
        ("F", 1000.0, 65535.0, (4, 255)),
        ("F", -3.0, 100_000.0, (0, 255)),
        ("I", 0, 65535, (0, 255)),
        ("I", 100, 200, (100, 200)),
        ("F", 0.0, 0.0, (0, 0)),
    ],
)
def test_wide_numbers_become_eight_bits(mode: str, left: Any, right: Any, expected: tuple[int, int]) -> None:
    one, other = colours(decode(encoded(two_halves(mode, left, right), "TIFF")))
    assert (one[0], other[0]) == expected


def test_numbers_that_are_no_brightness_are_refused() -> None:
    with pytest.raises(InputError, match="no brightness"):
        decode(encoded(two_halves("F", float("inf"), 1.0), "TIFF"))


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_cmyk(format_: str) -> None:
    left, right = colours(decode(encoded(two_halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), format_)))
    assert near(left, (255, 0, 0), 20)
    assert near(right, (0, 0, 0), 20)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_other_colours(mode: str) -> None:
    image = two_halves(left=(255, 255, 255), right=(0, 0, 0)).convert(mode)
    left, right = colours(decode(encoded(image, "TIFF")))
    assert near(left, (255, 255, 255))
    assert near(right, (0, 0, 0))


def test_colours_that_pillow_can_t_turn_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(image: Image.Image, mode: str) -> Image.Image:
        raise ValueError(f"conversion from {image.mode} to {mode} not supported")

    data = encoded(Image.new("CMYK", (10, 10)), "TIFF")
    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(InputError, match=r"colours \(CMYK\) can't be turned into RGB"):
        decode(data)


def test_of_an_animation_the_first_frame() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    for format_ in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], format_, save_all=True, append_images=frames[1:])
        assert near(colours(decode(data))[0], (255, 0, 0))


# ---- what is refused, in one sentence that names the place


def refused(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        decode(data, where="items.jsonl:3: image")
    message = str(caught.value)
    assert message.startswith("items.jsonl:3: image: ")
    assert "\n" not in message
    return caught.value.message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"hello, this is text", "no format that Pillow reads"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"\0\0\0\x18ftypisom\0\0\2\0", "a video"),
        (b"\0\0\0\x18ftyp3gp5\0\0\2\0", "a video"),
        (b"\0\0\0\x18ftypM4A \0\0\2\0", "a sound"),
        (b"\0\0\0\x18ftypheic\0\0\2\0", "HEIC"),
        (b"\0\0\0\x18ftyphevx\0\0\2\0", "HEIC"),
        (b"FLV\x01\5\0\0\0\x09", "a video"),
        ((b"\x47" + bytes(187)) * 3, "a video"),
        (b"\x1aE\xdf\xa3\x01\0\0", "a video"),
        (b"\0\0\x01\xb3\x14\x00\xf0\x13", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a sound"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<!doctype html><html><body>404</body></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
)
def test_what_is_no_picture(data: bytes, said: str) -> None:
    assert said in refused(data)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_what_is_cut_off(format_: str) -> None:
    noise = Image.frombytes("RGB", (64, 64), bytes(value * 7919 % 251 for value in range(64 * 64 * 3)))
    data = encoded(noise, format_)
    message = refused(data[: len(data) // 2])
    assert "cut off" in message


def bomb(side: int) -> bytes:
    """Return a small PNG that says it has side x side pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_100, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side: int) -> None:
    assert "too much memory" in (message := refused(bomb(side)))
    assert "100 million are allowed; make it smaller" in message


def test_a_large_picture_below_the_limit_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert decode(encoded(two_halves())).size == (40, 20)
    monkeypatch.setattr(images, "MAX_PIXELS", 799)
    assert "40 x 20" in refused(encoded(two_halves()))


def outcome(data: bytes) -> str:
    """Return the mode of a picture, or what is said of one that is refused."""
    try:
        return decode(data).mode
    except InputError as error:
        return str(error)


@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]), st.data())
@settings(deadline=None, max_examples=150)
def test_a_damaged_file_gives_a_picture_or_a_sentence(format_: str, data: st.DataObject) -> None:
    damaged = bytearray(encoded(two_halves(), format_))
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=6)):
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    assert "\n" not in outcome(bytes(damaged[:cut]))
