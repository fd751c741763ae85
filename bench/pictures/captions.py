"""`captions`: scenes of drawn things, and the words that a caption has to have."""

from bench.pictures.canvas import Canvas, Colour
from bench.pictures.dice import Dice
from bench.pictures.picture import Sketch
from bench.pictures.things import THINGS, WHITE, Square

PROMPT = "Describe this picture in one sentence and name everything that you see in it."

#: sides of a picture
_SIDE = 320
_SKY, _NIGHT, _GRASS, _SNOW = (170, 215, 245), (25, 35, 80), (120, 185, 95), (240, 245, 250)
_WATER, _DARK_GRASS = (60, 130, 190), (45, 85, 70)
_PLAIN: tuple[Colour, ...] = (WHITE, (235, 240, 245), (250, 240, 225))

_BY_PLACE = {
    place: [name for name, thing in THINGS.items() if thing.place == place]
    for place in ("sky", "night", "ground", "water", "far", "alone")
}
#: things with white parts, which white paper would swallow
_PALE = ("cloud", "snowman", "boat", "mountain", "mushroom", "ice cream")
#: things that would be taken for each other
_ALIKE = ({"tree", "fir"},)


def draw_caption(dice: Dice, level: int, number: int) -> Sketch:
    """Return a scene of as many things as its level."""
    if level == 1:
        # In turn, so that each thing is asked for about as often.
        return _alone(dice, list(THINGS)[number % len(THINGS)])
    return _scene(dice, level)


def _alone(dice: Dice, name: str) -> Sketch:
    plain = _NIGHT if name in _BY_PLACE["night"] else _SKY if name in _PALE else dice.pick(_PLAIN)
    canvas = Canvas(_SIDE, _SIDE, plain)
    side = dice.between(190, 250)
    left, top = (dice.between(15, _SIDE - side - 15) for _ in range(2))
    THINGS[name].draw(Square(canvas, left, top, side), dice.pick(THINGS[name].colours))
    return Sketch(canvas, PROMPT, (THINGS[name].words,))


def _scene(dice: Dice, count: int) -> Sketch:
    night, water = dice.below(3) == 0, dice.below(4) == 0
    above = ["moon", "star"] if night else _BY_PLACE["sky"]
    below = [*_BY_PLACE["water"]] if water else _BY_PLACE["ground"]
    names = [dice.pick(above), *_some(dice, below, 1 if water else count - 1)]
    if len(names) < count:
        names.append("mountain")
    canvas = Canvas(_SIDE, _SIDE, _NIGHT if night else _SKY)
    horizon = 205
    if "mountain" in names:
        _draw(dice, canvas, "mountain", 20 + dice.below(60), horizon - 145, 150)
    ground = _WATER if water else _SNOW if "snowman" in names else _DARK_GRASS if night else _GRASS
    canvas.rectangle(0, horizon, _SIDE, _SIDE, ground)
    _draw(dice, canvas, names[0], dice.between(200, 222), 10, 90)
    standing = [name for name in names[1:] if name != "mountain"]
    side = 150 if len(standing) < 2 else 132
    slots = dice.sample((20, 165), len(standing))
    for name, left in zip(standing, slots, strict=True):
        _draw(dice, canvas, name, left + dice.between(-8, 8), horizon - side * 45 // 100 - dice.below(20), side)
    return Sketch(canvas, PROMPT, tuple(THINGS[name].words for name in names))


def _some(dice: Dice, among: list[str], count: int) -> list[str]:
    chosen = dice.sample(among, count)
    return chosen if not any(alike <= set(chosen) for alike in _ALIKE) else _some(dice, among, count)


def _draw(dice: Dice, canvas: Canvas, name: str, left: int, top: int, side: int) -> None:
    thing = THINGS[name]
    thing.draw(Square(canvas, left, top, side), dice.pick(thing.colours))
