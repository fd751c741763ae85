import hashlib
import io
import json
import sys
from collections import Counter
from functools import cache
from typing import Any

import pytest
from PIL import Image

from bench.errors import UnavailableError
from bench.pictures import DRAWN, ITEMS, Picture, draw
from bench.pictures.dice import Dice
from bench.pictures.things import THINGS
from bench.scoring import check_answer, score
from tests.commands import run_python

NAMES = tuple(DRAWN)


@cache
def pictures(name: str) -> tuple[Picture, ...]:
    """Return a workload's pictures, drawn once for all tests."""
    return draw(name)


def right_answer(name: str, picture: Picture) -> str:
    if DRAWN[name].score == "keywords":
        return "; ".join(point.partition("|")[0] for point in picture.answer)
    return picture.answer[0]


@pytest.mark.parametrize("name", NAMES)
def test_there_are_forty_of_each_level_and_no_two_alike(name: str) -> None:
    drawn = pictures(name)
    assert len(drawn) == ITEMS == 120
    assert Counter(picture.level for picture in drawn) == {1: 40, 2: 40, 3: 40}
    assert [picture.level for picture in drawn] == sorted(picture.level for picture in drawn)
    assert len({picture.id for picture in drawn}) == len(drawn)
    assert len({(picture.prompt, picture.sha256) for picture in drawn}) == len(drawn)
    assert drawn[0].id == f"{name}-001"


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_small_png(name: str) -> None:
    for picture in pictures(name):
        image = Image.open(io.BytesIO(picture.png))
        image.load()
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert 224 <= min(image.size) <= max(image.size) <= 448
        assert len(picture.png) < 64 * 1024
        # Something is on it.
        assert len(image.getcolors(1 << 20) or ()) > 1
    assert sum(len(picture.png) for picture in pictures(name)) < 8 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_score_and_others_do_not(name: str) -> None:
    scorer = DRAWN[name].score
    for picture in pictures(name):
        assert check_answer(scorer, picture.answer) is None
        assert score(scorer, right_answer(name, picture), picture.answer).score == 1, picture
        assert score(scorer, "", picture.answer).score == 0
        assert score(scorer, picture.prompt, picture.answer).score == 0, picture
        assert len(set(picture.answer)) == len(picture.answer)
        if scorer == "contains":
            assert all(score(scorer, f"It is {each}.", picture.answer).score == 1 for each in picture.answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_answer_gets_little(name: str) -> None:
    scorer = DRAWN[name].score
    answers = [right_answer(name, picture) for picture in pictures(name)]
    common, _ = Counter(answers).most_common(1)[0]
    scores = [score(scorer, common, picture.answer).score or 0 for picture in pictures(name)]
    assert sum(scores) / len(scores) < 0.25


def pixel_hash(name: str) -> str:
    digest = hashlib.sha256()
    for picture in pictures(name):
        image = Image.open(io.BytesIO(picture.png))
        digest.update(json.dumps([picture.id, picture.prompt, picture.answer, picture.level, image.size]).encode())
        digest.update(image.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        # Part of a series' key: whoever changes a drawing or a question breaks every history of them. In these two is
        # no text, so nothing but our own code and Pillow's ellipses is in their pixels.
        ("captions", "df721e29ce93cd7640c5cc326e68177dcc10cb12dd2cbef44d145032d0c4b050"),
        ("shapes", "a9c7ad57a70119f828f45217e9fe9d07362825b48440cf08a6cc25aedfdc9ae6"),
    ],
)
def test_the_same_seed_gives_the_same_pixels(name: str, digest: str) -> None:
    assert pixel_hash(name) == digest


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        # Another Pillow may bring another default font, or another FreeType render it otherwise: 12.0 (FreeType 2.14.1)
        # and 13.0 (2.14.3) agree.
        ("charts", "7ecf947cb104bbbf13f760b65e3e72d28799cbabd307629d4e7d1a9802470778"),
        ("text_in_image", "6a4355098d32eaff78a4c51494b44eeef31208c6b51b00f6ba4d808817c2dcdd"),
    ],
)
def test_the_same_seed_and_font_give_the_same_pixels(name: str, digest: str) -> None:
    assert pixel_hash(name) == digest


def test_a_seed_decides_everything() -> None:
    assert draw("shapes", items=12) == draw("shapes", items=12)
    assert [one.png for one in draw("shapes", items=12)] != [one.png for one in draw("shapes", seed=1, items=12)]


def test_every_thing_is_asked_for_alone() -> None:
    asked = {picture.answer for picture in pictures("captions") if picture.level == 1}
    assert asked == {(thing.words,) for thing in THINGS.values()}


def test_a_scene_has_as_many_things_as_its_level() -> None:
    assert {(picture.level, len(picture.answer)) for picture in pictures("captions")} == {(1, 1), (2, 2), (3, 3)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [1, 2, 3])
def test_any_seed_can_be_drawn(name: str, level: int) -> None:
    for number in range(60):
        sketch = DRAWN[name].sketch(Dice("any", number), level, number)
        assert sketch.answer
        assert sketch.prompt.endswith(("?", "."))


def test_shapes_are_where_the_answer_says() -> None:
    for picture in pictures("shapes"):
        if not picture.prompt.startswith("Which shape is at the top"):
            continue
        image = Image.open(io.BytesIO(picture.png)).convert("RGB")
        upper = image.crop((0, 0, 320, 160))
        corner = upper.getpixel((160 - 50, 85 - 50))
        # Of two equally wide shapes only a square reaches its corner.
        assert (corner != image.getpixel((0, 0))) == (picture.answer[0] == "square")


def test_bars_are_as_high_as_the_answer_says() -> None:
    found = 0
    for picture in pictures("charts"):
        if picture.level == 2 and picture.prompt.startswith("What is the value of"):
            image = Image.open(io.BytesIO(picture.png)).convert("RGB")
            heights = [
                sum(image.getpixel((52 + 42 + 84 * place, y)) in BAR_COLOURS for y in range(44, 268))
                for place in range(4)
            ]
            values = [round(height * 100 / 224) for height in heights]
            assert min(abs(value - int(picture.answer[0])) for value in values) <= 1
            found += 1
    assert found >= 10


BAR_COLOURS: list[Any] = [(60, 110, 200), (235, 130, 40), (70, 160, 90), (200, 60, 70)]


def test_nothing_of_pillow_is_loaded_before_something_is_drawn() -> None:
    code = "import sys\nimport bench.pictures\nprint('PIL' in sys.modules, 'numpy' in sys.modules)"
    done = run_python(code)
    assert (done.returncode, done.stdout.strip()) == (0, "False False"), done.stderr


def test_without_pillow_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UnavailableError, match="pip install pillow"):
        draw("shapes", items=3)
