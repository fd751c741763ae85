"""Tables: laid out for the terminal they stand in, plain lines elsewhere."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from report.cells import all_numbers, one_line, shown
from report.layout import Column, break_text, fit, text_width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: rows that are looked at together to find the columns' widths, and the most text in them
CHUNK_ROWS = 1000
CHUNK_CHARACTERS = 4 << 20

_GAP = 2
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
    return _write_rich(columns, rows, stream, width)


def _write_plain(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO) -> int:
    count = 0
    shape: list[Column] = []
    for texts, described in _chunks(columns, rows):
        if not shape:
            shape = described
            widths = [max(column.cells, text_width(column.name)) for column in shape]
            stream.write(_plain_line([column.name for column in shape], shape, widths))
            stream.write(_plain_line(["-" * width for width in widths], shape, widths))
        for row in texts:
            stream.write(_plain_line(row, shape, widths))
        count += len(texts)
    return count


def _plain_line(cells: Sequence[str], shape: Sequence[Column], widths: Sequence[int]) -> str:
    padded = (
        " " * (width - text_width(cell)) + cell if column.is_numeric else cell + " " * (width - text_width(cell))
        for cell, column, width in zip(cells, shape, widths, strict=True)
    )
    return (" " * _GAP).join(padded).rstrip() + "\n"


def _write_rich(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO, width: int | None) -> int:
    from rich.console import Console

    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    count = 0
    widths: list[int] | None = None
    shape: list[Column] = []
    for texts, described in _chunks(columns, rows):
        if not texts:
            console.print("no rows", style="dim")
            break
        is_first = not shape
        if is_first:
            shape = described
            widths = fit(shape, texts, console.width, _GAP)
            if widths is None:
                console.print(_notice(len(shape), console.width), style="dim")
        if widths is not None:
            console.print(_horizontal(shape, texts, widths, with_header=is_first))
        else:
            _write_vertical(console, shape, texts, count)
        count += len(texts)
    return count


def _notice(columns: int, width: int) -> str:
    return f"{columns} columns don't fit into {width} characters; each row is a block of its own."


def _horizontal(shape: Sequence[Column], texts: _Rows, widths: Sequence[int], *, with_header: bool) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), show_header=with_header)
    # A blank line keeps rows apart that have many lines.
    table.leading = any(column.is_prose and column.cells > width for column, width in zip(shape, widths, strict=True))
    for column, width in zip(shape, widths, strict=True):
        table.add_column(
            Text("\n".join(break_text(column.name, width))),
            width=width,
            justify="right" if column.is_numeric else "left",
            no_wrap=True,
            header_style="bold",
        )
    for row in texts:
        table.add_row(*(Text("\n".join(break_text(cell, width))) for cell, width in zip(row, widths, strict=True)))
    return table


def _write_vertical(console: "Console", shape: Sequence[Column], texts: _Rows, count: int) -> None:
    from rich.rule import Rule
    from rich.table import Table
    from rich.text import Text

    for number, row in enumerate(texts, start=count + 1):
        console.print(Rule(f"row {number}", align="left", style="dim"))
        grid = Table.grid(padding=(0, _GAP))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for column, cell in zip(shape, row, strict=True):
            grid.add_row(Text(column.name), Text(cell))
        console.print(grid)


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
