"""What benchbeat itself costs, where `make bench` was recorded: a table, and how the figures grow with a size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from db import report_queries as queries
from report.charts.data import Growth, GrowthLine
from report.document.evidence import Evidence, Row, figure
from report.document.facts import Facts
from report.document.parts import Cell, Chart, Figure, Paragraph, Section, Table

SOURCE = "costs"
#: rows of the table, pictures, and lines that a picture can tell apart
MOST_ROWS, MOST_CHARTS, MOST_LINES = 200, 12, 5
#: columns in seconds, with what holds the same in the unit of the table
_TOLD = {"latency_seconds": "figure", "beside_seconds": "beside"}
_DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_RATIO = "95 %, of the median ratio, by order statistics"
_HOW = (
    "Each figure was measured beside the bare thing in one run, in alternation; its ratio is the median of the pairs' "
    "ratios. These are the last ones that `make bench` recorded."
)


def cost_sections(evidence: Evidence, facts: Facts) -> list[Section]:
    """Return the chapter on what benchbeat costs; none where nothing of that was recorded."""
    if not any(row["source"] == queries.COSTS for row in facts.environments):
        return []
    rows = evidence.ask(SOURCE, queries.costs(evidence.scope))
    if not rows:
        return []
    sections = [Section("costs", "What benchbeat Costs", 2, (Paragraph((_HOW,)), _table(rows)))]
    if charts := growth_charts(rows):
        sections.append(Section("growth", "Growth", 3, tuple(charts)))
    return sections


def _table(rows: Sequence[Row]) -> Table:
    several = len({row["machine"] for row in rows}) > 1
    cells: list[tuple[Cell, ...]] = []
    for row in rows[:MOST_ROWS]:
        where = (str(row["machine"]),) if several else ()
        cells.append(
            (
                *where,
                str(row["workload"]),
                figure(row, "items", SOURCE),
                _own_unit(row, "figure"),
                _own_unit(row, "beside"),
                _ratio(row),
                {1: "met", 0: "missed"}.get(row["goal_met"]),
            )
        )
    left = len(rows) - MOST_ROWS
    caption = "What benchbeat costs" + (f" (the first {MOST_ROWS}; {left} more in the SQL)" if left > 0 else "")
    columns = (*(("Machine",) if several else ()), "What", "n", "Median", "The bare thing", "Ratio", "Goal")
    return Table(caption, columns, tuple(cells), (SOURCE,))


def _own_unit(row: Row, column: str) -> Figure | None:
    """Return a figure in the unit in which it was told."""
    return figure(row, column, SOURCE, unit=row["unit"], n=row["iterations"])


def _ratio(row: Row) -> Figure | None:
    low, high = row["ratio_low"], row["ratio_high"]
    both = low is not None and high is not None
    interval = {"low": low, "high": high, "interval": _RATIO} if both else {}
    return figure(row, "ratio", SOURCE, unit="ratio", n=row["iterations"], **interval)


@dataclass(frozen=True)
class _Line:
    """A figure, or what stands beside it, at several sizes."""

    label: str
    what: str
    column: str
    rows: tuple[Row, ...]


#: what was measured, and on which database
_Measured = tuple[str, str]


def growth_charts(rows: Iterable[Row]) -> list[Chart]:
    """Return a picture for each thing, on a machine, that was measured at several sizes; databases share one."""
    groups: dict[tuple[str, str], dict[_Measured, list[Row]]] = {}
    for row in rows:
        if row["items"] and row["latency_seconds"] is not None:
            # "claim-sqlite/claim-from-n-queued-jobs@10000"
            name, _, what = str(row["workload"]).rpartition("@")[0].partition("/")
            stem, _, kind = name.rpartition("-")
            database = _DATABASES.get(kind, "")
            measured = what.replace("-", " "), database
            groups.setdefault((row["machine"], stem if database else name), {}).setdefault(measured, []).append(row)
    several = len({machine for machine, _ in groups}) > 1
    found = []
    for (machine, name), figures in groups.items():
        lines = _lines(figures)[:MOST_LINES]
        if lines:
            found.append(_chart(f"{name} on {machine}" if several else name, lines))
    return found[:MOST_CHARTS]


def _lines(figures: dict[_Measured, list[Row]]) -> list[_Line]:
    """Return the lines of figures with two sizes or more, each before that of the bare thing beside it."""
    is_one = len({what for what, _ in figures}) == 1
    lines = []
    for (what, database), rows in figures.items():
        ordered = tuple(sorted(rows, key=lambda row: row["items"]))
        name = database if database and is_one else f"{what}{', ' if database else ''}{database}"
        for column, label in zip(_TOLD, (name, f"{name}, bare"), strict=True):
            known = tuple(row for row in ordered if row[column])
            if len({row["items"] for row in known}) > 1:
                lines.append(_Line(label, what, column, known))
    return lines


def _chart(name: str, lines: list[_Line]) -> Chart:
    data = Growth(
        "n",
        "s",
        tuple(GrowthLine(line.label, tuple((row["items"], row[line.column]) for row in line.rows)) for line in lines),
    )
    cells: list[tuple[Cell, ...]] = [
        (
            line.label,
            figure(row, "items", SOURCE),
            _own_unit(row, _TOLD[line.column]),
        )
        for line in lines
        for row in line.rows
    ]
    title = f"Growth of {name}"
    table = Table(title, ("What", "n", "Median"), tuple(cells), (SOURCE,))
    told = "; ".join(_grows(line) for line in lines if line.column == "latency_seconds") or _grows(lines[0])
    description = f"{lines[0].what}: {told}. Both axes are logarithmic: a straight line is a power."
    return Chart(title, description[:1].upper() + description[1:], data, table)


def _grows(line: _Line) -> str:
    first, last = line.rows[0], line.rows[-1]
    times = last[line.column] / first[line.column]
    name = "" if line.label == line.what else f"{line.label} "
    return f"{name}{times:.3g} times as long from n = {first['items']:,} to {last['items']:,}"
