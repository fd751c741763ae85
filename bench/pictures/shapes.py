"""`shapes`: coloured shapes to be counted, named and placed."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.pictures.canvas import Canvas, Colour
from bench.pictures.dice import Dice
from bench.pictures.picture import Sketch
from bench.pictures.things import THINGS, Square, star_points
from bench.pictures.words import number_names

#: sides of a picture
_SIDE = 320
_BACKGROUND = (250, 250, 248)
_COLOURS: dict[str, Colour] = {
    "red": (215, 40, 40),
    "blue": (40, 90, 210),
    "green": (40, 150, 70),
    "yellow": (245, 205, 30),
    "purple": (125, 55, 170),
    "orange": (245, 135, 20),
    "black": (20, 20, 25),
}
_SHAPES = ("circle", "square", "triangle", "star", "heart")
#: what else a right answer may say
_ALSO = {"purple": ("purple", "violet"), "circle": ("circle", "round", "dot", "ball"), "square": ("square", "box")}
#: rows and columns of the places of larger pictures
_GRID = 3


class _Placed(NamedTuple):
    colour: str
    shape: str
    #: the middle
    x: int
    y: int
    side: int


def draw_shapes(dice: Dice, level: int, number: int) -> Sketch:
    """Return shapes with a question: one kind of them, then several, then many."""
    questions: tuple[Callable[[Dice], Sketch], ...] = {1: _EASY, 2: _MIDDLE, 3: _HARD}[level]
    return questions[number % len(questions)](dice)


# ---- level 1: one kind of shape


def _colour_of_one(dice: Dice) -> Sketch:
    placed = _one(dice)
    return _sketch([placed], f"What color is the {placed.shape}?", placed.colour)


def _name_of_one(dice: Dice) -> Sketch:
    placed = _one(dice)
    return _sketch([placed], f"What {placed.colour} shape is in the picture?", placed.shape)


def _count_of_few(dice: Dice) -> Sketch:
    count, colour, shape = dice.between(1, 4), dice.pick([*_COLOURS]), dice.pick(_SHAPES)
    placed = [_Placed(colour, shape, x, y, 80) for x, y in _cells(dice, count)]
    return _sketch(placed, f"How many {shape}s are there?", count)


_EASY = (_colour_of_one, _count_of_few, _name_of_one, _count_of_few)


def _one(dice: Dice) -> _Placed:
    side = dice.between(120, 200)
    x, y = (dice.between(side // 2 + 10, _SIDE - side // 2 - 10) for _ in range(2))
    return _Placed(dice.pick([*_COLOURS]), dice.pick(_SHAPES), x, y, side)


# ---- level 2: several kinds


def _count_among(dice: Dice) -> Sketch:
    wanted, other = dice.sample(_SHAPES, 2)
    count, others = dice.between(2, 5), dice.between(1, 3)
    colours = dice.sample([*_COLOURS], 2)
    kinds = [(colours[0], wanted)] * count + [(colours[1], other)] * others
    return _sketch(_scattered(dice, kinds), f"How many {wanted}s are there?", count)


def _colour_among(dice: Dice) -> Sketch:
    placed = _different(dice, 3)
    return _sketch(placed, f"What color is the {placed[0].shape}?", placed[0].colour)


def _place_of_two(dice: Dice) -> Sketch:
    shapes, colours = dice.sample(_SHAPES, 2), dice.sample([*_COLOURS], 2)
    across = dice.below(2) == 0
    middles = [(85, 160), (235, 160)] if across else [(160, 85), (160, 235)]
    placed = [_Placed(c, s, x, y, 110) for c, s, (x, y) in zip(colours, shapes, middles, strict=True)]
    end = dice.below(2)
    where = (("on the left", "on the right") if across else ("at the top", "at the bottom"))[end]
    return _sketch(placed, f"Which shape is {where}?", placed[end].shape)


_MIDDLE = (_count_among, _place_of_two, _colour_among, _place_of_two)


# ---- level 3: many, and more than one thing to heed


def _count_of_coloured(dice: Dice) -> Sketch:
    wanted, other = dice.sample(_SHAPES, 2)
    colour, another = dice.sample([*_COLOURS], 2)
    count = dice.between(2, 4)
    kinds = (
        [(colour, wanted)] * count + [(another, wanted)] * dice.between(1, 2) + [(colour, other)] * dice.between(1, 2)
    )
    return _sketch(_scattered(dice, kinds), f"How many {colour} {wanted}s are there?", count)


def _neighbour(dice: Dice) -> Sketch:
    colours, shapes = dice.sample([*_COLOURS], 4), dice.sample(_SHAPES, 4)
    placed = [_Placed(c, s, 46 + 76 * n, 160, 66) for n, (c, s) in enumerate(zip(colours, shapes, strict=True))]
    place, step = dice.between(1, 2), dice.pick((-1, 1))
    side = "left" if step < 0 else "right"
    asked = f"Which shape is directly to the {side} of the {placed[place].shape}?"
    return _sketch(placed, asked, placed[place + step].shape)


def _corner(dice: Dice) -> Sketch:
    colours = dice.sample([*_COLOURS], 4)
    shapes = [dice.pick(_SHAPES) for _ in colours]
    middles = [(80, 80), (240, 80), (80, 240), (240, 240)]
    placed = [_Placed(c, s, x, y, 105) for c, s, (x, y) in zip(colours, shapes, middles, strict=True)]
    corner = dice.below(4)
    name = ("top left", "top right", "bottom left", "bottom right")[corner]
    return _sketch(placed, f"What color is the shape in the {name} corner?", placed[corner].colour)


def _count_of_all(dice: Dice) -> Sketch:
    count = dice.between(5, 9)
    kinds = [(dice.pick([*_COLOURS]), dice.pick(_SHAPES)) for _ in range(count)]
    return _sketch(_scattered(dice, kinds), "How many shapes are there in all?", count)


_HARD = (_count_of_coloured, _neighbour, _corner, _count_of_all)


# ---- placing and drawing


def _different(dice: Dice, count: int) -> list[_Placed]:
    """Return shapes that have neither shape nor colour in common."""
    kinds = list(zip(dice.sample([*_COLOURS], count), dice.sample(_SHAPES, count), strict=True))
    return _scattered(dice, kinds)


def _scattered(dice: Dice, kinds: Sequence[tuple[str, str]]) -> list[_Placed]:
    cells = _cells(dice, len(kinds))
    return [_Placed(colour, shape, x, y, 74) for (colour, shape), (x, y) in zip(kinds, cells, strict=True)]


def _cells(dice: Dice, count: int) -> list[tuple[int, int]]:
    """Return the middles of different cells of a grid, each moved a little."""
    pitch = _SIDE // _GRID
    cells = dice.sample([(column, row) for row in range(_GRID) for column in range(_GRID)], count)
    return [
        (column * pitch + pitch // 2 + dice.between(-8, 8), row * pitch + pitch // 2 + dice.between(-8, 8))
        for column, row in cells
    ]


def _sketch(placed: Sequence[_Placed], prompt: str, answer: str | int) -> Sketch:
    canvas = Canvas(_SIDE, _SIDE, _BACKGROUND)
    for each in placed:
        _draw(canvas, each)
    words = number_names(answer) if isinstance(answer, int) else _ALSO.get(answer, (answer,))
    return Sketch(canvas, prompt, words)


def _draw(canvas: Canvas, placed: _Placed) -> None:
    x, y, half, colour = placed.x, placed.y, placed.side // 2, _COLOURS[placed.colour]
    match placed.shape:
        case "circle":
            canvas.circle(x, y, half, colour)
        case "square":
            canvas.rectangle(x - half, y - half, x + half, y + half, colour)
        case "triangle":
            canvas.polygon([(x, y - half), (x + half, y + half), (x - half, y + half)], colour)
        case "star":
            canvas.polygon(star_points(x, y + half // 10, half + half // 8), colour)
        case "heart":
            THINGS["heart"].draw(Square(canvas, x - half, y - half, 2 * half), colour)
