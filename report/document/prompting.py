"""Prompt engineering: what each strategy gains over `direct`, and at which temperature it is best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from db.report_pairs import smallest_shown
from report.charts.data import HeatMap
from report.document.evidence import Couple, Pairs, Row, accuracy
from report.document.facts import (
    ANSWERS,
    BASELINE,
    Facts,
    best_first,
    couples,
    place_of,
    rest_of,
    strategy_pairs,
    use_of,
)
from report.document.parts import Block, Bullets, Cell, Chart, Figure, Paragraph, Section, Table, Text

MOST_GAINS, MOST_MAPS, MOST_TEMPERATURES = 30, 6, 40
#: pairs whose interval takes resampling, and strategies with a part of their own
MOST_RESAMPLED, MOST_STRATEGIES = 40, 12
#: the workload that asks for prose
PROSE = "writing"

_TITLES = {
    "chain_of_thought": "Chain of Thought (CoT)",
    "few_shot": "Few-Shot Learning",
    "role_play": "Role Playing",
    "structured": "Structured Response",
}
#: what is gained beside accuracy, with its word, where it was measured
METRICS = {
    "accuracy": "accuracy",
    "consistency": "consistency",
    "quality": "response quality",
    "readability": "readability",
}

Gains = Mapping[str, Pairs]


def gain_couples(facts: Facts, metric: str) -> list[Couple]:
    """Return the pairs of runs that tell what strategies gain in a metric.

    How well an equation reads says nothing, so quality and readability are those of prose.
    """
    known = [(a, b) for a, b in strategy_pairs(facts) if a[metric] is not None and b[metric] is not None]
    if metric == "accuracy":
        return couples(known)
    is_of_prose = metric != "consistency"
    return couples(pair for pair in known if not is_of_prose or pair[0]["workload"] == PROSE)[:MOST_RESAMPLED]


def temperature_groups(facts: Facts) -> list[list[dict[str, Any]]]:
    """Return runs that differ in their temperature only, the best first."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in facts.answers:
        if row["strategy"] is not None and row["accuracy"] is not None:
            # A run at temperature 0 asks each item once.
            groups[rest_of(row, "temperature", "samples")].append(row)
    found = [_one_a_temperature(group) for group in groups.values() if len({row["temperature"] for row in group}) > 1]
    return sorted(found, key=lambda group: (group[0]["strategy"], group[0]["model"], group[0]["workload"]))


def _one_a_temperature(group: list[dict[str, Any]]) -> list[dict[str, Any]]:
    best: dict[float | None, dict[str, Any]] = {}
    for row in best_first(group):
        best.setdefault(row["temperature"], row)
    return list(best.values())


def temperature_couples(facts: Facts) -> list[Couple]:
    """Return the pairs (runner-up, best) of temperatures."""
    return [(group[1]["run_id"], group[0]["run_id"]) for group in temperature_groups(facts)[:MOST_TEMPERATURES]]


def prompting_sections(facts: Facts, gains: Gains) -> list[Section]:
    """Return the chapter on prompt strategies; nothing where none was measured beside `direct`."""
    pairs = strategy_pairs(facts)
    if not pairs:
        return []
    how = (
        "Each strategy is compared with `direct` on the same items with all else equal: in the precision in which a "
        "model was asked most, at the lowest temperature that both have. A point is one hundredth of a share."
    )
    sections = [Section("prompting", "Prompt Engineering Optimisation Results", 2, (Paragraph((how,)),))]
    for strategy in list(dict.fromkeys(after["strategy"] for _, after in pairs))[:MOST_STRATEGIES]:
        own = [(a, b) for a, b in pairs if b["strategy"] == strategy]
        sections.append(_strategy(strategy, own, facts, gains))
    temperatures = _temperatures(facts, gains["accuracy"])
    if temperatures:
        sections.append(Section("temperatures", "Temperature by strategy", 3, tuple(temperatures)))
    return sections


def improvements(facts: Facts, gains: Gains, strategy: str | None = None) -> list[tuple[Row, str, Figure]]:
    """Return the gains that are shown: run, metric and figure, the largest first within each metric."""
    found = []
    for metric, pairs in gains.items():
        shown = []
        for before, after in strategy_pairs(facts):
            couple = (before["run_id"], after["run_id"])
            value = pairs.figure(couple)
            if (
                value is not None
                and value.value > 0
                and pairs.is_shown(couple)
                and strategy in (None, after["strategy"])
            ):
                shown.append((after, metric, value))
        found += sorted(shown, key=lambda each: each[2].value, reverse=True)
    return found


def gain_words(row: Row, metric: str, value: Figure) -> Text:
    """Return a gain in words: `+25.0 points accuracy on math problems with qwen2.5-1.5b`."""
    return value, f" {METRICS[metric]} on {use_of(row['workload'])} with {row['model']}"


def strategy_title(strategy: str) -> str:
    """Return a strategy's name as a heading."""
    return _TITLES.get(strategy, strategy)


def _strategy(strategy: str, own: list[tuple[Row, Row]], facts: Facts, gains: Gains) -> Section:
    shown = improvements(facts, gains, strategy)
    items: list[Text] = []
    if shown:
        items.append((f"Best for: {', '.join(dict.fromkeys(use_of(row['workload']) for row, _, _ in shown[:3]))}.",))
        items += [("Improvement: ", *gain_words(*each), ".") for each in _one_a_metric(shown)]
    else:
        items.append(_nothing_shown(own, gains["accuracy"]))
    items += _losses(own, gains["accuracy"])
    best = _optimal(strategy, facts, gains["accuracy"])
    if best:
        items.append(best)
    return Section(
        f"strategy-{strategy}",
        strategy_title(strategy),
        3,
        (Bullets(tuple(items)), _gain_table(strategy, own, facts, gains)),
    )


def _one_a_metric(shown: list[tuple[Row, str, Figure]]) -> list[tuple[Row, str, Figure]]:
    first: dict[str, tuple[Row, str, Figure]] = {}
    for each in shown:
        first.setdefault(each[1], each)
    return list(first.values())


def _nothing_shown(own: list[tuple[Row, Row]], pairs: Pairs) -> Text:
    least = [
        size
        for a, b in own
        if (tested := pairs.tested((a["run_id"], b["run_id"]))) is not None
        and (size := smallest_shown(tested)) is not None
    ]
    detail = f" (smallest that these data could have shown: {min(least) * 100:.0f} points of accuracy)" if least else ""
    return (f"Improvement: no difference shown{detail}.",)


def _losses(own: list[tuple[Row, Row]], pairs: Pairs) -> list[Text]:
    lost = []
    for before, after in own:
        couple = (before["run_id"], after["run_id"])
        value = pairs.figure(couple)
        if value is not None and value.value < 0 and pairs.is_shown(couple):
            lost.append((after, value))
    lost.sort(key=lambda each: each[1].value)
    return [("Worse: ", *gain_words(row, "accuracy", value), ".") for row, value in lost[:2]]


def _optimal(strategy: str, facts: Facts, pairs: Pairs) -> Text | None:
    """Return at which temperature a strategy is best, where that is shown or at least seen."""
    groups = [group for group in temperature_groups(facts)[:MOST_TEMPERATURES] if group[0]["strategy"] == strategy]
    if not groups:
        return None
    told = [group for group in groups if pairs.is_shown((group[1]["run_id"], group[0]["run_id"]))]
    if not told:
        tried = sorted({row["temperature"] for group in groups for row in group})
        return (f"Optimal temperature: no difference shown between {', '.join(f'{each:g}' for each in tried)}.",)
    first = told[0][0]
    value = accuracy(first, ANSWERS)
    end = f" on {use_of(first['workload'])} with {first['model']}"
    return (f"Optimal temperature: {first['temperature']:g}, ", *((value,) if value else ()), f"{end}.")


def _gain_table(strategy: str, own: list[tuple[Row, Row]], facts: Facts, gains: Gains) -> Table:
    rows: list[tuple[tuple[bool, float], tuple[Cell, ...]]] = []
    for metric, pairs in gains.items():
        for before, after in own:
            couple = (before["run_id"], after["run_id"])
            value = pairs.figure(couple)
            if value is None:
                continue
            shown = pairs.is_shown(couple)
            cells = (facts.label(after), after["workload"], METRICS[metric], temperature(after))
            ends = (
                pairs.figure(couple, "baseline"),
                pairs.figure(couple, "value"),
                value,
                _verdict(value, pairs, couple),
            )
            size = abs(value.value) / (1 if value.unit == "points" else 100)
            rows.append(((shown, size), (*cells, *ends)))
    rows.sort(key=lambda row: row[0], reverse=True)
    left = len(rows) - MOST_GAINS
    more = f" (the {MOST_GAINS} largest; {left} more in the SQL)" if left > 0 else ""
    columns = ("Model", "Workload", "In", "Temperature", "direct", strategy, "Gain", "Verdict")
    sources = tuple(pairs.source for pairs in gains.values() if pairs.couples)
    return Table(
        f"{strategy_title(strategy)} beside direct{more}", columns, tuple(row for _, row in rows[:MOST_GAINS]), sources
    )


def temperature(row: Row) -> str | None:
    """Return a run's temperature as a word."""
    return None if row["temperature"] is None else f"{row['temperature']:g}"


def _verdict(value: Figure, pairs: Pairs, couple: tuple[int, int]) -> str:
    if pairs.tested(couple) is None:
        return "not tested"
    if not pairs.is_shown(couple):
        return "no difference shown"
    return "better" if value.value > 0 else "worse"


def _temperatures(facts: Facts, pairs: Pairs) -> list[Block]:
    rows: list[tuple[Cell, ...]] = []
    for group in temperature_groups(facts)[:MOST_TEMPERATURES]:
        best, second = group[0], group[1]
        couple = (second["run_id"], best["run_id"])
        told = "yes" if pairs.is_shown(couple) else "no"
        cells = (best["strategy"], facts.label(best), best["workload"], temperature(best), accuracy(best, ANSWERS))
        rows.append((*cells, temperature(second), pairs.figure(couple), told))
    if not rows:
        return []
    columns = ("Strategy", "Model", "Workload", "Best", "Accuracy", "Runner-up", "Lead", "Told apart")
    table = Table("Best temperature by strategy", columns, tuple(rows), (ANSWERS, pairs.source))
    return [table, *_heat_maps(facts)]


def _heat_maps(facts: Facts) -> list[Block]:
    """Return maps of accuracy by strategy and temperature: those with the most cells."""
    groups: dict[tuple[Any, ...], dict[tuple[str, float], Row]] = defaultdict(dict)
    for row in facts.answers:
        if row["strategy"] is not None and row["temperature"] is not None and row["accuracy"] is not None:
            key = (row["model"], row["precision"], row["workload"], *place_of(row))
            groups[key][row["strategy"], row["temperature"]] = row
    able = [
        (key, cells)
        for key, cells in groups.items()
        if len({strategy for strategy, _ in cells}) > 1 and len({degree for _, degree in cells}) > 1
    ]
    able.sort(key=lambda each: (-len(each[1]), each[0]))
    return [_heat_map(facts, cells) for _, cells in able[:MOST_MAPS]]


def _heat_map(facts: Facts, cells: dict[tuple[str, float], Row]) -> Chart:
    first = next(iter(cells.values()))
    strategies = sorted({strategy for strategy, _ in cells}, key=lambda name: (name != BASELINE, name))
    degrees = sorted({degree for _, degree in cells})
    found = [[cells.get((strategy, degree)) for degree in degrees] for strategy in strategies]
    values = tuple(tuple(None if row is None else float(row["accuracy"]) for row in line) for line in found)
    names = tuple(f"{degree:g}" for degree in degrees)
    data = HeatMap("share", "Strategy", "Temperature", tuple(strategies), names, values)
    title = f"Accuracy of {facts.label(first)} on {use_of(first['workload'])}"
    body = tuple(
        (strategy, *(None if row is None else accuracy(row, ANSWERS) for row in line))
        for strategy, line in zip(strategies, found, strict=True)
    )
    table = Table(title, ("Strategy", *names), body, (ANSWERS,))
    return Chart(title, f"{title}, by strategy and temperature.", data, table)
