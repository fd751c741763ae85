"""JSON read piece by piece: the same values as all at once, and the line of every fault."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.imports import json_values
from bench.imports.json_values import json_objects

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
_OBJECTS = st.dictionaries(st.text(max_size=5), _SCALARS | st.lists(_SCALARS, max_size=3), max_size=5)


class Slow:
    """Gives at most so many characters at a time, and counts them."""

    def __init__(self, text: str, most: int) -> None:
        self._text = io.StringIO(text)
        self._most = most
        self.given = 0

    def read(self, size: int) -> str:
        found = self._text.read(min(size, self._most))
        self.given += len(found)
        return found


def values(text: str, most: int = 1 << 20) -> list[Any]:
    return [each.value for each in json_objects(Slow(text, most).read, "f")]


@given(st.lists(_OBJECTS, max_size=4), st.integers(1, 40), st.sampled_from([None, 2]))
def test_pieces_give_the_same_as_the_whole(objects: list[Any], most: int, indent: int | None) -> None:
    assert values(json.dumps(objects, indent=indent), most) == objects
    lines = "\n".join(json.dumps(each, indent=indent) for each in objects)
    assert values(lines, most) == objects
    assert values(lines + json.dumps(objects, indent=indent), most) == objects * 2


@given(st.lists(_OBJECTS, min_size=1, max_size=3), st.data())
def test_a_text_that_was_cut_off_is_never_taken_for_a_whole_one(objects: list[Any], drawn: st.DataObject) -> None:
    text = json.dumps(objects)
    cut = drawn.draw(st.integers(1, len(text) - 1))
    with pytest.raises(InputError, match="f:1: "):
        values(text[:cut], 7)


def test_objects_have_their_lines() -> None:
    text = '\n[\n  {\n "a": 1},\n\n {"a": 2}, {"a": 3}]\n{"a": 4}\n'
    assert [each.line for each in json_objects(io.StringIO(text).read, "f")] == [3, 6, 6, 7]


def test_little_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "_CHUNK", 100)
    source = Slow(json.dumps([{"number": number} for number in range(10_000)]), 100)
    found = json_objects(source.read, "f")
    assert next(found).value == {"number": 0}
    assert source.given <= 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": tru}', "f:1: is no JSON: expecting value"),
        ('[\n{"a": 1},\n{"a": 1,}\n]', "f:3: is no JSON: "),
        ('[\n{"a": inf}\n]', "f:2: is no JSON: expecting value"),
        ('[{"a": 1} {"a": 2}]', "f:1: a comma is missing between two elements"),
        ('[{"a": 1},]', "f:1: an element is missing after the comma"),
        ("[1, 2]", "f:1: must be an object in braces, and begins with '1'"),
        ('[["a"]]', "f:1: must be an object in braces, and begins with '['"),
        ('{"a": 1}\nTotal: 3', "f:2: must be an object in braces, and begins with 'T'"),
        ('\n[\n{"a": 1},\n', "f:4: the file ends in the middle of what begins here: it was cut off"),
        ('\n[\n{"a": 1}', "f:3: the file ends in the middle of what begins here: it was cut off"),
        ('{"a": "some te', "f:1: the file ends in the middle of what begins here: it was cut off"),
        ('{"a": [1, 2', "f:1: the file ends in the middle of what begins here: it was cut off"),
        ('{"a": ' + "[" * 100_000, "f:1: is nested too deeply to be read"),
        ('{"a": ' + "9" * 5_000 + "}", "f:1: can't be read: Exceeds the limit"),
    ],
)
def test_a_fault_is_one_sentence_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        values(text)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_an_object_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "_CHUNK", 1000)
    monkeypatch.setattr(json_values, "MAX_CHARACTERS", 1 << 20)
    source = Slow('{"a": "' + "x" * 10_000_000, 1 << 20)
    with pytest.raises(InputError, match="f:1: is larger than 1 MiB, which is no row of results"):
        list(json_objects(source.read, "f"))
    assert source.given < 4 << 20
