"""The front of a report: its head, the executive summary and the models that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from db.report_queries import COSTS
from db.report_scope import Scope, moment
from report.document.evidence import Choices, Pairs, Speeds, figure
from report.document.facts import PLACES, SPEED, Facts
from report.document.over_time import change_figure
from report.document.parts import Block, Bullets, Cell, Figure, Paragraph, Section, Table, Text
from report.document.performance import MOST_ROWS, best_at, key_findings, measured
from report.document.prompting import Gains, gain_words, improvements, strategy_title

_TASKS = {"text": "Text Generation Models", "vision": "Vision-Language Models", "speech": "Speech Recognition"}
_BACKENDS = {"mps": "MPS (Metal Performance Shaders)", "cuda": "CUDA", "cpu": "the CPU"}
_KEY = ("first_run_id", "last_run_id")
_MOST_NAMES = 6


def head(facts: Facts, scope: Scope, made_at: datetime) -> tuple[tuple[str, str], ...]:
    """Return the lines above all: date, hardware, platform, backend, machines, span and runs, as they are stored."""
    rows = facts.ours or facts.environments
    lines = [("Date", f"{made_at:%B} {made_at.day}, {made_at.year}")]
    if rows:
        newest = rows[::-1]
        lines += [
            ("Hardware", _names(row["device_name"] for row in newest)),
            ("Platform", _names(row["os_build"] for row in newest)),
            ("Backend", _names(_backend(row) for row in newest)),
            ("Machines", _names(row["machine"] for row in newest)),
            ("Span", f"{_first(rows)} to {_last(rows)} (UTC)"),
        ]
    asked = _scope_words(scope)
    return (*lines, ("Limited to", asked)) if asked else tuple(lines)


def summary_section(
    facts: Facts, gains: Gains, pairs: Pairs, speeds: Speeds, changes: list[dict[str, Any]], choices: Choices
) -> Section:
    """Return the executive summary: what was measured, and the first finding of each chapter."""
    items: list[Text] = [_what(facts, choices)]
    for task in facts.tasks:
        items += key_findings(task, facts, measured(facts, task), speeds, pairs)[:1]
    items += best_at("text", facts, pairs)[:1]
    for metric_gain in improvements(facts, gains)[:1]:
        row = metric_gain[0]
        items.append((f"{strategy_title(row['strategy'])} gains ", *gain_words(*metric_gain), "."))
    items += _changed(changes)
    first, rest = items[0], items[1:6]
    return Section("summary", "Executive Summary", 2, (Paragraph(first), *((Bullets(tuple(rest)),) if rest else ())))


def models_sections(facts: Facts, not_measured: Mapping[str, Text], tasks: Mapping[str, str]) -> list[Section]:
    """Return the models by task, with the size of their weights and the memory that they took."""
    sections = [Section("models", "Models Analysed", 2, ())]
    for task, title in _TASKS.items():
        rows: list[tuple[Cell, ...]] = [
            (
                each.label,
                figure(each.run, "weights_bytes", SPEED),
                figure(each.run, "memory_bytes", SPEED),
            )
            for each in sorted(measured(facts, task), key=lambda each: each.label)
        ]
        absent = [text for name, text in not_measured.items() if tasks.get(name) == task]
        blocks: list[Block] = []
        if rows:
            left = len(rows) - MOST_ROWS
            caption = title + (f" ({left} more in the SQL)" if left > 0 else "")
            blocks.append(Table(caption, ("Model", "Weights", "Peak memory"), tuple(rows[:MOST_ROWS]), (SPEED,)))
        if absent:
            blocks.append(Bullets(tuple(absent[:MOST_ROWS])))
        if blocks:
            sections.append(Section(f"models-{task}", title, 3, tuple(blocks)))
    return sections


def _what(facts: Facts, choices: Choices) -> Text:
    row = (facts.ours or facts.environments)[0]
    runs = figure(row, "all_runs", PLACES, key=_KEY, unit="count")
    disturbed = figure(row, "all_disturbed_runs", PLACES, key=_KEY, unit="count")
    parts: list[str | Figure] = ["This report is about ", *_models(facts, choices), ": "]
    parts += [*((runs,) if runs else ()), " runs, of which ", *((disturbed,) if disturbed else ())]
    return (*parts, " were disturbed and count for no speed.")


def _models(facts: Facts, choices: Choices) -> Text:
    newest = {task: facts.newest_by_model(task) for task in facts.tasks}
    every = [row for rows in newest.values() for row in rows]
    if not every:
        measures_itself = any(row["source"] == COSTS for row in facts.environments)
        return ("what benchbeat itself costs" if measures_itself else "no model of our own",)
    parts: list[str | Figure] = [
        choices.figure("models", every, "models"),
        f" {'model' if len(every) == 1 else 'models'} (",
    ]
    for task, rows in newest.items():
        parts += [choices.figure(f"{task} models", rows, "models"), f" {task}, "]
    return (*parts[:-1], str(parts[-1]).rstrip(", ") + ")")


def _changed(changes: list[dict[str, Any]]) -> list[Text]:
    slower = [row for row in changes if row["state"] == "confirmed" and row["ratio"] > 1]
    if not slower:
        return []
    row = slower[0]
    value = change_figure(row)
    since = str(row["changed_at"])[:10]
    return [
        (f"{row['model']} {row['precision']} takes ", *((value,) if value else ()), f" times as long since {since}.")
    ]


def _backend(row: Mapping[str, Any]) -> str:
    return f"PyTorch {row['torch_version']} with {_BACKENDS.get(row['device'], row['device'])}"


def _names(values: Any) -> str:
    names = list(dict.fromkeys(str(value) for value in values if value))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more if names else "not stored"


def _first(rows: list[dict[str, Any]]) -> str:
    return str(min(row["first_run_at"] for row in rows))[:16]


def _last(rows: list[dict[str, Any]]) -> str:
    return str(max(row["last_run_at"] for row in rows))[:16]


def _scope_words(scope: Scope) -> str:
    words = []
    if scope.since is not None:
        words.append(f"since {moment(scope.since)[:16]}")
    if scope.until is not None:
        words.append(f"until {moment(scope.until)[:16]}")
    for name, values in (("batch", scope.batches), ("machine", scope.machines), ("model", scope.models)):
        if values:
            words.append(f"{name} {', '.join(map(str, values))}")
    return "; ".join(words)
