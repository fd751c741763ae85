import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import InputError
from bench.workload_files import Fault, validate_file
from bench.workloads import Item, Workload, read_workload

GOOD = {"id": "q1", "prompt": "2 + 2?", "answer": "4"}


def write(tmp_path: Path, *lines: dict[str, Any] | str) -> Path:
    path = tmp_path / "own.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def read(path: Path, score: str = "number", task: str = "text") -> Workload:
    return read_workload(path, name="own", task=task, score=score, where="sweep.toml")


def test_an_own_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {**GOOD, "level": 2, "language": "en"},
        "",
        {"id": "q2", "prompt": "Two\u2028lines?", "answer": ["3", "3.0"]},
        {"id": "e1", "prompt": "1 + 1?", "answer": "2", "example": True},
        {"id": "q3", "prompt": "?", "answer": "5", "example": False},
    )
    own = read(path)
    assert (own.name, own.task, own.kind, own.score) == ("own", "text", "quality", "number")
    assert own.items == (
        Item(id="q1", prompt="2 + 2?", answer="4", level=2, language="en"),
        Item(id="q2", prompt="Two\u2028lines?", answer=("3", "3.0")),
        Item(id="q3", prompt="?", answer="5"),
    )
    assert own.examples == (Item(id="e1", prompt="1 + 1?", answer="2"),)
    assert type(own.items[0]) is Item


def test_a_byte_order_mark_and_other_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n")
    assert read(path).items == (Item(**GOOD),)


def test_unscored_items_need_no_answer(tmp_path: Path) -> None:
    assert read(write(tmp_path, {"id": "q", "prompt": "Tell me a story."}), score="none").items[0].answer == ""


FAULTS = [
    ("{", "the line is no JSON: "),
    ("[" * 100_000, "nested too deeply"),
    ("[1]", 'the line is no JSON object such as {"id"'),
    ({**GOOD, "anwser": "4"}, "anwser: unknown key; did you mean 'answer'?"),
    ({"id": "q2", "prompt": "?"}, "answer: is missing"),
    ({"id": "q2", "answer": "4"}, "prompt: is missing"),
    ({**GOOD, "id": "q0"}, "id: 'q0' is already on line 1"),
    ({**GOOD, "id": 7}, "id: must be a text in quotes (it is 7)"),
    ({**GOOD, "id": " "}, "id: is empty"),
    ({**GOOD, "id": "a\x00b"}, "id: must be a text on one line, without control characters"),
    ({**GOOD, "prompt": ""}, "prompt: is empty"),
    ({**GOOD, "prompt": "\0"}, "prompt: holds a NUL character"),
    ({**GOOD, "answer": "7\0"}, "answer: '7\\x00' is no number"),
    ({**GOOD, "prompt": ["a"]}, "prompt: must be a text in quotes"),
    ({**GOOD, "answer": 4}, "answer: must be a text in quotes, or a list of such, not 4"),
    ({**GOOD, "answer": None}, "answer: must be a text in quotes, or a list of such, not null"),
    ({**GOOD, "answer": ["4", 5]}, 'answer: must be a text in quotes, or a list of such, not ["4", 5]'),
    ({**GOOD, "answer": []}, "answer: the list of answers is empty"),
    ({**GOOD, "answer": "blue"}, "answer: 'blue' is no number, so score = 'number' can't judge by it"),
    ({**GOOD, "level": "2"}, "level: must be a whole number (it is '2')"),
    ({**GOOD, "level": True}, "level: must be a whole number (it is True)"),
    ({**GOOD, "level": 4}, "level: must be at most 3 (it is 4)"),
    ({**GOOD, "example": "yes"}, "example: must be true or false (it is 'yes')"),
    ('{"id": "q2", "prompt": "\\ud800", "answer": "4"}', "prompt: holds a NUL character or half of a surrogate pair"),
]


@pytest.mark.parametrize(("line", "message"), FAULTS)
def test_a_fault_is_named_with_its_line(tmp_path: Path, line: dict[str, Any] | str, message: str) -> None:
    path = write(tmp_path, {**GOOD, "id": "q0"}, line)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert caught.value.message.startswith(message) or message in caught.value.message
    assert "\n" not in str(caught.value)


def test_an_answer_that_no_database_takes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":1: answer: holds a NUL character"):
        read(write(tmp_path, {**GOOD, "answer": "Par\0is"}), score="contains")


def test_a_line_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"id": "\xff"}\n')
    with pytest.raises(InputError, match=r"own\.jsonl:2: this line is not UTF-8 text"):
        read(path)


def test_files_without_items(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"own\.jsonl: the file holds no items"):
        read(write(tmp_path, ""))
    with pytest.raises(InputError, match="no item is left to be asked"):
        read(write(tmp_path, {**GOOD, "example": True}))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^sweep\.toml: workload 'own': can't read .*none\.jsonl: No such file"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="Is a directory"):
        read(tmp_path)


def test_what_does_not_exist(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(InputError, match=r"^sweep\.toml: score: unknown scorer 'numbr'; did you mean 'number'"):
        read(path, score="numbr")
    with pytest.raises(InputError, match="unknown task 'sound'; there is speech, text, vision"):
        read(path, task="sound")


# ---- every fault


def faults(path: Path, score: str = "number") -> list[Fault]:
    return validate_file(path, task="text", score=score)


def test_a_sound_file_has_no_fault(tmp_path: Path) -> None:
    assert faults(write(tmp_path, GOOD, {**GOOD, "id": "q2", "prompt": "3 + 1?"})) == []


def test_every_fault_is_found_in_the_order_of_the_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        GOOD,
        {"id": "", "prompt": "", "answer": "blue", "level": 9},
        "{",
        {**GOOD, "anwser": "4"},
        {"id": "q2", "promt": "?", "answer": "4"},
        {**GOOD, "prompt": "2  +\n2?"},
        "[1]",
        {"id": "q3", "prompt": "1?", "answer": "1", "structure": ["bulets 3"]},
    )
    found = [(fault.line, fault.field, fault.message) for fault in faults(path)]
    assert [(line, field) for line, field, _ in found] == [
        (2, "id"),
        (2, "prompt"),
        (2, "answer"),
        (2, "level"),
        (3, ""),
        (4, "anwser"),
        (5, "promt"),
        (6, "id"),
        (6, "prompt"),
        (7, ""),
        (8, "structure"),
    ]
    assert found[0][2] == "is empty"
    assert found[6][2] == "unknown key; did you mean 'prompt'?"
    assert found[7][2] == "'q1' is already on line 1"
    assert found[8][2] == "'2 + 2?' is already on line 1"
    assert "bullets" in found[10][2]


def test_reading_stops_at_the_first_of_the_faults(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, {**GOOD, "level": 9, "anwser": 1}, "{")
    first = faults(path)[0]
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value) == str(first.error(str(path)))
    assert str(caught.value).startswith(f"{path}:2: anwser: unknown key")


def test_an_example_must_not_be_asked_as_well(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, {**GOOD, "id": "e1", "example": True})
    assert faults(path) == [Fault(2, "prompt", "'2 + 2?' is already on line 1")]


def test_lines_that_are_not_utf8_are_named_each(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(b'{"id": "\xff"}\n' + json.dumps(GOOD).encode() + b"\n\xfe\n")
    assert faults(path) == [Fault(1, "", "this line is not UTF-8 text"), Fault(3, "", "this line is not UTF-8 text")]


def test_faults_of_the_whole_file(tmp_path: Path) -> None:
    assert faults(write(tmp_path)) == [Fault(None, "", "the file holds no items")]
    (fault,) = faults(write(tmp_path, {**GOOD, "example": True}))
    assert str(fault.error("own.jsonl")) == 'own.jsonl: every line is an "example", and no item is left to be asked'
    assert [fault.line for fault in faults(write(tmp_path, "{"))] == [1]


def test_no_file_to_validate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^can't read .*none\.jsonl: No such file"):
        faults(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"^task: unknown task 'sound'; there is speech, text, vision$"):
        validate_file(tmp_path, task="sound", score="number")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_know(tmp_path: Path, constant: str) -> None:
    path = write(tmp_path, f'{{"id": "q1", "prompt": "?", "answer": "1", "level": {constant}}}')
    assert faults(path) == [Fault(1, "", f"the line is no JSON: {constant} is no number in JSON")]


# ---- scorers whose answers are rules


SCHEMA = {"type": "object", "properties": {"n": {"const": "é"}}, "required": ["n"]}


def test_a_schema_may_be_an_object_or_a_text(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"id": "q1", "prompt": "1?", "answer": SCHEMA},
        {"id": "q2", "prompt": "2?", "answer": json.dumps(SCHEMA)},
        {"id": "q3", "prompt": "3?", "answer": [SCHEMA, json.dumps(SCHEMA)]},
        {"id": "e1", "prompt": "4?", "answer": SCHEMA, "example": True, "shown": {"n": "é"}},
    )
    own = read(path, score="json_schema")
    text = '{"type": "object", "properties": {"n": {"const": "é"}}, "required": ["n"]}'
    assert own.items[0].answer == text
    assert isinstance(own.items[1].answer, str)
    assert json.loads(own.items[1].answer) == SCHEMA
    assert own.items[2].answer == (text, json.dumps(SCHEMA))
    assert own.examples[0].shown == '{"n": "é"}'


RULES: list[tuple[str, Any, str, str]] = [
    ("regex", "^a+$", "aaa", "aab"),
    ("json_schema", SCHEMA, '{"n": "é"}', "{}"),
    ("keywords", ["plants|vegetation", "light"], "Plants need light.", "Plants need water."),
    ("constraints", ["words 3", "lowercase"], "one two three", "One two three"),
    ("contains", "Paris", "It is Paris.", "It is Rome."),
    ("number", "4", "2 + 2 = 4", "5"),
]


@pytest.mark.parametrize(("score", "answer", "right", "wrong"), RULES)
def test_what_an_example_shows_must_be_right(tmp_path: Path, score: str, answer: Any, right: str, wrong: str) -> None:
    example = {"id": "e1", "prompt": "1?", "answer": answer, "example": True}
    item = {"id": "q1", "prompt": "2?", "answer": answer}
    assert faults(write(tmp_path, item, {**example, "shown": right}), score) == []
    message = f"score = {score!r} does not count this as right (it is {wrong!r})"
    assert faults(write(tmp_path, item, {**example, "shown": wrong}), score) == [Fault(2, "shown", message)]


@pytest.mark.parametrize(("score", "answer", "right", "wrong"), RULES)
def test_an_example_of_a_rule_needs_what_to_show(
    tmp_path: Path, score: str, answer: Any, right: str, wrong: str
) -> None:
    item = {"id": "q1", "prompt": "2?", "answer": answer}
    found = faults(write(tmp_path, item, {**item, "id": "e1", "prompt": "1?", "example": True}), score)
    if score in ("contains", "number"):
        assert found == []
    else:
        message = f"is missing: with score = {score!r} an example needs an answer to show"
        assert found == [Fault(2, "shown", message)]


@pytest.mark.parametrize(
    ("score", "answer"),
    [
        ("regex", "(a"),
        ("json_schema", {"type": "nothing"}),
        ("json_schema", "no schema"),
        ("keywords", []),
        ("keywords", ["...|?"]),
        ("constraints", ["wrods 3"]),
        ("constraints", []),
        ("choice", "K"),
        ("contains", {"a": 1}),
        ("exact", "..."),
    ],
)
def test_answers_that_no_scorer_judges_by(tmp_path: Path, score: str, answer: Any) -> None:
    (fault,) = faults(write(tmp_path, {"id": "q1", "prompt": "?", "answer": answer}), score)
    assert (fault.line, fault.field) == (1, "answer")
    assert "\n" not in fault.message


@pytest.mark.parametrize(("structure", "kept"), [(["bullets 3", "words <= 9"], 2), ("bullets 3", 1), (None, 0)])
def test_the_structure_of_a_good_answer(tmp_path: Path, structure: Any, kept: int) -> None:
    own = read(write(tmp_path, {**GOOD, "structure": structure}))
    assert len(own.items[0].structure or ()) == kept


@pytest.mark.parametrize("structure", [[], ["bullets"], 3, [3], ["bullets 3", "nonsense 4"]])
def test_a_structure_that_nobody_can_check(tmp_path: Path, structure: Any) -> None:
    (fault,) = faults(write(tmp_path, {**GOOD, "structure": structure}))
    assert fault.field == "structure"
