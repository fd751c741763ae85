"""How wide the columns of a table become, and where a text is broken to fit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: rows that are looked at to decide where folding costs least
_LOOKED_AT = 200
#: a text longer than this is prose, which is read well in columns of this width, and badly below the second one
_PROSE = 40
_PROSE_WIDTH = 24
#: texts are broken after these; a piece longer than the width is cut anywhere
_PIECE = re.compile(r"(?:(?<!\w)-(?=\d)|[^\s_\-/,;])*[\s_\-/,;]?")
_LONGEST_PIECE = 16
#: what is left of a header that is cut in the middle of a word
_CUT_WIDTH = 6
#: as how many lines more such a cut counts
_CUT_COSTS = 4
_MOST_HEADER_LINES = 5


@dataclass(frozen=True)
class Column:
    """A column of a table, as far as its layout goes."""

    #: its header
    name: str
    is_numeric: bool
    #: width of the widest cell, in characters of the terminal
    cells: int

    @property
    def is_prose(self) -> bool:
        """Whether its cells are sentences, not names."""
        return not self.is_numeric and self.cells > _PROSE


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, gap: int) -> list[int] | None:
    """Return the columns' widths, or None where they don't fit into `width`.

    Headers are broken after underscores into as few lines as will do; if that is not enough, texts are folded,
    and headers cut within words, where it makes the table least longer.
    """
    room = width - gap * (len(columns) - 1)
    for lines in range(1, _MOST_HEADER_LINES + 1):
        headers = [_header_width(column.name, lines) for column in columns]
        if sum(map(_comfortable, columns, headers)) <= room:
            break
    widths = [max(column.cells, header) for column, header in zip(columns, headers, strict=True)]
    rows = rows[:_LOOKED_AT]
    _fold(columns, rows, widths, headers, room)
    if sum(widths) > room:
        return None
    _widen(columns, rows, widths, room)
    return widths


def fits(columns: Sequence[Column], width: int, gap: int) -> bool:
    """Return whether the columns fit into `width` with nothing folded but prose, and no header cut within a word."""
    needed = (
        max(
            min(column.cells, _PROSE_WIDTH) if column.is_prose else column.cells,
            _header_width(column.name, _MOST_HEADER_LINES),
        )
        for column in columns
    )
    return sum(needed) + gap * (len(columns) - 1) <= width


def text_width(text: str) -> int:
    """Return how many characters of a terminal a text takes (an ideogram takes two)."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def break_text(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width`, after spaces and punctuation where that goes."""
    if text_width(text) <= width:
        return [text]
    lines = [""]
    for piece in _pieces(text):
        if text_width(lines[-1] + piece.rstrip()) <= width:
            lines[-1] += piece
        else:
            lines += _cut(piece, width)
    return [line.rstrip() for line in lines if line.strip()]


def _pieces(text: str) -> list[str]:
    return [piece for piece in _PIECE.findall(text) if piece]


def _cut(piece: str, width: int) -> list[str]:
    if text_width(piece.rstrip()) <= width:
        return [piece]
    from rich.cells import chop_cells

    return chop_cells(piece, max(width, 2))


def _comfortable(column: Column, header: int) -> int:
    return max(min(column.cells, _PROSE) if column.is_prose else column.cells, header)


def _header_width(name: str, lines: int) -> int:
    """Return the least width at which a name, broken after underscores, takes at most so many lines."""
    narrowest = max(map(text_width, _pieces(name)), default=0)
    widest = text_width(name)
    return next((width for width in range(narrowest, widest) if len(break_text(name, width)) <= lines), widest)


def _fold(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], widths: list[int], headers: Sequence[int], room: int
) -> None:
    """Narrow columns, each time the one that adds the fewest lines for a character won."""
    heights = [[1] * len(rows) for _ in columns]
    while (missing := sum(widths) - room) > 0:
        tallest = [max(row) for row in zip(*heights, strict=True)]
        best: tuple[float, int, int, list[int]] | None = None
        for index, column in enumerate(columns):
            if column.is_numeric:
                width, height = max(column.cells, _CUT_WIDTH, widths[index] - missing), heights[index]
                added = _CUT_COSTS
            else:
                cells = [row[index] for row in rows]
                width, height = _narrower(column, cells, widths[index], headers[index])
                added = sum(max(new - old, 0) for new, old in zip(height, tallest, strict=True))
            if width < widths[index]:
                candidate = (added / (widths[index] - width), index, width, height)
                best = candidate if best is None else min(best, candidate)
        if best is None:
            return
        _, index, widths[index], heights[index] = best


def _narrower(column: Column, cells: Sequence[str], width: int, header: int) -> tuple[int, list[int]]:
    """Return the next useful width below `width`, with each cell's lines at it; `width` where there is none."""
    if column.is_prose:
        target = max(width * 6 // 7, _PROSE_WIDTH, header)
    else:
        longest = max((_longest_piece(cell) for cell in cells), default=0)
        target = max(width - 1, min(longest, _LONGEST_PIECE), header)
    broken = [break_text(cell, target) for cell in cells]
    return min(width, max(_widest_line(broken), header)), [len(lines) for lines in broken]


def _widest_line(broken: Sequence[Sequence[str]]) -> int:
    return max((text_width(line) for lines in broken for line in lines), default=0)


def _longest_piece(text: str) -> int:
    return max((text_width(piece.rstrip()) for piece in _pieces(text)), default=0)


def _widen(columns: Sequence[Column], rows: Sequence[Sequence[str]], widths: list[int], room: int) -> None:
    """Give what is left over back to the folded columns."""
    for index, column in enumerate(columns):
        if column.is_numeric or widths[index] >= column.cells:
            continue
        wider = min(column.cells, widths[index] + room - sum(widths))
        needed = _widest_line([break_text(row[index], wider) for row in rows])
        widths[index] = wider if column.is_prose else max(widths[index], needed)
