"""Tables: laid out for the terminal they stand in, plain lines elsewhere."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, TextIO

from report.cells import all_numbers, one_line, shown
from report.layout import Column, break_text, fit, text_width

#: rows that are looked at together to find the columns' widths, and the most text in them
CHUNK_ROWS = 1000
CHUNK_CHARACTERS = 4 << 20

_GAP = 2
_NOTICE = "{} columns don't fit into {} characters; each row is a block of its own."
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_Rows = list[list[str]]


def write_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO, *, width: int | None = None
) -> int:
    """Write rows as a table and return how many there were.

    `width` is the terminal's, in characters; None asks the stream, and where that is no terminal the lines are
    plain, aligned and as long as they have to be. Where the columns don't fit in beside each other, each row
    is written from top to bottom.
    """
    if width is None and not stream.isatty():
        return _write_plain(columns, rows, stream)
    return _write_fitted(columns, rows, stream, width)


def _write_plain(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO) -> int:
    count = 0
    shape: list[Column] = []
    for texts, described in _chunks(columns, rows):
        if not shape:
            shape = described
            widths = [max(column.cells, text_width(column.name)) for column in shape]
            stream.write(_line([column.name for column in shape], shape, widths) + "\n")
            stream.write(_line(["-" * width for width in widths], shape, widths) + "\n")
        for row in texts:
            stream.write(_line(row, shape, widths) + "\n")
        count += len(texts)
    return count


def _line(cells: Sequence[str], shape: Sequence[Column], widths: Sequence[int]) -> str:
    padded = (
        " " * (width - text_width(cell)) + cell if column.is_numeric else cell + " " * (width - text_width(cell))
        for cell, column, width in zip(cells, shape, widths, strict=True)
    )
    return (" " * _GAP).join(padded).rstrip()


def _write_fitted(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO, width: int | None) -> int:
    paper = _Paper(stream, width or shutil.get_terminal_size().columns)
    count = 0
    widths: list[int] | None = None
    shape: list[Column] = []
    for texts, described in _chunks(columns, rows):
        if not texts:
            paper.write("no rows", _DIM)
            break
        if not shape:
            shape = described
            widths = fit(shape, texts, paper.width, _GAP)
            if widths is None:
                for line in break_text(_NOTICE.format(len(shape), paper.width), paper.width):
                    paper.write(line, _DIM)
            else:
                _write_header(paper, shape, widths)
        if widths is not None:
            _write_beside(paper, shape, texts, widths, is_first=not count)
        else:
            _write_below(paper, shape, texts, count)
        count += len(texts)
    return count


class _Paper:
    """A terminal that lines are written to, with a style where it has any."""

    def __init__(self, stream: TextIO, width: int) -> None:
        self.width = width
        self._stream = stream
        self._has_styles = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        self.has_lines = (stream.encoding or "utf-8").lower().replace("-", "") in ("utf8", "utf16", "utf32")

    def write(self, line: str, style: str = "") -> None:
        line = line.rstrip()
        self._stream.write(f"{style}{line}{_PLAIN}\n" if style and self._has_styles else line + "\n")

    def rule(self, width: int, title: str = "") -> None:
        self.write(title.ljust(width, "─" if self.has_lines else "-"), _DIM)


def _write_header(paper: _Paper, shape: Sequence[Column], widths: Sequence[int]) -> None:
    broken = [break_text(column.name, width) for column, width in zip(shape, widths, strict=True)]
    tallest = max(map(len, broken))
    raised = [[""] * (tallest - len(lines)) + lines for lines in broken]
    for line in zip(*raised, strict=True):
        paper.write(_line(line, shape, widths), _BOLD)
    paper.rule(sum(widths) + _GAP * (len(widths) - 1))


def _write_beside(
    paper: _Paper, shape: Sequence[Column], texts: _Rows, widths: Sequence[int], *, is_first: bool
) -> None:
    # A blank line keeps rows apart that have many lines.
    is_tall = any(column.is_prose and column.cells > width for column, width in zip(shape, widths, strict=True))
    for number, row in enumerate(texts):
        if is_tall and not (is_first and number == 0):
            paper.write("")
        broken = [break_text(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*broken, fillvalue=""):
            paper.write(_line(line, shape, widths))


def _write_below(paper: _Paper, shape: Sequence[Column], texts: _Rows, count: int) -> None:
    names = min(max(text_width(column.name) for column in shape), paper.width // 2)
    widths = (names, max(paper.width - names - _GAP, 2))
    pair = [replace(column, is_numeric=False) for column in (shape[0], shape[0])]
    for number, row in enumerate(texts, start=count + 1):
        paper.rule(paper.width, f"row {number} ")
        for column, cell in zip(shape, row, strict=True):
            broken = break_text(column.name, widths[0]), break_text(cell, widths[1])
            for line in zip_longest(*broken, fillvalue=""):
                paper.write(_line(line, pair, widths))


def _chunks(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[tuple[_Rows, list[Column]]]:
    """Yield some rows' cells at a time, with the columns described by them; once at least, also without a row."""
    names = [one_line(column) for column in columns]
    source = iter(rows)
    is_first = True
    while True:
        values, texts = _take(source, columns)
        if not texts and not is_first:
            return
        is_first = False
        yield texts, [_describe(name, index, values, texts) for index, name in enumerate(names)]


def _take(source: Iterator[Sequence[Any]], columns: Sequence[str]) -> tuple[list[Sequence[Any]], _Rows]:
    values: list[Sequence[Any]] = []
    texts: _Rows = []
    size = 0
    for row in source:
        cells = [shown(value, column) for value, column in zip(row, columns, strict=True)]
        values.append(row)
        texts.append(cells)
        size += sum(map(len, cells))
        if len(texts) >= CHUNK_ROWS or size >= CHUNK_CHARACTERS:
            break
    return values, texts


def _describe(name: str, index: int, values: Sequence[Sequence[Any]], texts: _Rows) -> Column:
    return Column(
        name=name,
        is_numeric=all_numbers(row[index] for row in values),
        cells=max((text_width(row[index]) for row in texts), default=0),
    )
