"""`text_in_image`: words, numbers and signs to be read."""

from collections.abc import Callable

from bench.pictures.canvas import Canvas, Colour, Point
from bench.pictures.dice import Dice
from bench.pictures.picture import Sketch

_SIDE = 320
_WHITE, _INK = (255, 255, 255), (25, 25, 30)
#: paper and ink, far enough apart
_PAIRS: tuple[tuple[Colour, Colour], ...] = (
    (_WHITE, _INK),
    ((30, 60, 120), _WHITE),
    ((250, 225, 90), _INK),
    ((160, 35, 45), _WHITE),
    ((235, 240, 230), (20, 90, 50)),
    ((40, 45, 50), (250, 210, 60)),
)
_WORDS = (
    "garden", "winter", "orange", "planet", "bridge", "coffee", "guitar", "island", "market", "pencil", "rabbit",
    "silver", "ticket", "window", "yellow", "castle", "dragon", "forest", "harbor", "jacket", "kitchen", "lemon",
    "mirror", "nature", "ocean", "pepper", "river", "summer", "tiger", "valley", "water", "zebra", "bottle", "camera",
)  # fmt: skip
_SIGNS = ("STOP", "EXIT", "OPEN", "CLOSED", "SLOW", "YIELD", "TAXI", "HOTEL", "BAKERY", "LIBRARY", "PARKING", "DANGER")
_STREETS = ("Oak", "Maple", "King", "Mill", "Lake", "Church", "Station", "Park", "Rose", "Hill", "Bridge", "Elm")
_GOODS = ("Bread", "Milk", "Cheese", "Soup", "Salad", "Tea", "Rice", "Cake", "Juice", "Eggs")
_LETTERS = "ABCDEFHJKLMNPRTUVWXY"
_ORDINALS = ("first", "second", "third", "fourth")


def draw_lettering(dice: Dice, level: int, number: int) -> Sketch:
    """Return a text with a question: one word or number, then a sign, then one text among others."""
    questions: tuple[Callable[[Dice], Sketch], ...] = {1: _EASY, 2: _MIDDLE, 3: _HARD}[level]
    return questions[number % len(questions)](dice)


# ---- level 1: one word or one number


def _word(dice: Dice) -> Sketch:
    word = dice.pick(_WORDS)
    shown = word.upper() if dice.below(2) else word
    return Sketch(_plain(dice, shown), "What word is written in the picture?", (word,))


def _number(dice: Dice) -> Sketch:
    number = str(dice.between(10, 999))
    return Sketch(_plain(dice, number), "What number is written in the picture?", (number,))


_EASY = (_word, _number)


def _plain(dice: Dice, text: str) -> Canvas:
    paper, ink = dice.pick(_PAIRS)
    canvas = Canvas(_SIDE, _SIDE, paper)
    size = _fitting(canvas, text, 280, 110)
    canvas.text(_SIDE // 2 + dice.between(-6, 6), dice.between(110, 210), text, size, ink)
    return canvas


def _fitting(canvas: Canvas, text: str, width: int, largest: int) -> int:
    """Return the largest size, in steps of four pixels, at which a text is no wider."""
    return next(size for size in range(largest, 7, -4) if canvas.text_width(text, size) <= width)


# ---- level 2: signs


def _sign(dice: Dice) -> Sketch:
    word = dice.pick(_SIGNS)
    canvas = Canvas(_SIDE, _SIDE, (185, 215, 235))
    canvas.rectangle(0, 270, _SIDE, _SIDE, (130, 150, 110))
    canvas.rectangle(154, 180, 166, 300, (120, 120, 125))
    colour, ink = dice.pick((((190, 30, 40), _WHITE), ((30, 110, 60), _WHITE), ((245, 200, 40), _INK)))
    if len(word) < 6:
        for radius, fill in ((112, _WHITE), (104, colour)):
            canvas.polygon(_octagon(160, 125, radius), fill)
        width = 170
    else:
        canvas.rectangle(26, 70, 294, 190, _WHITE)
        canvas.rectangle(32, 76, 288, 184, colour)
        width = 236
    canvas.text(160, 127, word, _fitting(canvas, word, width, 72), ink)
    return Sketch(canvas, "What does the sign say?", (word,))


def _octagon(x: int, y: int, radius: int) -> list[Point]:
    far, near = radius * 924 // 1000, radius * 383 // 1000
    corners = ((near, far), (far, near), (far, -near), (near, -far))
    return [(x + across, y + down) for across, down in corners] + [(x - across, y - down) for across, down in corners]


def _price(dice: Dice) -> Sketch:
    price = f"{dice.between(1, 29)}.{dice.pick(('25', '45', '49', '75', '95', '99'))}"
    canvas = Canvas(_SIDE, _SIDE, dice.pick(((225, 230, 235), (205, 220, 200), (240, 225, 205))))
    canvas.polygon([(30, 160), (90, 90), (295, 90), (295, 230), (90, 230)], (250, 215, 70))
    canvas.circle(78, 160, 11, _WHITE)
    canvas.text(192, 162, f"${price}", 62, _INK)
    return Sketch(canvas, "What is the price on the tag?", (price,))


def _digital_clock(dice: Dice) -> Sketch:
    hour, minute = dice.between(1, 12), dice.between(10, 59)
    canvas = Canvas(_SIDE, _SIDE, (215, 205, 190))
    canvas.rectangle(25, 85, 295, 235, (40, 42, 48))
    canvas.rectangle(40, 100, 280, 220, (12, 16, 14))
    canvas.text(160, 160, f"{hour}:{minute}", 86, (110, 240, 120))
    return Sketch(canvas, "What time does the clock show?", (f"{hour}:{minute}",))


def _street(dice: Dice) -> Sketch:
    name = dice.pick(_STREETS)
    canvas = Canvas(_SIDE, _SIDE, (195, 220, 240))
    canvas.rectangle(152, 170, 168, _SIDE, (110, 110, 115))
    canvas.rectangle(14, 104, 306, 184, _WHITE)
    canvas.rectangle(20, 110, 300, 178, (20, 70, 150))
    text = f"{name} Street"
    canvas.text(160, 145, text, _fitting(canvas, text, 262, 46), _WHITE)
    return Sketch(canvas, "What is the name of the street on the sign?", (name,))


_MIDDLE = (_sign, _price, _digital_clock, _street)


# ---- level 3: one text among others


def _line_of_list(dice: Dice) -> Sketch:
    words = dice.sample(_WORDS, 4)
    canvas = Canvas(_SIDE, _SIDE, (252, 248, 235))
    for place, word in enumerate(words):
        y = 62 + 66 * place
        canvas.rectangle(30, y + 26, 290, y + 27, (170, 190, 215))
        canvas.text(44, y, word, 38, _INK, "lm")
    asked = dice.below(4)
    return Sketch(canvas, f"What word is on the {_ORDINALS[asked]} line?", (words[asked],))


def _plate(dice: Dice) -> Sketch:
    letters = "".join(dice.pick(_LETTERS) for _ in range(3))
    digits = str(dice.between(100, 999))
    canvas = Canvas(_SIDE, _SIDE, dice.pick(((150, 40, 45), (50, 80, 130), (90, 95, 100))))
    canvas.rectangle(22, 112, 298, 208, _INK)
    canvas.rectangle(26, 116, 294, 204, (245, 245, 240))
    canvas.text(160, 161, f"{letters} {digits}", 58, _INK)
    answer = (f"{letters} {digits}", f"{letters}{digits}", f"{letters}-{digits}")
    return Sketch(canvas, "What is written on the license plate?", answer)


def _menu(dice: Dice) -> Sketch:
    goods = dice.sample(_GOODS, 4)
    prices = [f"{whole}.{dice.pick(('20', '50', '80'))}" for whole in dice.sample(range(1, 10), 4)]
    canvas = Canvas(_SIDE, _SIDE, (45, 60, 55))
    canvas.text(160, 38, "MENU", 34, (245, 220, 130))
    for place, (name, price) in enumerate(zip(goods, prices, strict=True)):
        canvas.text(36, 100 + 54 * place, name, 30, _WHITE, "lm")
        canvas.text(284, 100 + 54 * place, price, 30, _WHITE, "rm")
    asked = dice.below(4)
    # The price may be written without its last zero, and with the currency's comma.
    price = prices[asked]
    answer = (price, price.rstrip("0"), price.replace(".", ","))
    return Sketch(canvas, f"What is the price of the {goods[asked].lower()}?", answer)


def _phone(dice: Dice) -> Sketch:
    parts = ("555", f"{dice.between(0, 9999):04d}")
    name = dice.pick(("PLUMBER", "PIANO LESSONS", "LOST CAT", "BIKE REPAIR", "DOG WALKER"))
    canvas = Canvas(_SIDE, _SIDE, dice.pick(((255, 250, 225), (235, 245, 255), (245, 235, 245))))
    canvas.text(160, 80, name, _fitting(canvas, name, 260, 44), (150, 30, 40))
    canvas.text(160, 165, "Call", 28, _INK)
    canvas.text(160, 220, "-".join(parts), 48, _INK)
    return Sketch(canvas, "What is the phone number?", ("-".join(parts), "".join(parts)))


_HARD = (_line_of_list, _plate, _menu, _phone)
