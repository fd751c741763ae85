"""Things that a caption may name, each drawn in a square: simple, and the way a child's book draws them."""

from collections.abc import Callable
from typing import NamedTuple

from bench.pictures.canvas import Canvas, Colour, Point, around

WHITE, BLACK, GREY, DARK = (255, 255, 255), (25, 25, 30), (150, 155, 160), (60, 65, 75)
RED, ORANGE, YELLOW, GREEN = (215, 45, 45), (240, 140, 30), (250, 210, 50), (50, 150, 70)
BLUE, PURPLE, PINK, BROWN = (45, 100, 205), (125, 60, 170), (240, 130, 170), (125, 80, 45)
CREAM, SKIN, DEEP_GREEN = (250, 240, 215), (230, 180, 140), (30, 105, 60)


class Square(NamedTuple):
    """A square of a canvas in which places are given in percent, from its upper left corner."""

    canvas: Canvas
    left: int
    top: int
    side: int

    def at(self, x: int, y: int) -> Point:
        """Return a place of the canvas."""
        return self.left + (x * self.side + 50) // 100, self.top + (y * self.side + 50) // 100

    def long(self, percent: int) -> int:
        """Return a length of the canvas, one pixel at least."""
        return max(1, (percent * self.side + 50) // 100)

    def box(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        """Fill a rectangle."""
        self.canvas.rectangle(*self.at(left, top), *self.at(right, bottom), colour)

    def oval(self, x: int, y: int, across: int, down: int, colour: Colour) -> None:
        """Fill an ellipse around a place."""
        self.canvas.ellipse(*self.at(x, y), self.long(across), self.long(down), colour)

    def ball(self, x: int, y: int, radius: int, colour: Colour) -> None:
        """Fill a circle around a place."""
        self.oval(x, y, radius, radius, colour)

    def shape(self, *points: Point, colour: Colour) -> None:
        """Fill a polygon."""
        self.canvas.polygon([self.at(*point) for point in points], colour)

    def line(self, *points: Point, width: int, colour: Colour) -> None:
        """Draw a line with round ends."""
        self.canvas.line([self.at(*point) for point in points], self.long(width), colour)


def mixed(colour: Colour, other: Colour, percent: int) -> Colour:
    """Return a colour with `percent` of another in it."""
    red, green, blue = ((one * (100 - percent) + two * percent) // 100 for one, two in zip(colour, other, strict=True))
    return red, green, blue


def star_points(x: int, y: int, radius: int) -> list[Point]:
    """Return the ten corners of a star, in the units of its middle."""
    return [around(x, y, radius if corner % 2 == 0 else radius * 2 // 5, corner * 36) for corner in range(10)]


def _dome(x: int, y: int, radius: int, squeeze: int) -> list[Point]:
    return [around(x, y, radius, degrees, squeeze) for degrees in range(-90, 91, 5)]


def _sun(sheet: Square, colour: Colour) -> None:
    for ray in range(0, 360, 30):
        sheet.line(around(50, 50, 34, ray), around(50, 50, 47, ray), width=5, colour=colour)
    sheet.ball(50, 50, 27, colour)


def _moon(sheet: Square, colour: Colour) -> None:
    x, y = sheet.at(36, 50)
    outer = [around(x, y, sheet.long(46), degrees) for degrees in range(0, 181, 6)]
    inner = [(x + (column - x) * 2 // 5, row) for column, row in reversed(outer)]
    sheet.canvas.polygon([*outer, *inner], colour)


def _cloud(sheet: Square, colour: Colour) -> None:
    for x, y, radius in ((27, 58, 19), (48, 45, 24), (70, 55, 20)):
        sheet.ball(x, y, radius, colour)
    sheet.box(27, 55, 70, 76, colour)


def _star(sheet: Square, colour: Colour) -> None:
    sheet.shape(*star_points(50, 52, 46), colour=colour)


def _house(sheet: Square, colour: Colour) -> None:
    sheet.box(68, 14, 78, 40, DARK)
    sheet.box(16, 44, 84, 98, colour)
    sheet.shape((6, 46), (50, 8), (94, 46), colour=(120, 50, 40))
    sheet.box(42, 66, 58, 98, BROWN)
    sheet.ball(54, 83, 1, YELLOW)
    for left in (22, 64):
        sheet.box(left, 56, left + 14, 72, WHITE)
        sheet.box(left + 1, 57, left + 13, 71, (150, 205, 235))
        sheet.box(left + 6, 57, left + 8, 71, WHITE)
        sheet.box(left + 1, 63, left + 13, 65, WHITE)


def _tree(sheet: Square, colour: Colour) -> None:
    sheet.box(44, 55, 56, 98, BROWN)
    for x, y, radius in ((32, 44, 20), (68, 44, 20), (50, 26, 23), (50, 48, 22)):
        sheet.ball(x, y, radius, colour)


def _fir(sheet: Square, colour: Colour) -> None:
    sheet.box(45, 82, 55, 98, BROWN)
    for top, bottom, half in ((3, 38, 20), (22, 62, 29), (44, 86, 38)):
        sheet.shape((50, top), (50 + half, bottom), (50 - half, bottom), colour=colour)


def _car(sheet: Square, colour: Colour) -> None:
    sheet.shape((24, 58), (34, 36), (66, 36), (80, 58), colour=colour)
    sheet.shape((3, 60), (10, 56), (90, 56), (97, 64), (97, 80), (3, 80), colour=colour)
    sheet.shape((31, 56), (38, 41), (49, 41), (49, 56), colour=(185, 220, 240))
    sheet.shape((53, 56), (53, 41), (64, 41), (72, 56), colour=(185, 220, 240))
    sheet.box(91, 63, 97, 69, YELLOW)
    sheet.box(54, 61, 60, 63, DARK)
    for x in (25, 75):
        sheet.ball(x, 80, 12, BLACK)
        sheet.ball(x, 80, 5, GREY)


def _boat(sheet: Square, colour: Colour) -> None:
    sheet.box(48, 6, 52, 72, BROWN)
    sheet.shape((53, 10), (53, 66), (88, 66), colour=WHITE)
    sheet.shape((47, 18), (47, 66), (18, 66), colour=CREAM)
    sheet.shape((4, 71), (96, 71), (80, 92), (20, 92), colour=colour)


def _cat(sheet: Square, colour: Colour) -> None:
    sheet.line((70, 90), (88, 84), (92, 66), (84, 56), width=7, colour=colour)
    sheet.oval(50, 74, 25, 24, colour)
    for sign in (-1, 1):
        sheet.shape((50 + sign * 24, 6), (50 + sign * 6, 22), (50 + sign * 25, 34), colour=colour)
        sheet.shape((50 + sign * 22, 12), (50 + sign * 11, 22), (50 + sign * 22, 29), colour=PINK)
    sheet.oval(50, 36, 26, 22, colour)
    for sign in (-1, 1):
        sheet.oval(50 + sign * 10, 33, 5, 6, (190, 225, 90))
        sheet.oval(50 + sign * 10, 33, 2, 5, BLACK)
        for end in (38, 44, 50):
            sheet.line((50 + sign * 8, 44), (50 + sign * 36, end), width=1, colour=(245, 245, 245))
        sheet.oval(50 + sign * 11, 93, 8, 5, colour)
    sheet.shape((47, 41), (53, 41), (50, 45), colour=PINK)
    sheet.line((50, 45), (45, 49), width=1, colour=BLACK)
    sheet.line((50, 45), (55, 49), width=1, colour=BLACK)


def _fish(sheet: Square, colour: Colour) -> None:
    sheet.shape((22, 50), (2, 28), (2, 72), colour=colour)
    sheet.shape((42, 34), (66, 34), (50, 16), colour=colour)
    sheet.oval(54, 50, 38, 23, colour)
    sheet.ball(76, 44, 6, WHITE)
    sheet.ball(77, 44, 3, BLACK)
    sheet.line((64, 36), (60, 50), (64, 64), width=2, colour=WHITE)
    sheet.line((90, 56), (82, 57), width=2, colour=BLACK)


def _flower(sheet: Square, colour: Colour) -> None:
    sheet.line((50, 40), (50, 98), width=5, colour=GREEN)
    sheet.shape((50, 82), (74, 64), (80, 70), colour=GREEN)
    sheet.shape((50, 88), (26, 70), (20, 76), colour=GREEN)
    for petal in range(0, 360, 60):
        sheet.ball(*around(50, 33, 19, petal), 12, colour)
    sheet.ball(50, 33, 11, YELLOW if colour != YELLOW else BROWN)


def _balloon(sheet: Square, colour: Colour) -> None:
    sheet.line((50, 68), (46, 78), (53, 88), (50, 98), width=1, colour=DARK)
    sheet.oval(50, 34, 27, 33, colour)
    sheet.shape((50, 64), (55, 72), (45, 72), colour=colour)
    sheet.oval(40, 22, 5, 8, mixed(colour, WHITE, 50))


def _snowman(sheet: Square, colour: Colour) -> None:
    for y, radius in ((78, 21), (47, 17), (23, 13)):
        sheet.ball(50, y, radius + 1, GREY)
        sheet.ball(50, y, radius, WHITE)
    sheet.box(38, 9, 62, 13, BLACK)
    sheet.box(42, 0, 58, 10, BLACK)
    sheet.box(38, 31, 62, 36, colour)
    sheet.box(56, 31, 62, 50, colour)
    sheet.line((34, 44), (14, 32), width=2, colour=BROWN)
    sheet.line((66, 44), (86, 32), width=2, colour=BROWN)
    for x, y in ((45, 20), (55, 20), (50, 43), (50, 51), (50, 70), (50, 80)):
        sheet.ball(x, y, 2, BLACK)
    sheet.shape((50, 23), (50, 28), (66, 27), colour=ORANGE)


def _mountain(sheet: Square, colour: Colour) -> None:
    sheet.shape((0, 96), (34, 26), (68, 96), colour=(110, 115, 130))
    sheet.shape((30, 96), (66, 8), (100, 96), colour=(85, 90, 108))
    sheet.shape((66, 8), (79, 40), (72, 34), (66, 44), (60, 34), (53, 42), colour=WHITE)
    sheet.shape((34, 26), (44, 47), (38, 42), (33, 50), (24, 47), colour=WHITE)


def _umbrella(sheet: Square, colour: Colour) -> None:
    sheet.line((50, 50), (50, 88), (54, 94), (60, 92), (61, 86), width=4, colour=BROWN)
    sheet.canvas.polygon(_dome(*sheet.at(50, 52), sheet.long(44), 100), colour)
    sheet.shape((50, 8), (66, 52), (34, 52), colour=mixed(colour, WHITE, 35))
    sheet.line((50, 8), (50, 3), width=3, colour=BROWN)


def _mushroom(sheet: Square, colour: Colour) -> None:
    sheet.shape((38, 52), (62, 52), (66, 95), (34, 95), colour=CREAM)
    sheet.canvas.polygon(_dome(*sheet.at(50, 56), sheet.long(45), 110), colour)
    for x, y, radius in ((32, 40, 7), (55, 24, 7), (72, 44, 6), (50, 47, 5)):
        sheet.ball(x, y, radius, WHITE)


def _ice_cream(sheet: Square, colour: Colour) -> None:
    sheet.shape((28, 48), (72, 48), (50, 98), colour=(215, 160, 90))
    for x in (38, 50, 62):
        sheet.line((x, 49), (50 + (x - 50) // 4, 84), width=1, colour=BROWN)
    sheet.ball(50, 34, 25, colour)
    sheet.ball(36, 46, 9, colour)
    sheet.ball(50, 48, 9, colour)
    sheet.ball(64, 46, 9, colour)
    sheet.ball(50, 8, 6, RED)


def _apple(sheet: Square, colour: Colour) -> None:
    sheet.line((50, 30), (54, 10), width=4, colour=BROWN)
    sheet.shape((55, 20), (66, 6), (84, 8), (72, 20), colour=GREEN)
    sheet.ball(36, 55, 27, colour)
    sheet.ball(64, 55, 27, colour)
    sheet.oval(50, 66, 30, 27, colour)
    sheet.oval(27, 46, 4, 8, mixed(colour, WHITE, 50))


def _cup(sheet: Square, colour: Colour) -> None:
    sheet.oval(76, 56, 17, 17, colour)
    sheet.oval(76, 56, 9, 9, WHITE)
    sheet.shape((20, 34), (76, 34), (72, 86), (24, 86), colour=colour)
    sheet.oval(48, 34, 28, 6, mixed(colour, BLACK, 25))
    sheet.oval(48, 35, 24, 4, (80, 45, 25))
    for x in (36, 48, 60):
        sheet.line((x, 24), (x + 4, 18), (x - 2, 12), (x + 2, 5), width=2, colour=GREY)


def _clock(sheet: Square, colour: Colour) -> None:
    sheet.ball(50, 50, 46, colour)
    sheet.ball(50, 50, 40, WHITE)
    for hour in range(12):
        sheet.line(around(50, 50, 33, hour * 30), around(50, 50, 38, hour * 30), width=3, colour=BLACK)
    sheet.line((50, 50), around(50, 50, 20, 305), width=5, colour=BLACK)
    sheet.line((50, 50), around(50, 50, 31, 60), width=3, colour=BLACK)
    sheet.ball(50, 50, 4, BLACK)


def _traffic_light(sheet: Square, colour: Colour) -> None:
    sheet.box(46, 74, 54, 100, DARK)
    sheet.box(30, 2, 70, 78, BLACK)
    for y, lamp in ((16, RED), (40, YELLOW), (64, GREEN)):
        sheet.ball(50, y, 11, lamp)


def _heart(sheet: Square, colour: Colour) -> None:
    sheet.ball(30, 36, 24, colour)
    sheet.ball(70, 36, 24, colour)
    sheet.shape((10, 49), (50, 30), (90, 49), (50, 92), colour=colour)


def _bird(sheet: Square, colour: Colour) -> None:
    sheet.shape((24, 60), (0, 46), (4, 66), colour=colour)
    sheet.oval(46, 60, 30, 21, colour)
    sheet.ball(72, 40, 16, colour)
    sheet.shape((86, 37), (100, 42), (86, 47), colour=ORANGE)
    sheet.ball(76, 36, 3, WHITE)
    sheet.ball(77, 36, 2, BLACK)
    sheet.shape((28, 52), (58, 54), (34, 76), colour=mixed(colour, BLACK, 25))
    for x in (42, 52):
        sheet.line((x, 80), (x, 95), (x + 6, 95), width=2, colour=ORANGE)


Drawer = Callable[[Square, Colour], None]


class Thing(NamedTuple):
    """A thing, how it is drawn, and the words for it."""

    draw: Drawer
    #: what a caption may call it, as the scorer `keywords` writes alternatives
    words: str
    colours: tuple[Colour, ...]
    #: where it stands in a scene
    place: str


THINGS = {
    "sun": Thing(_sun, "sun|sunny|sunshine|sunlight|sunset|sunrise", (YELLOW, ORANGE), "sky"),
    "moon": Thing(_moon, "moon|crescent|moonlight", (YELLOW, (240, 235, 200)), "night"),
    "star": Thing(_star, "star|starry", (YELLOW, ORANGE), "night"),
    "cloud": Thing(_cloud, "cloud|cloudy", (WHITE, (225, 230, 235)), "sky"),
    "balloon": Thing(_balloon, "balloon", (RED, PURPLE, ORANGE), "sky"),
    "house": Thing(_house, "house|home|cottage|cabin|building|hut", (YELLOW, CREAM, PINK), "ground"),
    "tree": Thing(_tree, "tree", (GREEN, DEEP_GREEN), "ground"),
    "fir": Thing(_fir, "tree|fir|pine|spruce|conifer", (DEEP_GREEN, GREEN), "ground"),
    "car": Thing(_car, "car|vehicle|automobile|sedan|hatchback|auto", (RED, BLUE, ORANGE), "ground"),
    "boat": Thing(_boat, "boat|ship|sailboat|sailing boat|yacht|sail", (RED, BROWN, BLUE), "water"),
    "cat": Thing(_cat, "cat|kitten|kitty|feline", (DARK, ORANGE, GREY), "ground"),
    "fish": Thing(_fish, "fish|goldfish", (ORANGE, RED, PURPLE), "alone"),
    "flower": Thing(_flower, "flower|daisy|blossom|bloom", (RED, PINK, PURPLE), "ground"),
    "snowman": Thing(_snowman, "snowman|snow man", (RED, BLUE), "ground"),
    "mountain": Thing(_mountain, "mountain|peak|hill", (GREY,), "far"),
    "umbrella": Thing(_umbrella, "umbrella|parasol", (RED, BLUE, PURPLE), "ground"),
    "mushroom": Thing(_mushroom, "mushroom|toadstool|fungus", (RED, ORANGE), "ground"),
    "ice cream": Thing(_ice_cream, "ice cream|icecream|ice-cream|gelato", (PINK, CREAM, (150, 220, 190)), "alone"),
    "apple": Thing(_apple, "apple", (RED, GREEN), "alone"),
    "cup": Thing(_cup, "cup|mug|coffee|tea", (BLUE, RED, ORANGE), "alone"),
    "clock": Thing(_clock, "clock|watch", (BROWN, BLUE, RED), "alone"),
    "traffic light": Thing(_traffic_light, "traffic light|stoplight|stop light|traffic signal", (BLACK,), "ground"),
    "heart": Thing(_heart, "heart", (RED, PINK), "alone"),
    "bird": Thing(_bird, "bird|chick|duck|sparrow|parrot", (BLUE, RED, YELLOW), "ground"),
}
