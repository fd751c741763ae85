import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.readability import LANGUAGES, plain_prose, readability

EASY = "The cat sat on the mat. It was a warm day and the sun was high. The cat slept all day and then it ate a fish."
HARD = (
    "The implementation of international telecommunication infrastructure necessitates considerable administrative "
    "coordination, notwithstanding the multifarious institutional responsibilities that characterise contemporary "
    "organisations everywhere."
)
#: 24 words in 2 sentences with 36 syllables
COUNTED = (
    "A good teacher listens before she answers the question of a student. "
    "She also knows that nobody can learn everything in a single day."
)
TEXTS = {
    "de": "Der Hund lief über die Straße. Die Katze schlief im Haus. Am Abend kamen die Kinder und spielten im Garten.",
    "en": EASY,
    "es": "El perro corre por la calle. El gato duerme en la casa. Por la tarde los niños juegan con la pelota.",
    "fr": "Le chien court dans la rue. Le chat dort dans la maison. Le soir, les enfants jouent avec la balle.",
    "it": "Il cane corre per la strada. Il gatto dorme in casa. La sera i bambini giocano con la palla nel giardino.",
    "nl": "De hond loopt over straat. De kat slaapt in het huis. In de avond spelen de kinderen met de bal in de tuin.",
    "pt": "O cão corre pela rua. O gato dorme em casa. À noite as crianças jogam com a bola no jardim da casa.",
    "ru": "Собака бежит по улице. Кошка спит в доме. Вечером дети играют в саду с мячом, пока светло, и громко поют.",
}


def test_the_formula_of_flesch() -> None:
    expected = 206.835 - 1.015 * 24 / 2 - 84.6 * 36 / 24
    assert readability(COUNTED, "en") == pytest.approx(expected)
    assert readability(COUNTED) == readability(COUNTED, "en-GB") == readability(COUNTED, "EN_us")


def test_easy_reads_easier_than_hard() -> None:
    assert (readability(EASY, "en"), readability(HARD, "en")) == (100, 0)
    middle = readability(COUNTED, "en")
    assert middle is not None
    assert 60 < middle < 80


def test_too_short_or_no_formula() -> None:
    assert readability("", "en") is None
    assert readability("word " * 19, "en") is None
    assert readability("word " * 20, "en") is not None
    assert readability("... " * 30, "en") is None
    assert readability(EASY, "pl") is None
    assert readability("猫" * 100, "zh") is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_its_own_figure(language: str) -> None:
    figure = readability(TEXTS[language], language)
    assert figure is not None
    assert 60 < figure <= 100
    long = " ".join([TEXTS[language].replace(".", ",")] * 3)
    worse = readability(long, language)
    assert worse is not None
    assert worse < figure


def test_thoughts_are_not_read() -> None:
    assert readability(f"<think>{HARD}</think>{EASY}", "en") == readability(EASY, "en")
    assert readability(f"<think>{HARD}", "en") is None


def test_the_form_counts_three_tenths() -> None:
    words = readability(COUNTED, "en")
    assert words is not None
    assert readability(COUNTED, "en", ["sentences 2", "words 20..30"]) == pytest.approx(0.7 * words + 30)
    assert readability(COUNTED, "en", ["sentences 2", "bullets 3"]) == pytest.approx(0.7 * words + 15)
    assert readability(COUNTED, "en", ["bullets 3"]) == pytest.approx(0.7 * words)
    assert readability(COUNTED, "en", []) == words
    assert readability("Too short.", "en", ["sentences 1"]) is None


MARKDOWN = """# A **bold** title

Some text
over two lines, see [the page](https://example.org/a_b).

- first item
- second `item`!
1. third_item here

```python
code
```
| a | b |
"""


def test_markdown_is_taken_off() -> None:
    assert plain_prose(MARKDOWN).split("\n") == [
        "A bold title.",
        "Some text over two lines, see the page.",
        "first item.",
        "second item!",
        "third_item here.",
        "code.",
        "a   b.",
    ]


def test_a_list_without_full_stops_is_no_endless_sentence() -> None:
    items = ["eat more fruit at home", "walk to work each day", "sleep for eight full hours", "drink a lot of water"]
    listed = readability("\n".join(f"- {item}" for item in items), "en")
    stops = readability(" ".join(f"{item}." for item in items), "en")
    assert listed == stops
    assert listed is not None
    assert listed > 90


@settings(max_examples=60, deadline=None)
@given(st.text("ab. \n*-#|1_[]()`?!'éя", max_size=200), st.sampled_from(LANGUAGES))
def test_any_text_is_taken(text: str, language: str) -> None:
    figure = readability(text, language)
    assert figure is None or 0 <= figure <= 100
    assert readability(text, language) == figure


def test_endless_repetition_costs_little() -> None:
    assert readability("and so on " * 30_000, "en") == 0


def test_it_needs_no_network_and_says_nothing() -> None:
    code = """
import socket, sys
def refuse(*args, **more): raise AssertionError("a connection")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from bench.readability import readability
assert not {"textstat", "nltk"} & sys.modules.keys()
assert readability("The cat sat on the mat and looked at us. " * 3, "en") > 90
assert readability("Die Katze lag auf der Matte und sah uns an. " * 3, "de") > 50
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
