"""What a report is made of: sections of text, tables and pictures, and figures that say where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from report.charts.data import ChartData


@dataclass(frozen=True)
class Source:
    """The SQL that gave figures: `benchbeat sql` runs it unchanged, on SQLite and on PostgreSQL."""

    #: unique in a document, a word for links: `text-speed`
    id: str
    sql: str


@dataclass(frozen=True)
class Figure:
    """A number with all that is needed to believe it.

    Running the SQL of `source` gives exactly one row whose columns equal `key`, and `value` is in its `column`.
    """

    value: float | int
    #: `tokens/s`, `s`, `bytes`, `share`, `points` (a difference of shares), `ratio`, `count`, or a word of its own
    unit: str
    source: str
    column: str
    key: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    #: ends of the interval
    low: float | None = None
    high: float | None = None
    #: what the interval is, in words: `95 %, Wilson`
    interval: str | None = None
    #: items, iterations or pairs that it stands on
    n: int | None = None
    #: runs that it stands on, the last ones where they are many
    run_ids: tuple[int, ...] = ()
    #: a difference is written with its sign
    is_difference: bool = False


#: None is what was not measured
Cell = str | Figure | None
#: a text in which figures can be traced
Text = tuple[str | Figure, ...]


@dataclass(frozen=True)
class Paragraph:
    """A sentence or more."""

    text: Text


@dataclass(frozen=True)
class Bullets:
    """Findings, or recommendations: each of one sentence, with its evidence where it has any."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class Code:
    """Text as it stands, a prompt's template say."""

    text: str
    caption: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows of cells, in the order of the columns."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    #: ids of the sources of its figures
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """A picture, with what it shows in words and its table, which stands beneath it folded."""

    title: str
    #: for who can't see it: one or two sentences that say what there is to see
    description: str
    data: ChartData
    table: Table


Block = Paragraph | Bullets | Code | Table | Chart


@dataclass(frozen=True)
class Section:
    """A part with a heading; `level` is 2 for a chapter and 3 below it."""

    id: str
    title: str
    level: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A report."""

    title: str
    made_at: datetime
    #: name and value: Date, Hardware, Platform, Backend, Runs ...
    head: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    sources: tuple[Source, ...]
    #: a word above all where the history is not of real measurements
    warning: str | None = None
