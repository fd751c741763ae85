import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.pictures.png import _deflate, write_png


@given(st.lists(st.sampled_from([b"\0", b"\0" * 7, b"\0" * 260, b"\0" * 1000, b"\x01", b"\xff\x90"]), max_size=40))
@settings(deadline=None)
def test_what_is_compressed_comes_back(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert zlib.decompress(_deflate([data]), wbits=-15) == data


@pytest.mark.parametrize("length", [*range(12), *range(255, 265), 517, 518, 519, 777])
def test_runs_of_every_length_come_back(length: int) -> None:
    data = b"\x07" + b"\0" * length + b"\x08"
    assert zlib.decompress(_deflate([data]), wbits=-15) == data


@given(st.integers(1, 40), st.integers(1, 40), st.data())
@settings(deadline=None, max_examples=40)
def test_a_picture_comes_back_pixel_by_pixel(width: int, height: int, data: st.DataObject) -> None:
    pixels = data.draw(st.binary(min_size=width * height * 3, max_size=width * height * 3))
    image = Image.frombytes("RGB", (width, height), pixels)
    read = Image.open(io.BytesIO(write_png(image)))
    assert (read.format, read.mode, read.size) == ("PNG", "RGB", (width, height))
    read.load()
    assert read.tobytes() == pixels


def test_flat_pictures_are_small_and_sound() -> None:
    data = write_png(Image.new("RGB", (320, 320), (200, 10, 30)))
    assert len(data) < 6000
    Image.open(io.BytesIO(data)).verify()
