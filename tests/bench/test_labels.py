"""Labels: a word and its value."""

from typing import Any

import pytest

from bench.errors import InputError
from bench.labels import check_label, check_labels, read_labels


def place(key: str) -> str:
    """Return where a key of a table of labels stands."""
    return f"x.toml:1: {key}".removesuffix(": ")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("team=blue", ("team", "blue")),
        (" team = dark blue ", ("team", "dark blue")),
        ("fan-speed=3=fast", ("fan-speed", "3=fast")),
        ("größe=ä", ("größe", "ä")),
        ("v1-2_x=0", ("v1-2_x", "0")),
    ],
)
def test_a_label_is_a_word_and_a_text(text: str, label: tuple[str, str]) -> None:
    assert check_label(text, "--label") == label


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("team", "write it as key=value (it is 'team')"),
        # SQL's `->>` would take it for a path
        ("a.b=x", "the label 'a.b' must be a word"),
        ("=x", "the label '' must be a word: a letter, then up to 63 letters, digits, _ or -"),
        ("two words=x", "the label 'two words' must be a word"),
        ("9lives=x", "the label '9lives' must be a word"),
        ("it's=x", 'the label "it\'s" must be a word'),
        ("a" * 65 + "=x", "must be a word"),
        ("team=", "the label team must be a text of 1 to 200 characters on one line"),
        ("team=a\nb", "the label team must be a text of 1 to 200 characters on one line"),
        ("team=" + "x" * 201, "the label team must be a text of 1 to 200 characters on one line"),
    ],
)
def test_another_label_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        check_label(text, "--label")
    assert str(caught.value).startswith("--label: ")
    assert said in str(caught.value)


def test_several_labels_are_a_table_and_none_has_two_values() -> None:
    assert read_labels(["a=1", "b=2", "a=1"], "--label") == {"a": "1", "b": "2"}
    assert read_labels([], "--label") == {}
    with pytest.raises(InputError, match=r"^--label: a is both '1' and '2'$"):
        read_labels(["a=1", "a=2"], "--label")


def test_a_files_labels_may_be_written_as_numbers() -> None:
    assert check_labels({"run": 3, "share": 0.5, "dry": True, "who": "me"}, place) == {
        "run": "3",
        "share": "0.5",
        "dry": "true",
        "who": "me",
    }


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("x", 'x.toml:1: must be a table such as { machine = "mini" }'),
        ({"a b": "x"}, "x.toml:1: a b: the label 'a b' must be a word"),
        ({"a": ["x"]}, "x.toml:1: a: the label a must be a text of 1 to 200 characters on one line"),
    ],
)
def test_another_table_of_labels_is_refused(table: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        check_labels(table, place)
    assert str(caught.value).startswith(said)
