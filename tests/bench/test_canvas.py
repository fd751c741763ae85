import io
import math
from collections.abc import Callable

import pytest
from PIL import Image

from bench.errors import UnavailableError
from bench.pictures import canvas as module
from bench.pictures.canvas import Canvas, around
from bench.pictures.dice import Dice

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def pixels(canvas: Canvas) -> Image.Image:
    return Image.open(io.BytesIO(canvas.png())).convert("L")


def dark(canvas: Canvas) -> int:
    """Return the area that is black, in pixels."""
    return round(sum(255 - value for value in pixels(canvas).tobytes()) / 255)


DRAWINGS: tuple[tuple[Callable[[Canvas], None], float], ...] = (
    (lambda sheet: sheet.rectangle(10, 10, 30, 60, BLACK), 1000),
    (lambda sheet: sheet.circle(50, 50, 30, BLACK), math.pi * 30**2),
    (lambda sheet: sheet.ellipse(50, 50, 30, 20, BLACK), math.pi * 30 * 20),
    (lambda sheet: sheet.polygon([(10, 10), (90, 10), (10, 90)], BLACK), 3200),
    (lambda sheet: sheet.line([(10, 20), (90, 20)], 4, BLACK), 80 * 4 + math.pi * 2**2),
    (lambda sheet: sheet.line([(10, 10), (70, 90)], 6, BLACK), 100 * 6 + math.pi * 3**2),
    (lambda sheet: sheet.line([(10, 90), (70, 10)], 6, BLACK), 100 * 6 + math.pi * 3**2),
)


@pytest.mark.parametrize(("draw", "area"), DRAWINGS)
def test_areas_are_what_geometry_says(draw: Callable[[Canvas], None], area: float) -> None:
    sheet = Canvas(100, 100, WHITE)
    draw(sheet)
    assert dark(sheet) == pytest.approx(area, rel=0.07)


def test_polygons_that_share_an_edge_neither_overlap_nor_leave_a_gap() -> None:
    sheet = Canvas(100, 100, WHITE)
    middle = (53, 41)
    corners = [(7, 3), (96, 13), (88, 97), (2, 71)]
    for one, other in zip(corners, [*corners[1:], corners[0]], strict=True):
        sheet.polygon([one, other, middle], BLACK)
    whole = Canvas(100, 100, WHITE)
    whole.polygon(corners, BLACK)
    assert sheet.png() == whole.png()


def test_a_shape_beyond_the_edge_is_cut() -> None:
    sheet = Canvas(50, 50, WHITE)
    sheet.polygon([(-40, -40), (90, -40), (90, 90), (-40, 90)], BLACK)
    assert dark(sheet) == 2500


def test_an_empty_rectangle_and_a_line_to_nowhere_draw_nothing() -> None:
    sheet = Canvas(20, 20, WHITE)
    sheet.rectangle(5, 5, 5, 9, BLACK)
    sheet.rectangle(9, 9, 5, 5, BLACK)
    sheet.line([(3, 3), (3, 3)], 1, BLACK)
    assert dark(sheet) == 0


def test_places_around_a_middle() -> None:
    assert [around(50, 50, 40, degrees) for degrees in (0, 90, 180, 270, 360)] == [
        (50, 10),
        (90, 50),
        (50, 90),
        (10, 50),
        (50, 10),
    ]
    assert around(0, 0, 85, 30)[0] == 43
    assert around(0, 0, 100, 180, squeeze=50) == (0, 50)


def test_text_is_as_wide_as_it_says_and_stands_in_the_middle() -> None:
    sheet = Canvas(200, 100, WHITE)
    sheet.text(100, 50, "Hello", 40, BLACK)
    box = Image.eval(pixels(sheet), lambda value: 255 - value).getbbox()
    assert box is not None
    assert box[2] - box[0] == pytest.approx(sheet.text_width("Hello", 40), abs=6)
    assert (box[0] + box[2]) / 2 == pytest.approx(100, abs=3)


def test_a_pillow_without_freetype_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        @staticmethod
        def load_default(size: int) -> object:
            return object()

    image, draw, _ = module._pillow()
    monkeypatch.setattr(module, "_pillow", lambda: (image, draw, Bare))
    module._font.cache_clear()
    try:
        with pytest.raises(UnavailableError, match="without FreeType"):
            Canvas(20, 20, WHITE).text(10, 10, "a", 12, BLACK)
    finally:
        module._font.cache_clear()


def test_the_dice_are_fair_and_say_the_same_again() -> None:
    dice = Dice("captions", 0, 1)
    rolls = [dice.between(1, 6) for _ in range(6000)]
    assert min(rolls.count(face) for face in range(1, 7)) > 850
    again = Dice("captions", 0, 1)
    assert [again.between(1, 6) for _ in range(10)] == rolls[:10]
    assert rolls[:10] == [2, 6, 4, 5, 2, 2, 2, 1, 2, 1]
    assert sorted(Dice("x").sample(range(9), 9)) == list(range(9))
    assert Dice("x", 1).sample(range(99), 9) != Dice("x", 2).sample(range(99), 9)
