"""Tables on a page: one unit a column, decimals beneath each other."""

from dataclasses import dataclass

from report.charts.quantities import Scale
from report.document.parts import Cell, Figure, Table
from report.page.figures import Figures, FigureView, column_scale

#: a text of so few letters is a mark between numbers: a dash
_MARK = 2
#: a longer one may be broken into lines
_WORD = 14
#: so many rows of a long table are seen at first; where fewer than the second would be hidden, none is
_FIRST_ROWS = 10
_WORTH_HIDING = 4


@dataclass(frozen=True)
class ColumnView:
    """The head of a column."""

    name: str
    #: stands beneath the name; empty where the cells have it, or the name
    unit: str
    is_numeric: bool
    #: whether its texts are to be given room
    is_prose: bool


@dataclass(frozen=True)
class CellView:
    """A cell: a text, or a figure, or nothing where nothing was measured."""

    text: str | None = None
    figure: FigureView | None = None


@dataclass(frozen=True)
class TableView:
    """A table as it is laid out."""

    id: str
    caption: str
    columns: tuple[ColumnView, ...]
    rows: tuple[tuple[CellView, ...], ...]
    #: the rest of a long table, unseen until it is asked for
    more_rows: tuple[tuple[CellView, ...], ...]
    #: what its intervals are
    intervals: tuple[str, ...]
    has_n: bool
    #: address and name
    sources: tuple[tuple[str, str], ...]


def view_table(table: Table, id: str, figures: Figures) -> TableView:
    """Return a table's layout, its figures added to those of the page."""
    cells = [[row[index] for row in table.rows] for index in range(len(table.columns))]
    inside = [[cell for cell in column if isinstance(cell, Figure)] for column in cells]
    scales = [column_scale(column) for column in inside]
    columns = tuple(
        ColumnView(name, _unit(name, scale), bool(column) and _longest(all_cells) <= _MARK, _longest(all_cells) > _WORD)
        for name, scale, column, all_cells in zip(table.columns, scales, inside, cells, strict=True)
    )
    all_figures = [figure for column in inside for figure in column]
    rows = [tuple(_cell(cell, scale, figures) for cell, scale in zip(row, scales, strict=True)) for row in table.rows]
    first = _FIRST_ROWS if len(rows) >= _FIRST_ROWS + _WORTH_HIDING else len(rows)
    return TableView(
        id,
        table.caption,
        columns,
        tuple(rows[:first]),
        tuple(rows[first:]),
        tuple(dict.fromkeys(f.interval for f in all_figures if f.interval)),
        any(figure.n is not None for figure in all_figures),
        tuple(figures.links(table.sources)),
    )


def _unit(name: str, scale: tuple[Scale, int] | None) -> str:
    if scale is None or not scale[0].unit:
        return ""
    unit = scale[0].unit
    return "" if unit.casefold() in name.casefold().replace("(", " ").replace(")", " ").split() else unit


def _longest(cells: list[Cell]) -> int:
    return max((len(cell) for cell in cells if isinstance(cell, str)), default=0)


def _cell(cell: Cell, scale: tuple[Scale, int] | None, figures: Figures) -> CellView:
    match cell:
        case None:
            return CellView()
        case str():
            return CellView(text=cell)
        case Figure():
            return CellView(figure=figures.add(cell, *scale) if scale else figures.add(cell))
