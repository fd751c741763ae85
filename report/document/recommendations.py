"""Recommendations, each by a rule that is written down and with its evidence."""

from __future__ import annotations

from typing import Any

from report.document.evidence import Choices, Row, Speeds, accuracy, figure
from report.document.facts import ANSWERS, SPEED, Facts, Place, place_of, use_of
from report.document.parts import Block, Bullets, Paragraph, Section, Text
from report.document.performance import Measured, measured, speed_figure

#: accuracy below the best's that is given away for speed, as a share
GIVEN_AWAY = 0.05
#: word error rate above the best's that is given away for speed
GIVEN_AWAY_ERRORS = 0.02
MEMORY_GIB = (2, 4, 8, 16, 32)

#: the first workload that was measured stands for the use
_USES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Chat", "text", ("instructions", "writing", "facts")),
    ("Reasoning", "text", ("reasoning", "arithmetic")),
    ("Many languages", "text", ("multilingual",)),
    ("Data for programs", "text", ("structure",)),
    ("Captions", "vision", ("captions",)),
    ("Questions about pictures", "vision", ("charts", "shapes", "text_in_image")),
)
_MOST_PLACES = 3


def recommendation_sections(facts: Facts, speeds: Speeds, choices: Choices) -> list[Section]:
    """Return the chapter of recommendations, for the machines with the most runs."""
    rule = (
        "For each use: of the models and precisions whose accuracy on the workload that stands for it is within "
        f"{GIVEN_AWAY * 100:.0f} points of the best, the fastest. For each size of memory: of what fits, the one with "
        "the best mean accuracy over the workloads that all that fit were asked."
    )
    blocks: list[Block] = [Paragraph((rule,))]
    every = {task: measured(facts, task) for task in facts.tasks}
    for place in facts.places[:_MOST_PLACES]:
        items = [text for use in _USES if (text := _for_use(*use, place, every, speeds, choices))]
        items += _dictation(place, every.get("speech", ()), choices)
        items += _for_memory(place, every.get("text", []), speeds, choices)
        if items:
            if len(facts.places) > 1:
                blocks.append(Paragraph((f"On {facts.place_name(place)}:",)))
            blocks.append(Bullets(tuple(items)))
    if len(blocks) == 1:
        blocks.append(Paragraph(("Nothing can be recommended yet: no answers were judged.",)))
    return [Section("recommendations", "Recommendations", 2, tuple(blocks))]


def _for_use(
    use: str,
    task: str,
    workloads: tuple[str, ...],
    place: Place,
    every: dict[str, list[Measured]],
    speeds: Speeds,
    choices: Choices,
) -> Text | None:
    here = [each for each in every.get(task, ()) if place_of(each.run) == place]
    for workload in workloads:
        asked = [(each, row) for each in here for row in each.answers if row["workload"] == workload]
        if asked:
            beside = _beside(use, place, [row for _, row in asked], choices)
            return _fastest_good(use, task, asked, beside, speeds)
    return None


def _fastest_good(
    use: str, task: str, asked: list[tuple[Measured, dict[str, Any]]], beside: Text, speeds: Speeds
) -> Text | None:
    best = max(row["accuracy"] for _, row in asked)
    good = [(each, row) for each, row in asked if row["accuracy"] >= best - GIVEN_AWAY]
    # They are in the order of their speed.
    each, row = good[0]
    share, speed, memory = accuracy(row, ANSWERS), speed_figure(task, each, speeds), _memory(each)
    if share is None:
        return None
    with_it = f" with {row['strategy']} at temperature {row['temperature']:g}" if row["temperature"] is not None else ""
    parts: list[Any] = [
        f"{use}: {each.label}{with_it} (",
        *beside,
        f"). On {use_of(row['workload'])} it reaches ",
        share,
    ]
    parts += [", at ", speed] if speed is not None else []
    parts += [", in ", memory] if memory is not None else []
    return (*parts, ".")


def _memory(each: Measured) -> Any:
    return figure(each.run, "memory_bytes", SPEED)


def _dictation(place: Place, every: Any, choices: Choices) -> list[Text]:
    heard = [each for each in every if place_of(each.run) == place and each.run["word_error_rate"] is not None]
    if not heard:
        return []
    best = min(each.run["word_error_rate"] for each in heard)
    good = [each for each in heard if each.run["word_error_rate"] <= best + GIVEN_AWAY_ERRORS]
    chosen = min(good, key=lambda each: (each.run["real_time_factor"] or each.run["latency_seconds"], each.label))
    errors = figure(chosen.run, "word_error_rate", SPEED, n=chosen.run["items"])
    factor = figure(chosen.run, "real_time_factor", SPEED, n=chosen.run["items"])
    if errors is None:
        return []
    speed: tuple[Any, ...] = () if factor is None else (", a second of speech in ", factor, " seconds")
    beside = _beside("Dictation", place, [each.run for each in heard], choices)
    return [(f"Dictation: {chosen.label} (", *beside, "), with a word error rate of ", errors, *speed, ".")]


def _for_memory(place: Place, every: list[Measured], speeds: Speeds, choices: Choices) -> list[Text]:
    here = [each for each in every if place_of(each.run) == place and each.run["memory_bytes"] and each.answers]
    items: list[Text] = []
    told: set[str] = set()
    for gib in MEMORY_GIB:
        fitting = [each for each in here if each.run["memory_bytes"] <= gib * 2**30]
        common = _common(fitting)
        if not common:
            continue
        chosen = max(fitting, key=lambda each: (_mean(each, common), -each.run["memory_bytes"]))
        if chosen.label in told:
            continue
        told.add(chosen.label)
        memory, speed = _memory(chosen), speed_figure("text", chosen, speeds)
        names = ", ".join(sorted(common)[:3]) + (" ..." if len(common) > 3 else "")
        row = next(row for row in chosen.answers if row["workload"] == min(common))
        share = accuracy(row, ANSWERS)
        fitted = choices.figure(_choice(f"{gib} GiB", place), [each.run for each in fitting])
        parts: list[Any] = [
            f"In {gib} GiB of memory: {chosen.label}, the best of ",
            fitted,
            f" over {names}; it takes ",
        ]
        parts += [memory]
        parts += [", writes at ", speed] if speed is not None else []
        parts += [", and reaches ", share, f" on {use_of(row['workload'])}"] if share is not None else []
        items.append((*parts, "."))
    return items


def _beside(use: str, place: Place, rows: list[Row], choices: Choices) -> Text:
    if len(rows) == 1:
        return ("the only one measured",)
    return ("of ", choices.figure(_choice(use, place), rows), " measured")


def _choice(name: str, place: Place) -> str:
    return f"{name} on {place[0]}, {place[1]}"


def _common(each: list[Measured]) -> set[str]:
    asked = [{row["workload"] for row in one.answers} for one in each]
    return set.intersection(*asked) if asked else set()


def _mean(each: Measured, workloads: set[str]) -> float:
    shares = [row["accuracy"] for row in each.answers if row["workload"] in workloads]
    return float(sum(shares) / len(shares))
