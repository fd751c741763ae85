"""A comparison, printed: speed and memory, then quality."""

from collections.abc import Iterator
from typing import Any

import click

from db.compare import Comparison
from report import compare_by, compare_sides
from report.printing import print_fitting, print_rows, print_text
from report.sections import SETTINGS, Section, is_timed_line
from report.verdicts import confidence, verdict

#: columns for programs: one line for each figure of each run that has a baseline
COLUMNS = (
    *SETTINGS,
    "by",
    "baseline_value",
    "value",
    "metric",
    "baseline",
    "figure",
    "kind",
    "change",
    "low",
    "high",
    "confidence",
    "smallest",
    "n",
    "baseline_runs",
    "runs",
    "p_value",
    "method",
    "spread_from",
    "spread_freedom",
    "verdict",
    "baseline_run_id",
    "run_id",
)


def print_comparison(comparison: Comparison, output: str) -> None:
    """Print a comparison that has lines; json, jsonl and csv have every figure in a line of its own."""
    if output not in ("table", "md"):
        print_rows(COLUMNS, figure_rows(comparison), output)
        return
    is_first = not _print_above(comparison)
    for section in _sections(comparison):
        if not is_first:
            click.echo()
        is_first = False
        print_text(section.title)
        if output == "md":
            click.echo()
        print_fitting(section.columns, section.rows, output, say_equal=True, expendable=section.expendable)
        if output == "md":
            click.echo()
        for sentence in section.below:
            print_text(sentence)
    for note in comparison.notes:
        print_text(note)


def _sections(comparison: Comparison) -> Iterator[Section]:
    speed = [line for line in comparison.lines if is_timed_line(line)]
    quality = [line for line in comparison.lines if line.run.columns["accuracy"] is not None]
    if comparison.by == "side":
        sections = compare_sides.speed_section(speed), compare_sides.quality_section(quality)
    else:
        sections = compare_by.speed_section(comparison, speed), compare_by.quality_section(comparison, quality, speed)
    return (section for section in sections if section is not None)


def figure_rows(comparison: Comparison) -> list[list[Any]]:
    """Return a row of COLUMNS for each figure that is set beside a baseline's."""
    return [
        [
            *(line.run.columns[name] for name in SETTINGS),
            comparison.by,
            line.baseline_value,
            line.value,
            *(change.metric, change.baseline, change.figure, change.kind, change.change, change.low, change.high),
            *(confidence(change), change.smallest, change.n, *change.runs, change.p_value, change.method),
            *(change.basis, change.freedom, verdict(change)),
            *(line.baseline.id, line.run.id),
        ]
        for line in comparison.lines
        for change in line.changes.values()
    ]


def _print_above(comparison: Comparison) -> bool:
    """Print what the sides stand for and what else differs; return whether there was something."""
    for sentence in comparison.heads:
        print_text(sentence)
    told = [f"{each.column}: {each.baseline} -> {each.other}" for each in comparison.differences]
    if comparison.by != "side" and told:
        told = [f"Not only {comparison.by} differs. {'; '.join(told)}"]
    for line in told:
        print_text(line)
    return bool(comparison.heads or told)
