"""Benchmark results by kind of model: a table of speed, memory and quality each, and what stands out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from db.report_queries import token_gaps
from report.charts.data import Bar, Bars, Distribution, Spread
from report.document.evidence import Evidence, Pairs, Row, Speeds, accuracy, figure, latency
from report.document.facts import ANSWERS, SPEED, Facts, place_of, use_of
from report.document.parts import Block, Bullets, Cell, Chart, Figure, Paragraph, Section, Table, Text

#: rows of a table, bars of a picture, models whose gaps between tokens are drawn
MOST_ROWS, MOST_BARS, MOST_SPREADS = 40, 24, 8
#: machines that findings are told of, and workloads whose best model is looked for
MOST_PLACES, MOST_LEADERS = 3, 60
_MOST_GAPS = 1500
_TITLES = {
    "text": "Text generation performance",
    "vision": "Vision model performance",
    "speech": "Speech recognition performance",
}


@dataclass(frozen=True)
class Measured:
    """A model in one precision at one place: the run of its speed, and its best answers by workload."""

    label: str
    run: dict[str, Any]
    answers: tuple[dict[str, Any], ...]

    @property
    def best(self) -> dict[str, Any] | None:
        """The best of its answers."""
        return max(self.answers, key=lambda row: (row["accuracy"], row["run_id"]), default=None)


def measured(facts: Facts, task: str) -> list[Measured]:
    """Return what was measured of a task's models, the fastest first."""
    best = facts.best_by_precision
    found = []
    for run in facts.representative(task):
        same = ("model", "precision", "machine", "device")
        own = [row for row in best if all(row[name] == run[name] for name in same)]
        found.append(Measured(facts.label(run), run, tuple(sorted(own, key=lambda row: row["workload"]))))
    return sorted(found, key=_speed, reverse=True)


def lead_couples(facts: Facts) -> list[tuple[int, int]]:
    """Return for each workload and place the runs of the second best and the best model."""
    return [(second["run_id"], first["run_id"]) for first, second in leaders(facts)]


def leaders(facts: Facts) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return for each workload and place the best run of the best model and of the second best one."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in facts.best_by_model:
        groups.setdefault((row["task"], row["workload"], *place_of(row)), []).append(row)
    found = []
    for key in sorted(groups):
        ordered = sorted(groups[key], key=lambda row: (row["accuracy"], row["run_id"]), reverse=True)
        if len(ordered) > 1:
            found.append((ordered[0], ordered[1]))
    return found[:MOST_LEADERS]


def performance_sections(evidence: Evidence, facts: Facts, pairs: Pairs, speeds: Speeds) -> list[Section]:
    """Return the chapter of results."""
    sections = [Section("results", "Benchmark Results and Analysis", 2, (Paragraph((_HOW,)),))]
    for task in facts.tasks:
        rows = measured(facts, task)
        if not rows:
            continue
        blocks: list[Block] = [_table(task, facts, rows, speeds)]
        if findings := key_findings(task, facts, rows, speeds, pairs):
            blocks += [Paragraph(("Key findings:",)), Bullets(tuple(findings))]
        blocks += _speed_chart(task, rows, speeds)
        if task == "text":
            blocks += _gaps(evidence, rows)
        sections.append(Section(f"{task}-performance", _TITLES[task], 3, tuple(blocks)))
    return sections


_HOW = (
    "Speed and memory are of the last undisturbed run of the plainest kind: a workload of fixed lengths where there is "
    "one, a sequence at a time. Quality is of each model's best settings. Machines and devices are never mixed."
)


def _table(task: str, facts: Facts, rows: list[Measured], speeds: Speeds) -> Table:
    columns, cells = {"text": _text_table, "vision": _vision_table, "speech": _speech_table}[task](facts, rows, speeds)
    left = len(rows) - MOST_ROWS
    caption = _TITLES[task] + (f" (the fastest {MOST_ROWS}; {left} more in the SQL)" if left > 0 else "")
    return Table(caption, columns, tuple(cells[:MOST_ROWS]), (SPEED, ANSWERS))


_Cells = tuple[tuple[str, ...], list[tuple[Cell, ...]]]


def _text_table(facts: Facts, rows: list[Measured], speeds: Speeds) -> _Cells:
    columns = ("Model", "Measured on", "Speed", "Time to first token", "Memory", "Best use case", "Accuracy there",
               "Quality there")  # fmt: skip
    cells: list[tuple[Cell, ...]] = []
    for each in rows[:MOST_ROWS]:
        use = best_use(facts, each)
        cells.append(
            (
                each.label,
                workload_words(each.run),
                speeds.figure(each.run, SPEED),
                figure(each.run, "ttft_seconds", SPEED, n=each.run["iterations"]),
                figure(each.run, "memory_bytes", SPEED),
                use_of(use["workload"]) if use else None,
                accuracy(use, ANSWERS) if use else None,
                figure(use, "quality", ANSWERS, n=use["items"]) if use else None,
            )
        )
    return columns, cells


def _vision_table(facts: Facts, rows: list[Measured], speeds: Speeds) -> _Cells:
    columns = ("Model", "Measured on", "Latency", "Memory", "Best use case", "Accuracy there")
    cells: list[tuple[Cell, ...]] = []
    for each in rows[:MOST_ROWS]:
        use = best_use(facts, each)
        cells.append(
            (
                each.label,
                workload_words(each.run),
                latency(each.run, SPEED),
                figure(each.run, "memory_bytes", SPEED),
                use_of(use["workload"]) if use else None,
                accuracy(use, ANSWERS) if use else None,
            )
        )
    return columns, cells


def _speech_table(facts: Facts, rows: list[Measured], speeds: Speeds) -> _Cells:
    columns = ("Model", "Measured on", "Real-time factor", "Latency", "Memory", "Word error rate")
    cells: list[tuple[Cell, ...]] = []
    for each in rows[:MOST_ROWS]:
        cells.append(
            (
                each.label,
                workload_words(each.run),
                figure(each.run, "real_time_factor", SPEED, n=each.run["items"]),
                latency(each.run, SPEED),
                figure(each.run, "memory_bytes", SPEED),
                figure(each.run, "word_error_rate", SPEED, n=each.run["items"]),
            )
        )
    return columns, cells


def workload_words(run: Row) -> str:
    """Return what a run measured on: `speed, 128 + 64 tokens`."""
    if run["new_tokens"] is None:
        return str(run["workload"])
    batch = f", batch of {run['batch_size']}" if run["batch_size"] != 1 else ""
    return f"{run['workload']}, {run['prompt_tokens']} + {run['new_tokens']} tokens{batch}"


def best_use(facts: Facts, each: Measured) -> dict[str, Any] | None:
    """Return the answers in which a model stands out.

    That is where its accuracy is furthest above the mean of the other models at its place; with no other model where
    it is the best.
    """
    others: dict[str, list[float]] = {}
    for row in facts.best_by_model:
        if place_of(row) == place_of(each.run) and row["model"] != each.run["model"]:
            others.setdefault(row["workload"], []).append(row["accuracy"])

    def lead(row: dict[str, Any]) -> tuple[bool, float, float]:
        beside = others.get(row["workload"], [])
        return bool(beside), row["accuracy"] - (sum(beside) / len(beside) if beside else 0.0), row["accuracy"]

    return max(each.answers, key=lead, default=None)


def key_findings(task: str, facts: Facts, rows: list[Measured], speeds: Speeds, pairs: Pairs) -> list[Text]:
    """Return what stands out: the fastest, the smallest, and who is best at what."""
    found: list[Text] = []
    for place in facts.places[:MOST_PLACES]:
        here = [row for row in rows if place_of(row.run) == place]
        if here:
            found += _fastest(task, here, speeds) + _smallest(here)
    return found + best_at(task, facts, pairs)


def _fastest(task: str, rows: list[Measured], speeds: Speeds) -> list[Text]:
    first = rows[0]
    value = speed_figure(task, first, speeds)
    if value is None:
        return []
    beside = _same_task(rows, first)
    if not beside:
        return [(f"{first.label} reaches ", value, f" on {workload_words(first.run)}.")]
    second = beside[0]
    other = speed_figure(task, second, speeds)
    if other is None:
        return []
    return [
        (f"{first.label} is the fastest with ", value, _tells_apart(value, other), f" {second.label} with ", other, ".")
    ]


def _same_task(rows: list[Measured], first: Measured) -> list[Measured]:
    """Return the others that were measured on the same, other models first: other lengths have other speeds."""
    same = [row for row in rows[1:] if workload_words(row.run) == workload_words(first.run)]
    return sorted(same, key=lambda row: row.run["model"] == first.run["model"])


def _tells_apart(value: Figure, other: Figure) -> str:
    if value.low is None or value.high is None or other.low is None or other.high is None:
        return ", before"
    apart = value.low > other.high or value.high < other.low
    return ", clearly before" if apart else ", which these data can't tell from"


def speed_figure(task: str, each: Measured, speeds: Speeds) -> Figure | None:
    """Return what a model's speed is told by: tokens a second of text, else the time for a picture or clip."""
    return speeds.figure(each.run, SPEED) if task == "text" else latency(each.run, SPEED)


def _smallest(rows: list[Measured]) -> list[Text]:
    known = [row for row in rows if row.run["memory_bytes"] is not None]
    if len(known) < 2:
        return []
    least = min(known, key=lambda row: (row.run["memory_bytes"], row.label))
    value = figure(least.run, "memory_bytes", SPEED)
    return [] if value is None else [(f"{least.label} takes the least memory, ", value, ".")]


def best_at(task: str, facts: Facts, pairs: Pairs) -> list[Text]:
    """Return who is best at each workload, and whether that is shown."""
    found: list[Text] = []
    for first, second in leaders(facts):
        couple = (second["run_id"], first["run_id"])
        gain = pairs.figure(couple)
        share = accuracy(first, ANSWERS)
        if first["task"] != task or gain is None or share is None:
            continue
        where = f" on {facts.place_name(place_of(first))}" if len(facts.places) > 1 else ""
        start = f"For {use_of(first['workload'])}{where} "
        leads, follows = first["model"], second["model"]
        if pairs.is_shown(couple):
            found.append((start, f"{leads} is the best with ", share, f", before {follows} by ", gain, "."))
        elif gain.value > 0:
            lead = f"; its lead over {follows}, "
            found.append((start, f"no best model is shown: {leads} reaches ", share, lead, gain, ", may be chance."))
        else:
            found.append((start, f"no best model is shown: {leads} and {follows} both reach ", share, "."))
    return found[:12]


def _speed_chart(task: str, rows: list[Measured], speeds: Speeds) -> list[Block]:
    # Other lengths have other speeds: of all shapes the one that most were measured on.
    shapes = Counter(workload_words(each.run) for each in rows)
    shape = max(shapes, key=lambda words: (shapes[words], words))
    bars, cells = [], []
    for each in [row for row in rows if workload_words(row.run) == shape][:MOST_BARS]:
        value = speed_figure(task, each, speeds)
        if value is not None:
            bars.append(Bar(each.label, value.value, value.low, value.high))
            cells.append((each.label, workload_words(each.run), value))
    if not bars:
        return []
    unit, title = ("tokens/s", "Tokens per second by model") if task == "text" else ("s", "Latency by model")
    description = f"{title} on {shape} with 95 % intervals, from {bars[0].label} to {bars[-1].label}."
    table = Table(title, ("Model", "Measured on", "Speed" if task == "text" else "Latency"), tuple(cells), (SPEED,))
    return [Chart(title, description, Bars(unit, tuple(bars)), table)]


def _gaps(evidence: Evidence, rows: list[Measured]) -> Iterable[Block]:
    shown = [row for row in rows if row.run["inter_token_p50_seconds"] is not None][:MOST_SPREADS]
    gaps: dict[int, list[float]] = {}
    for call in evidence.ask("token-gaps", token_gaps([row.run["run_id"] for row in shown])) if shown else ():
        if len(gaps.setdefault(call["run_id"], [])) < _MOST_GAPS:
            gaps[call["run_id"]] += [float(gap) for gap in json.loads(call["inter_token_seconds"])]
    spreads = [
        Spread(row.label, tuple(gaps[row.run["run_id"]][:_MOST_GAPS])) for row in shown if gaps.get(row.run["run_id"])
    ]
    if not spreads:
        return []
    cells = tuple(
        (
            row.label,
            figure(row.run, "inter_token_p50_seconds", SPEED, n=row.run["iterations"]),
            figure(row.run, "inter_token_p99_seconds", SPEED, n=row.run["iterations"]),
        )
        for row in shown
        if gaps.get(row.run["run_id"])
    )
    title = "Time between tokens"
    table = Table(title, ("Model", "Median", "99th percentile"), cells, (SPEED, "token-gaps"))
    description = "How the raw times between one token and the next are spread, by model."
    return [Chart(title, description, Distribution("s", tuple(spreads)), table)]


def _speed(each: Measured) -> tuple[float, ...]:
    rate = each.run["decode_tokens_per_second"] if each.run["task"] == "text" else None
    return (rate or 0.0, -(each.run["latency_seconds"] or 0.0))
