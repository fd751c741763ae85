"""The rows of llama-bench's SQL output, read as data: nothing of it is ever run.

What llama-bench writes is a CREATE TABLE and an INSERT a line. It does not double the quotes in a text, so those are
understood too where the text goes on after them.
"""

import re
from collections.abc import Callable, Iterator

from bench.errors import InputError
from bench.imports.records import Placed

#: reads a line of a text, or so much of it
ReadLine = Callable[[int], str]

#: the longest line that is read
_MAX_CHARACTERS = 1 << 20
#: `test` was its name before 2025
_TABLE = r"(?:llama_bench|test)"
_CREATE = re.compile(rf"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_TABLE}\s*\(", re.I)
_COLUMN = re.compile(r"\w+\s+(?:TEXT|INTEGER|REAL),?", re.I)
_INSERT = re.compile(rf"INSERT\s+INTO\s+{_TABLE}\s*\(([\w\s,]+)\)\s*VALUES\s*\(", re.I)
_BARE = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|NULL|true|false", re.I)
_SPACE = re.compile(r"\s*")
_ENDS = re.compile(r"\s*(?:,|\)\s*;?\s*$)")
_OVER = re.compile(r"\)\s*;?\s*$")
#: as much of a wrong line as a message shows
_SHOWN = 60


def sql_rows(read_line: ReadLine, name: str) -> Iterator[Placed]:
    """Yield the rows of llama-bench's SQL output; their values are texts, None for NULL.

    Raises InputError, with file and line, for anything else in it.
    """
    in_table = False
    for line, text in _lines(read_line, name):
        where = f"{name}:{line}"
        if in_table:
            in_table = not _OVER.fullmatch(text)
            if in_table and not _COLUMN.fullmatch(text):
                raise _other(text, where)
        elif _CREATE.fullmatch(text):
            in_table = True
        elif match := _INSERT.match(text):
            yield Placed(line, _row(match[1], text, match.end(), where))
        elif text and not text.startswith("--"):
            raise _other(text, where)
    if in_table:
        raise InputError("the file ends in the middle of CREATE TABLE: it was cut off", where=name)


def _lines(read_line: ReadLine, name: str) -> Iterator[tuple[int, str]]:
    line = 0
    while text := read_line(_MAX_CHARACTERS):
        line += 1
        if len(text) == _MAX_CHARACTERS and not text.endswith("\n"):
            raise InputError("the line is too long for one of llama-bench", where=f"{name}:{line}")
        yield line, text.strip()


def _other(text: str, where: str) -> InputError:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return InputError(f"is neither llama-bench's CREATE TABLE nor an INSERT of it: {shown}", where=where)


def _row(columns: str, text: str, start: int, where: str) -> dict[str, str | None]:
    names = [each.strip() for each in columns.split(",")]
    values = _values(text, start, where)
    if len(values) != len(names) or len(set(names)) != len(names):
        raise InputError(f"the INSERT names {len(names)} columns and has {len(values)} values", where=where)
    return dict(zip(names, values, strict=True))


def _values(text: str, start: int, where: str) -> list[str | None]:
    values: list[str | None] = []
    place = start
    while True:
        place = _after_space(text, place)
        value, place = _quoted(text, place + 1, where) if text.startswith("'", place) else _bare(text, place, where)
        values.append(value)
        place = _after_space(text, place)
        if _OVER.fullmatch(text, place):
            return values
        if not text.startswith(",", place):
            raise _cut_off(where) if place >= len(text) else _other(text[place:], where)
        place += 1


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _quoted(text: str, start: int, where: str) -> tuple[str, int]:
    """Return the text that begins behind a quote, and the place behind its end."""
    parts, place = [], start
    while (quote := text.find("'", place)) >= 0:
        parts.append(text[place:quote])
        if text.startswith("''", quote):
            place = quote + 2
        elif _ENDS.match(text, quote + 1):
            return "".join(parts), quote + 1
        else:
            place = quote + 1
        parts.append("'")
    raise _cut_off(where)


def _bare(text: str, start: int, where: str) -> tuple[str | None, int]:
    match = _BARE.match(text, start)
    if match is None:
        raise _cut_off(where) if start >= len(text) else _other(text[start:], where)
    word = match[0].lower()
    return {"null": None, "true": "1", "false": "0"}.get(word, word), match.end()


def _cut_off(where: str) -> InputError:
    return InputError("the INSERT does not end as llama-bench ends one; perhaps the file was cut off", where=where)
