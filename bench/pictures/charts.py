"""`charts`: bar, line and pie charts with their labels, to be read."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.pictures.canvas import Canvas, Colour, Point, around
from bench.pictures.dice import Dice
from bench.pictures.picture import Sketch
from bench.pictures.words import number_names

_WIDTH, _HEIGHT = 400, 320
_PAPER, _INK, _GRID_LINE = (255, 255, 255), (30, 32, 38), (215, 218, 222)
_SERIES: tuple[Colour, ...] = ((60, 110, 200), (235, 130, 40), (70, 160, 90), (200, 60, 70), (130, 90, 180))
#: the inside of a chart with axes
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 44, 388, 268
#: labels with the title above them and what a value is called
_TOPICS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("Fruit sold", ("Apples", "Pears", "Plums", "Grapes", "Lemons", "Cherries"), "fruit"),
    ("Books read", ("Anna", "Ben", "Clara", "David", "Emma", "Felix"), "person"),
    ("Visitors", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat"), "day"),
    ("Rain in mm", ("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), "month"),
    ("Pets in town", ("Cats", "Dogs", "Birds", "Fish", "Rabbits", "Horses"), "animal"),
    ("Medals won", ("Norway", "Japan", "Kenya", "Brazil", "Italy", "Canada"), "country"),
)
#: what else a right answer may say
_LONG = {
    "Mon": "Monday", "Tue": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Fri": "Friday", "Sat": "Saturday",
    "Jul": "July", "Aug": "August", "Sep": "September", "Oct": "October", "Nov": "November", "Dec": "December",
    "Apples": "apple", "Pears": "pear", "Plums": "plum", "Grapes": "grape", "Lemons": "lemon", "Cherries": "cherry",
    "Cats": "cat", "Dogs": "dog", "Birds": "bird", "Rabbits": "rabbit", "Horses": "horse",
}  # fmt: skip


class _Data(NamedTuple):
    title: str
    labels: list[str]
    values: list[int]
    #: what a label names
    kind: str

    @property
    def order(self) -> list[int]:
        """The places of the values, the largest first."""
        return sorted(range(len(self.values)), key=lambda place: -self.values[place])


def draw_chart(dice: Dice, level: int, number: int) -> Sketch:
    """Return a chart with a question: a value that is written there, one to be read, one to be worked out."""
    questions: tuple[Callable[[Dice], Sketch], ...] = {1: _EASY, 2: _MIDDLE, 3: _HARD}[level]
    return questions[number % len(questions)](dice)


# ---- level 1: the values stand at the bars


def _value_of_bar(dice: Dice) -> Sketch:
    data = _data(dice, 4)
    asked = dice.below(4)
    question = f'What is the value of "{data.labels[asked]}"?'
    return Sketch(_bars(data, written=True), question, number_names(data.values[asked]))


def _largest_bar(dice: Dice) -> Sketch:
    data = _data(dice, 4)
    return Sketch(_bars(data, written=True), f"Which {data.kind} has the highest bar?", _named(data, data.order[0]))


def _largest_slice(dice: Dice) -> Sketch:
    data = _shares(dice, 4)
    return Sketch(_pie(data), f"Which {data.kind} has the largest slice?", _named(data, data.order[0]))


_EASY = (_value_of_bar, _largest_bar, _value_of_bar, _largest_slice)


# ---- level 2: the values are read from a grid, or among more of them


def _bar_by_grid(dice: Dice) -> Sketch:
    data = _data(dice, 4, step=10)
    asked = dice.below(4)
    question = f'What is the value of "{data.labels[asked]}"?'
    return Sketch(_bars(data, written=False), question, number_names(data.values[asked]))


def _smallest_on_line(dice: Dice) -> Sketch:
    data = _data(dice, 6, step=10)
    low = dice.below(2) == 0
    place = data.order[-1 if low else 0]
    question = f"Which {data.kind} has the {'lowest' if low else 'highest'} value?"
    return Sketch(_line_chart(data), question, _named(data, place))


def _share_of_pie(dice: Dice) -> Sketch:
    data = _shares(dice, 4, written=True)
    asked = dice.below(4)
    question = f'What percentage does "{data.labels[asked]}" have?'
    return Sketch(_pie(data, written=True), question, number_names(data.values[asked]))


_MIDDLE = (_bar_by_grid, _smallest_on_line, _share_of_pie, _bar_by_grid)


# ---- level 3: two values at once


def _difference(dice: Dice) -> Sketch:
    data = _data(dice, 5, step=10)
    high, low = sorted(dice.sample(range(5), 2), key=lambda place: -data.values[place])
    question = f'How much higher is "{data.labels[high]}" than "{data.labels[low]}"?'
    return Sketch(_bars(data, written=False), question, number_names(data.values[high] - data.values[low]))


def _sum(dice: Dice) -> Sketch:
    data = _data(dice, 5)
    one, other = dice.sample(range(5), 2)
    question = f'What is the sum of "{data.labels[one]}" and "{data.labels[other]}"?'
    return Sketch(_bars(data, written=True), question, number_names(data.values[one] + data.values[other]))


def _second(dice: Dice) -> Sketch:
    data = _data(dice, 5)
    question = f"Which {data.kind} has the second highest bar?"
    return Sketch(_bars(data, written=False), question, _named(data, data.order[1]))


def _value_on_line(dice: Dice) -> Sketch:
    data = _data(dice, 6, step=10)
    asked = dice.below(6)
    question = f'What is the value of "{data.labels[asked]}"?'
    return Sketch(_line_chart(data), question, number_names(data.values[asked]))


_HARD = (_difference, _sum, _second, _value_on_line)


# ---- data


def _data(dice: Dice, count: int, step: int = 1) -> _Data:
    """Return different values up to 90, far enough apart to be told from each other."""
    title, labels, kind = dice.pick(_TOPICS)
    values = [10 * tens for tens in dice.sample(range(1, 10), count)]
    if step == 1:
        values = [value - dice.between(0, 4) for value in values]
    start = dice.below(len(labels) - count + 1)
    return _Data(title, list(labels[start : start + count]), values, kind)


def _shares(dice: Dice, count: int, *, written: bool = False) -> _Data:
    """Return different percentages that make a hundred."""
    title, labels, kind = dice.pick(_TOPICS)
    splits = ((45, 30, 15, 10), (50, 25, 15, 10), (40, 30, 20, 10), (55, 20, 15, 10), (35, 30, 20, 15))
    start = dice.below(len(labels) - count + 1)
    values = dice.sample(dice.pick(splits), count)
    return _Data(title if written else f"Share: {title}", list(labels[start : start + count]), values, kind)


def _named(data: _Data, place: int) -> tuple[str, ...]:
    label = data.labels[place]
    return (label, _LONG[label]) if label in _LONG else (label,)


# ---- drawing


def _sheet(data: _Data) -> Canvas:
    canvas = Canvas(_WIDTH, _HEIGHT, _PAPER)
    canvas.text(_WIDTH // 2, 22, data.title, 20, _INK)
    return canvas


def _axes(data: _Data) -> Canvas:
    canvas = _sheet(data)
    for value in range(0, 101, 10):
        y = _height(value)
        canvas.rectangle(_LEFT, y, _RIGHT, y + 1, _GRID_LINE if value else _INK)
        canvas.text(_LEFT - 8, y, str(value), 13, _INK, "rm")
    canvas.rectangle(_LEFT, _TOP, _LEFT + 1, _BOTTOM, _INK)
    return canvas


def _height(value: int) -> int:
    return _BOTTOM - (_BOTTOM - _TOP) * value // 100


def _middles(count: int) -> list[int]:
    return [_LEFT + (_RIGHT - _LEFT) * (2 * place + 1) // (2 * count) for place in range(count)]


def _label(canvas: Canvas, x: int, label: str) -> None:
    canvas.text(x, _BOTTOM + 20, label, 14, _INK)


def _bars(data: _Data, *, written: bool) -> Canvas:
    canvas = _axes(data)
    half = (_RIGHT - _LEFT) * 30 // (100 * len(data.values))
    for place, (x, value) in enumerate(zip(_middles(len(data.values)), data.values, strict=True)):
        canvas.rectangle(x - half, _height(value), x + half, _BOTTOM, _SERIES[place % len(_SERIES)])
        if written:
            canvas.text(x, _height(value) - 10, str(value), 16, _INK)
        _label(canvas, x, data.labels[place])
    return canvas


def _line_chart(data: _Data) -> Canvas:
    canvas = _axes(data)
    points: list[Point] = [
        (x, _height(value)) for x, value in zip(_middles(len(data.values)), data.values, strict=True)
    ]
    canvas.line(points, 3, _SERIES[0])
    for (x, y), label in zip(points, data.labels, strict=True):
        canvas.circle(x, y, 5, _SERIES[3])
        _label(canvas, x, label)
    return canvas


def _pie(data: _Data, *, written: bool = False) -> Canvas:
    canvas = _sheet(data)
    x, y, radius = 135, 178, 112
    start = 0
    for place, value in enumerate(data.values):
        end = start + value * 360 // 100
        edge = [around(x, y, radius, degrees) for degrees in (*range(start, end, 3), end)]
        canvas.polygon([(x, y), *edge], _SERIES[place])
        if written:
            canvas.text(*around(x, y, radius * 66 // 100, (start + end) // 2), f"{value}%", 17, _PAPER)
        start = end
    _legend(canvas, data.labels)
    return canvas


def _legend(canvas: Canvas, labels: Sequence[str]) -> None:
    for place, label in enumerate(labels):
        y = 118 + 36 * place
        canvas.rectangle(272, y - 10, 292, y + 10, _SERIES[place])
        canvas.text(302, y, label, 18, _INK, "lm")
