"""Rows as text: for people (table, md) rounded and harmless, for programs (json, jsonl, csv) exact."""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain, islice
from typing import Any, Literal, TextIO, get_args

from report.cells import all_numbers, one_line, shown

Format = Literal["table", "json", "jsonl", "csv", "md"]
FORMATS: tuple[str, ...] = get_args(Format)

#: what begins a formula; the last four are the signs of Chinese and Japanese keyboards
_FORMULA_SIGNS = (
    *("=", "+", "-", "@"),
    *("\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}"),
    *("\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}"),
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
#: what json leaves as it is though a terminal or JavaScript would act on it
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
#: rows that say whether a Markdown column holds numbers
_LOOKED_AT = 100
_MARKDOWN = re.compile(r"[\\|*`\[\]]")
_LINE_END = re.compile(r"\r\n|\r|\n")
#: types that json and csv write rightly by themselves, which saves asking for each value
_IN_JSON = frozenset((type(None), bool, int, str))
_IN_CSV = frozenset((int, float))


def write_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    format: Format,
    stream: TextIO,
    width: int | None = None,
) -> int:
    """Write rows to a text stream and return how many there were; they are read one by one, not all at once.

    json is a list of objects, jsonl an object a line, csv as in RFC 4180 with a header; a name that two
    columns share gets a number in the objects ("a", "a_2"). `width` in characters lays a table out for a
    terminal of that width; None takes the stream's own, and plain lines of any length where it is no terminal.
    """
    match format:
        case "json":
            return _write_json(columns, rows, stream)
        case "jsonl":
            return _write_jsonl(columns, rows, stream)
        case "csv":
            return _write_csv(columns, rows, stream)
        case "md":
            return _write_markdown(columns, rows, stream)
        case "table":
            from report.tables import write_table

            return write_table(columns, rows, stream, width=width)


def _write_json(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO) -> int:
    count = 0
    for count, line in enumerate(_objects(columns, rows), start=1):
        stream.write(("[\n" if count == 1 else ",\n") + line)
    stream.write("\n]\n" if count else "[]\n")
    return count


def _write_jsonl(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO) -> int:
    count = 0
    for line in _objects(columns, rows):
        stream.write(line + "\n")
        count += 1
    return count


def _write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO) -> int:
    writer = csv.writer(stream, lineterminator="\r\n")
    # A file gets what was answered, to the letter; on a terminal an answer could act.
    text_of = _on_a_terminal if stream.isatty() else _csv_cell
    writer.writerow([text_of(column) for column in columns])
    count = 0
    for row in rows:
        writer.writerow([value if type(value) in _IN_CSV else text_of(value) for value in row])
        count += 1
    return count


def _write_markdown(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO) -> int:
    source = iter(rows)
    first = list(islice(source, _LOOKED_AT))
    stream.write(_markdown_line(_markdown_text(column) for column in columns))
    stream.write(_markdown_line("---:" if all_numbers(row[i] for row in first) else "---" for i in range(len(columns))))
    count = 0
    for row in chain(first, source):
        stream.write(_markdown_line(_markdown_cell(value, name) for value, name in zip(row, columns, strict=True)))
        count += 1
    return count


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _markdown_cell(value: Any, column: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return _markdown_text(shown(value, ""))
    return "<br>".join(_markdown_text(shown(line, column)) for line in _LINE_END.split(value))


def _markdown_text(text: str) -> str:
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\g<0>", text)


def _objects(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    names = _distinct(columns)
    for row in rows:
        values = {
            name: value if type(value) in _IN_JSON else _plain(value) for name, value in zip(names, row, strict=True)
        }
        text = json.dumps(values, ensure_ascii=False, allow_nan=False)
        yield _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _distinct(columns: Sequence[str]) -> list[str]:
    names: list[str] = []
    for column in columns:
        name, number = column, 2
        while name in names:
            name, number = f"{column}_{number}", number + 1
        names.append(name)
    return names


def _plain(value: Any) -> Any:
    """Return what JSON can say: a number that is none (NaN, infinity) is null, bytes are hexadecimal."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return _plain(int(value) if value.is_finite() and value == value.to_integral_value() else float(value))
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_plain(part) for part in value]
        case dict():
            return {str(key): _plain(part) for key, part in value.items()}
    return str(value)


def _csv_cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return _harmless_in_a_spreadsheet(value)
        case bytes():
            return value.hex()
        case list() | tuple() | dict():
            return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)


def _on_a_terminal(value: Any) -> str:
    return one_line(_csv_cell(value))


def _harmless_in_a_spreadsheet(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    begins_one = text.lstrip().startswith(_FORMULA_SIGNS)  # blanks before it are passed over
    if text.startswith(("\t", "\r")) or (begins_one and not _NUMBER.fullmatch(text)):
        return "'" + text
    return text
