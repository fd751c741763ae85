"""The workloads of pictures by name, and drawing one."""

from collections.abc import Callable
from typing import NamedTuple

from bench.pictures.captions import draw_caption
from bench.pictures.charts import draw_chart
from bench.pictures.dice import Dice
from bench.pictures.lettering import draw_lettering
from bench.pictures.picture import Picture, Sketch
from bench.pictures.shapes import draw_shapes
from bench.scoring import Scorer

#: pictures of a workload, the same number of each level
ITEMS = 120
_LEVELS = (1, 2, 3)


class DrawnWorkload(NamedTuple):
    """A workload whose pictures are drawn by us."""

    #: gives the sketch of a level and of a number, 0, 1, 2 ... in the level
    sketch: Callable[[Dice, int, int], Sketch]
    score: Scorer
    max_new_tokens: int
    description: str


DRAWN = {
    "captions": DrawnWorkload(
        draw_caption, "keywords", 64, "Drawn scenes to be described, by what a caption must name."
    ),
    "shapes": DrawnWorkload(draw_shapes, "contains", 32, "Coloured shapes to be counted, named and placed."),
    "charts": DrawnWorkload(draw_chart, "contains", 48, "Bar, line and pie charts to be read."),
    "text_in_image": DrawnWorkload(draw_lettering, "contains", 48, "Words, numbers and signs in pictures to be read."),
}


def draw(name: str, *, seed: int = 0, items: int = ITEMS) -> tuple[Picture, ...]:
    """Return the pictures of a workload, the first third of level 1, the last of level 3, no two of them alike.

    Raises KeyError for a name that is none, UnavailableError without Pillow.
    """
    workload = DRAWN[name]
    pictures: list[Picture] = []
    seen: set[tuple[str, bytes]] = set()
    for number in range(items):
        level = _LEVELS[number * len(_LEVELS) // items]
        picture = _drawn(workload, name, seed, number, level)
        attempt = 0
        while (picture.prompt, picture.png) in seen:
            attempt += 1
            picture = _drawn(workload, name, seed, number, level, attempt)
        seen.add((picture.prompt, picture.png))
        pictures.append(picture)
    return tuple(pictures)


def _drawn(workload: DrawnWorkload, name: str, seed: int, number: int, level: int, attempt: int = 0) -> Picture:
    sketch = workload.sketch(Dice(name, seed, number, attempt), level, number)
    return Picture(f"{name}-{number + 1:03}", sketch.prompt, sketch.answer, level, sketch.canvas.png())
