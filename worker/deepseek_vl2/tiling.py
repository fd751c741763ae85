"""A picture cut into tiles: which grid, and which pixels."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image, ImageOps

from bench.errors import InputError

#: width and height in pixels
Size = tuple[int, int]


class Pixels(NamedTuple):
    """How pixels become numbers: (value - mean) / std for each of red, green and blue, values from 0 to 1."""

    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    normalize: bool = True

    @property
    def background(self) -> tuple[int, ...]:
        """Return the mean as a colour: what a picture is padded with."""
        return tuple(int(part * 255) for part in self.mean)

    def tensor(self, picture: Image.Image) -> torch.Tensor:
        """Return an RGB picture as float32 (3, height, width)."""
        width, height = picture.size
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).reshape(height, width, 3)
        values = pixels.permute(2, 0, 1).to(torch.float32) / 255
        if not self.normalize:
            return values
        return (values - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]


def best_resolution(size: Size, candidates: Sequence[Size]) -> Size:
    """Return the candidate that shows the most of a picture's own pixels; of equals the smallest, then the first.

    A picture is scaled to fit into the candidate, and enlarging it adds no pixels of its own.
    Raises InputError for a picture so thin that nothing of it would be left.
    """
    width, height = size

    def shown(candidate: Size) -> int:
        scale = min(candidate[0] / width, candidate[1] / height)
        return min(int(width * scale) * int(height * scale), width * height)

    best = max(candidates, key=lambda candidate: (shown(candidate), shown(candidate) - candidate[0] * candidate[1]))
    if not shown(best):
        raise InputError(f"a picture of {width} x {height} pixels is too thin to be looked at")
    return best


def views(picture: Image.Image, resolution: Size, tile: int, background: tuple[int, ...]) -> list[Image.Image]:
    """Return the whole RGB picture in one tile, then the tiles of it at `resolution`, row by row."""
    whole = _padded(picture, (tile, tile), background)
    large = _padded(picture, resolution, background)
    width, height = resolution
    corners = [(left, top) for top in range(0, height, tile) for left in range(0, width, tile)]
    return [whole, *(large.crop((left, top, left + tile, top + tile)) for left, top in corners)]


def _padded(picture: Image.Image, size: Size, background: tuple[int, ...]) -> Image.Image:
    """Return the picture scaled into `size` and centred on the background."""
    try:
        return ImageOps.pad(picture, size, color=background)
    except ValueError as error:
        width, height = picture.size
        raise InputError(f"a picture of {width} x {height} pixels is too thin to be looked at") from error
