"""Reading TOML, and finding the line of a key again."""

import os
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.toml import Lines, read_toml

SWEEP = """\
# temperature = 9
name = "n"

[[sweep]]
model = [
  "a",
]
"temperature" = [0.0]
stop.target = 0.1

[[sweep]]
model = "b"
[sweep.stop]
target = 0.1

[models."qwen2.5"]
source = "hub:a/b"
[models.plain.memory_gib]
float32 = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a path for a TOML file."""
    return tmp_path / "x.toml"


def complaint(file: Path) -> str:
    """Return what read_toml says about a file."""
    with pytest.raises(InputError) as caught:
        read_toml(file)
    return str(caught.value)


def test_a_file_is_read(file: Path) -> None:
    file.write_text('name = "ä"\n', encoding="utf-8")
    assert read_toml(file) == {"name": "ä"}


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbfname = "n"\r\n\r\npriority = 1\r\n')
    assert read_toml(file) == {"name": "n", "priority": 1}
    assert Lines(file).place("priority") == f"{file}:3: priority"
    assert Lines(file).place("name") == f"{file}:1: name"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a = 1\nb = "x\n', ":2: is no valid TOML: Illegal character '\\n' at column 7"),
        ("a = 1\n\nb = [\n", ":3: is no valid TOML: Invalid value at the end of the file"),
        ("a = 1\na = 2\n", ":2: is no valid TOML: Cannot overwrite a value at column 6"),
    ],
)
def test_a_fault_of_syntax_is_given_with_its_line(file: Path, text: str, expected: str) -> None:
    file.write_text(text)
    assert complaint(file) == f"{file}{expected}"


def test_what_is_no_text_is_given_with_its_line(file: Path) -> None:
    file.write_bytes(b'a = 1\nb = "\xff"\n')
    assert complaint(file) == f"{file}:2: this line is not UTF-8 text"


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    assert complaint(file) == f"{file}: there is no such file"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"{tmp_path}: can't be read: Is a directory"


@pytest.mark.parametrize(
    ("key", "table", "number", "expected"),
    [
        ("name", (), 0, ":2: name"),
        ("model", ("sweep",), 0, ":5: model"),
        ("temperature", ("sweep",), 0, ":8: temperature"),
        ("stop", ("sweep",), 0, ":9: stop"),
        ("model", ("sweep",), 1, ":12: model"),
        ("stop", ("sweep",), 1, ":13: stop"),
        # not there: its table's header
        ("temperature", ("sweep",), 1, ":11: temperature"),
        ("source", ("models", "qwen2.5"), 0, ":17: [models.qwen2.5] source"),
        ("sha256", ("models", "qwen2.5"), 0, ":16: [models.qwen2.5] sha256"),
        ("memory_gib", ("models", "plain"), 0, ":18: [models.plain] memory_gib"),
        ("priority", (), 0, ": priority"),
    ],
)
def test_a_key_is_found(file: Path, key: str, table: tuple[str, ...], number: int, expected: str) -> None:
    file.write_text(SWEEP)
    assert Lines(file).place(key, table, number) == f"{file}{expected}"


@pytest.mark.parametrize(
    ("text", "table", "expected"),
    [
        ('sweep = [{ model = "a" }]\n', ("sweep",), ":1: model"),
        ('\nmodels.mine.source = "x"\n', ("models", "mine"), ":2: [models.mine] model"),
        ('[models]\nmine = { task = "text" }\n', ("models", "mine"), ":2: [models.mine] model"),
    ],
)
def test_a_table_without_a_header_is_found_by_its_name(
    file: Path, text: str, table: tuple[str, ...], expected: str
) -> None:
    file.write_text(text)
    assert Lines(file).place("model", table) == f"{file}{expected}"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "sweep.toml"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is no regular file"):
        read_toml(pipe)


def test_a_name_under_a_table_without_a_header_has_the_line_of_its_own(file: Path) -> None:
    file.write_text(SWEEP, encoding="utf-8")
    lines = Lines(file)
    assert lines.line_of("qwen2.5", ("models",)).endswith("x.toml:16")
    assert lines.line_of("plain", ("models",)).endswith("x.toml:18")
