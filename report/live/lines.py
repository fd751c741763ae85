"""Lines of the screen: pieces of text with a tone each, cut to the columns that they have."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size

from report.cells import one_line

#: what a piece of text is: the screen gives each its colour
Tone = Literal["plain", "strong", "faint", "good", "bad", "warning", "running"]
#: a text with its tone
Piece = tuple[str, Tone]


@dataclass(frozen=True)
class Bar:
    """Pieces that belong together."""

    pieces: tuple[Piece, ...]


#: what stands in a column
Cell = Piece | Bar

_DONE, _RUNNING, _LEFT = "━", "┅", "─"


@dataclass(frozen=True)
class Line:
    """A line of a panel."""

    pieces: tuple[Piece, ...]
    #: what it is about, which Enter shows; the lines of one thing have the same
    about: int | None = None


def column(text: str, width: int, tone: Tone = "plain", *, right: bool = False) -> Piece:
    """Return a text, harmless and on one line, in exactly `width` cells; what was cut off ends in an ellipsis."""
    text = one_line(text)
    length = cell_len(text)
    if length > width:
        text = set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else ""
        length = cell_len(text)
    blanks = " " * max(0, width - length)
    return (blanks + text if right else text + blanks), tone


def line(cells: Iterable[Cell], about: int | None = None) -> Line:
    """Return a line with a blank before each column."""
    spaced: list[Piece] = []
    for cell in cells:
        spaced.append((" ", "plain"))
        spaced += cell.pieces if isinstance(cell, Bar) else [cell]
    return Line(tuple(spaced), about)


def bar(parts: Iterable[tuple[float, Tone]], width: int) -> Bar:
    """Return a bar of `width` cells with parts, given as shares of it, in their tones; what is left over is faint."""
    pieces: list[Piece] = []
    used, share_so_far = 0, 0.0
    for share, tone in parts:
        share_so_far += share
        end = min(width, round(share_so_far * width))
        if share > 0 and end == used < width:  # what is there is seen
            end = used + 1
        pieces.append(((_RUNNING if tone == "running" else _DONE) * (end - used), tone))
        used = max(used, end)
    pieces.append((_LEFT * (width - used), "faint"))
    return Bar(tuple(piece for piece in pieces if piece[0]))
