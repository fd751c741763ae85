"""Weight optimisation: what precisions cost and gain in speed, memory and quality."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from report.charts.data import TradeOff, TradeOffPoint
from report.document.evidence import Couple, Pairs, Row, Speeds, accuracy, figure
from report.document.facts import ANSWERS, SPEED, Facts, place_of, rest_of, use_of
from report.document.parts import Block, Bullets, Cell, Chart, Paragraph, Section, Table, Text
from report.document.performance import Measured, measured, workload_words

MOST_POINTS = 30
_BASELINES = ("float16", "float32")


@dataclass(frozen=True)
class _Precision:
    each: Measured
    #: its answers to what all precisions of the model were asked
    answers: Row | None
    baseline: Row | None


def precision_couples(facts: Facts) -> list[Couple]:
    """Return the pairs (baseline precision, other precision) of runs on the same items."""
    return [
        _couple(each) for each in _precisions(facts) if each.baseline and each.answers and each.baseline != each.answers
    ]


def precision_sections(facts: Facts, pairs: Pairs, speeds: Speeds) -> list[Section]:
    """Return the chapter on precisions; nothing where no model was measured in two."""
    found = _precisions(facts)
    if not found:
        return []
    best = _undominated(found)
    how = (
        "Precisions beside float16, where that was measured, else float32. Marked as best is what no other "
        "precision of the same model beats in memory, speed and accuracy at once. Accuracy is of the workload that "
        "most precisions of a model were asked with the same settings."
    )
    blocks: list[Block] = [Paragraph((how,)), _table(facts, found, best, pairs, speeds)]
    if findings := _findings(found, pairs, speeds):
        blocks.append(Bullets(tuple(findings)))
    blocks += _chart(found, best, speeds)
    return [Section("precisions", "Weight Optimisation", 2, tuple(blocks))]


def _couple(each: _Precision) -> Couple:
    assert each.baseline is not None
    assert each.answers is not None
    return each.baseline["run_id"], each.answers["run_id"]


def _precisions(facts: Facts) -> list[_Precision]:
    groups: dict[tuple[Any, ...], list[Measured]] = defaultdict(list)
    for each in measured(facts, "text"):
        groups[each.run["model"], *place_of(each.run), workload_words(each.run)].append(each)
    found = []
    for key in sorted(groups):
        group = groups[key]
        if len(group) > 1:
            asked = _asked(facts, group)
            name = next((name for name in _BASELINES if name in {each.run["precision"] for each in group}), None)
            baseline = asked.get(name or "")
            found += [_Precision(each, asked.get(each.run["precision"]), baseline) for each in group]
    return found[:MOST_POINTS]


def _asked(facts: Facts, group: list[Measured]) -> dict[str, Row]:
    """Return the runs by precision that differ in nothing else: of most precisions, then of most items."""
    run = group[0].run
    same: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in facts.answers:
        if row["model"] == run["model"] and place_of(row) == place_of(run) and row["accuracy"] is not None:
            same[rest_of(row, "precision", "quantiser", "attention")][row["precision"]] = row
    if not same:
        return {}

    def rank(rows: dict[str, Row]) -> tuple[Any, ...]:
        first = next(iter(rows.values()))
        return len(rows), first["items"], first["strategy"] == "direct", -(first["temperature"] or 0), first["workload"]

    return max(same.values(), key=rank)


def _undominated(found: list[_Precision]) -> set[int]:
    """Return the places in the list of what no other precision of its model beats in everything."""
    return {
        n
        for n, one in enumerate(found)
        if not any(_beats(other, one) for other in found if _model(other) == _model(one))
    }


def _model(one: _Precision) -> tuple[Any, ...]:
    return one.each.run["model"], place_of(one.each.run)


def _beats(other: _Precision, one: _Precision) -> bool:
    mine, theirs = _merits(one), _merits(other)
    known = [(a, b) for a, b in zip(theirs, mine, strict=True) if a is not None and b is not None]
    return bool(known) and all(a >= b for a, b in known) and any(a > b for a, b in known)


def _merits(one: _Precision) -> tuple[float | None, float | None, float | None]:
    memory, speed = one.each.run["memory_bytes"], one.each.run["decode_tokens_per_second"]
    return None if memory is None else -memory, speed, one.answers["accuracy"] if one.answers else None


def _table(facts: Facts, found: list[_Precision], best: set[int], pairs: Pairs, speeds: Speeds) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for n, one in enumerate(found):
        run, answers = one.each.run, one.answers
        changed = one.baseline is not None and answers is not None and one.baseline != answers
        rows.append(
            (
                one.each.label,
                speeds.figure(run, SPEED),
                figure(run, "memory_bytes", SPEED),
                figure(run, "weights_bytes", SPEED),
                None if answers is None else use_of(answers["workload"]),
                None if answers is None else accuracy(answers, ANSWERS),
                pairs.figure(_couple(one)) if changed else "-" if answers is not None else None,
                "best" if n in best else "",
            )
        )
    columns = ("Model", "Speed", "Memory", "Weights", "Asked", "Accuracy", "Beside the baseline", "Trade-off")
    return Table("Speed, memory and quality by precision", columns, tuple(rows), (SPEED, ANSWERS, pairs.source))


def _findings(found: list[_Precision], pairs: Pairs, speeds: Speeds) -> list[Text]:
    sentences: list[Text] = []
    for one in found:
        if one.baseline is None or one.answers is None or one.baseline == one.answers:
            continue
        gain, speed = pairs.figure(_couple(one)), speeds.figure(one.each.run, SPEED)
        if gain is None or speed is None:
            continue
        word = "differs from" if pairs.is_shown(_couple(one)) else "is not shown to differ from"
        sentences.append(
            (f"{one.each.label}: ", speed, f"; its accuracy {word} {one.baseline['precision']}: ", gain, ".")
        )
    return sentences[:10]


def _chart(found: list[_Precision], best: set[int], speeds: Speeds) -> list[Block]:
    points, rows = [], []
    for n, one in enumerate(found):
        run = one.each.run
        memory, speed = run["memory_bytes"], run["decode_tokens_per_second"]
        if memory is None or speed is None:
            continue
        quality = one.answers["accuracy"] if one.answers else None
        points.append(TradeOffPoint(one.each.label, memory, speed, quality, n in best))
        share = accuracy(one.answers, ANSWERS) if one.answers else None
        rows.append((one.each.label, figure(run, "memory_bytes", SPEED), speeds.figure(run, SPEED), share))
    if len(points) < 2:
        return []
    title = "Memory against speed against quality"
    table = Table(title, ("Model", "Memory", "Speed", "Accuracy"), tuple(rows), (SPEED, ANSWERS))
    description = "What each model and precision takes and gives; the best trade-offs are marked."
    return [Chart(title, description, TradeOff("tokens/s", "share", tuple(points)), table)]
