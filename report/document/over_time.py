"""Change over time: what became slower or faster, where an environment changed, and what became of the nights."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

from db import report_queries as queries
from report.charts.data import Calendar, CalendarDay, EnvironmentMark, HistoryLine, LevelChangeMark, LinePoint
from report.document.evidence import Evidence, Row, figure, latency
from report.document.facts import Facts
from report.document.parts import Block, Bullets, Cell, Chart, Figure, Paragraph, Section, Table, Text
from report.document.performance import measured

MOST_CHANGES, MOST_LINES, MOST_ENVIRONMENTS, MOST_NIGHTS, LISTED_RUNS = 20, 6, 20, 14, 10
CHANGES = "changes"
_VERSIONS = {
    "os_build": "",
    "torch_version": "torch ",
    "transformers_version": "transformers ",
    "benchbeat_version": "benchbeat ",
}


def read_changes(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the changes of level that stand, the newest first."""
    return evidence.ask(CHANGES, queries.changes(evidence.scope))


def change_figure(row: Row) -> Figure | None:
    """Return by what a level changed, as a ratio with its interval."""
    known = row["ratio_low"] is not None and row["ratio_high"] is not None
    more = {"low": row["ratio_low"], "high": row["ratio_high"], "interval": "95 %, ratio of levels"} if known else {}
    runs = (row["last_run_id"], row["first_run_id"])
    return figure(row, "ratio", CHANGES, key=("change_id",), unit="ratio", run_ids=runs, **more)


def time_sections(evidence: Evidence, facts: Facts, changes: list[dict[str, Any]]) -> list[Section]:
    """Return the chapter on change over time."""
    blocks: list[Block] = [_changes(changes), *_environments(facts)]
    blocks += _lines(evidence, facts, changes)
    sections = [Section("time", "Change Over Time", 2, tuple(blocks))]
    if nights := _nights(evidence):
        sections.append(Section("nights", "Scheduled nights", 3, tuple(nights)))
    return sections


def _changes(changes: list[dict[str, Any]]) -> Block:
    if not changes:
        return Paragraph(
            ("No change of a speed's level is confirmed or suspected. `benchbeat regressions` looks for more.",)
        )
    rows: list[tuple[Cell, ...]] = []
    for row in changes[:MOST_CHANGES]:
        what = f"{row['model']} {row['precision']}, {row['workload']}"
        before = figure(row, "level_before", CHANGES, key=("change_id",), unit="s", run_ids=(row["last_run_id"],))
        after = figure(row, "level_after", CHANGES, key=("change_id",), unit="s", run_ids=(row["first_run_id"],))
        word = "slower" if row["ratio"] > 1 else "faster"
        rows.append(
            (str(row["changed_at"])[:16], what, row["machine"], before, after, change_figure(row), word, row["state"])
        )
    left = len(changes) - MOST_CHANGES
    caption = "Changes of level" + (f" (the last {MOST_CHANGES}; {left} more in the SQL)" if left > 0 else "")
    columns = ("Since", "What", "Machine", "Before", "After", "Ratio", "Now", "State")
    return Table(caption, columns, tuple(rows), (CHANGES,))


def _environments(facts: Facts) -> list[Block]:
    items: list[Text] = []
    for machine, marks in environment_marks(facts).items():
        items += [(f"{mark.at:%Y-%m-%d} on {machine}: {mark.text}.",) for mark in marks]
    if not items:
        return []
    return [Paragraph(("What was new in an environment:",)), Bullets(tuple(items[-MOST_ENVIRONMENTS:]))]


def environment_marks(facts: Facts) -> Mapping[str, list[EnvironmentMark]]:
    """Return for each machine the first runs in another environment, with what is new in it."""
    before: dict[str, Row] = {}
    found: dict[str, list[EnvironmentMark]] = {}
    for row in facts.ours:
        last = before.get(row["machine"])
        if last is not None:
            news = [f"{word}{last[name]} -> {row[name]}" for name, word in _VERSIONS.items() if last[name] != row[name]]
            if news:
                mark = EnvironmentMark(as_time(row["first_run_at"]), ", ".join(news))
                found.setdefault(row["machine"], []).append(mark)
        before[row["machine"]] = row
    return found


def as_time(text: str) -> datetime:
    """Return a point in time that a view gave."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _lines(evidence: Evidence, facts: Facts, changes: list[dict[str, Any]]) -> list[Block]:
    """Return lines of the most telling series.

    Those whose level changed last, then those of the runs that the tables of speed show, the fastest first.
    """
    shown = [row.run for row in measured(facts, "text") if row.run["new_tokens"] is not None]
    chosen: dict[str, Row] = {}
    for each in (*(row for row in changes if row["state"] == "confirmed"), *shown):
        chosen.setdefault(each["series"], each)
    marks = environment_marks(facts)
    found = []
    for number, (series, row) in enumerate(list(chosen.items())[:MOST_LINES], start=1):
        own = [change for change in changes if change["series"] == series]
        chart = _line(evidence, f"line-{number}", series, row, own, marks.get(row["machine"], []))
        if chart is not None:
            found.append(chart)
    return list(found)


def _line(
    evidence: Evidence, source: str, series: str, row: Row, changes: list[dict[str, Any]], marks: list[EnvironmentMark]
) -> Chart | None:
    runs = evidence.ask(source, queries.line(evidence.scope, series))
    if len(runs) < 2:
        return None
    points = tuple(
        LinePoint(
            as_time(run["started_at"]),
            run["latency_seconds"],
            run["latency_low_seconds"],
            run["latency_high_seconds"],
            run["contaminated"],
        )
        for run in reversed(runs)
    )
    data = HistoryLine("s", points, tuple(map(_mark, changes)), tuple(m for m in marks if points[0].at <= m.at))
    title = f"{row['model']} {row['precision']}, {row['workload']}, {row['prompt_tokens']} + {row['new_tokens']} tokens"
    title = f"Latency of {title} on {row['machine']}"
    table = _line_table(title, source, runs)
    return Chart(
        title, "The runs of one series over time, with changes of level and of the environment marked.", data, table
    )


def _line_table(title: str, source: str, runs: list[dict[str, Any]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for run in runs[:LISTED_RUNS]:
        value = latency(run | {"items": None, "iterations": None}, source)
        rows.append((str(run["started_at"])[:16], value, "disturbed" if run["contaminated"] else ""))
    caption = f"{title}: the last {len(rows)} runs"
    return Table(caption, ("Begun (UTC)", "Latency", "Note"), tuple(rows), (source,))


def _mark(row: Row) -> LevelChangeMark:
    state: Literal["confirmed", "suspected"] = "confirmed" if row["state"] == "confirmed" else "suspected"
    return LevelChangeMark(as_time(row["changed_at"]), row["ratio"], state, is_worse=row["ratio"] > 1)


def _nights(evidence: Evidence) -> list[Block]:
    nights = evidence.ask("nights", queries.nights(evidence.scope))
    if not nights:
        return []
    disturbed = {row["day"]: row for row in evidence.ask("disturbed", queries.disturbed_nights(evidence.scope))}
    days = tuple(
        CalendarDay(
            date.fromisoformat(row["day"]),
            row["done"],
            row["failed"],
            disturbed[row["day"]]["disturbed_runs"] if row["day"] in disturbed else 0,
        )
        for row in reversed(nights)
    )
    rows: list[tuple[Cell, ...]] = []
    for row in nights[:MOST_NIGHTS]:
        figures = [figure(row, name, "nights", key=("day",), unit="count") for name in ("done", "failed", "not_run")]
        seen = disturbed.get(row["day"])
        marked = None if seen is None else figure(seen, "disturbed_runs", "disturbed", key=("day",), unit="count")
        rows.append((row["day"], *figures, marked))
    columns = ("Day (UTC)", "Jobs done", "Jobs failed", "Sweeps not run", "Disturbed runs")
    table = Table(f"The last {len(rows)} days with a sweep", columns, tuple(rows), ("nights", "disturbed"))
    description = "Jobs by their end, on each day on which a sweep was due."
    return [Chart("Calendar of nightly sweeps", description, Calendar(days), table)]
