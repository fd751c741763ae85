"""The runs that a report chooses from, and the rules by which it chooses."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from db import report_queries as queries
from db.report_pairs import definitions
from report.document.evidence import Couple, Evidence, Row

SPEED, ANSWERS, PLACES = "last-clean-runs", "last-answers", "environments"
BASELINE = "direct"
#: pairs of runs that are compared item by item for what strategies gain
MOST_PAIRS = 200

#: what a workload is good for, in the words of people
USES = {
    "facts": "questions of fact",
    "arithmetic": "math problems",
    "patterns": "pattern recognition",
    "reasoning": "reasoning",
    "multilingual": "many languages",
    "instructions": "following instructions",
    "structure": "structured data",
    "writing": "writing",
    "captions": "image descriptions",
    "shapes": "questions about shapes",
    "charts": "reading charts",
    "text_in_image": "reading text in pictures",
    "dictation": "dictation",
}

Place = tuple[str, str]


@dataclass(frozen=True)
class Facts:
    """What was measured in a report's scope."""

    #: by machine, device and versions, the oldest first
    environments: list[dict[str, Any]]
    #: the last clean run of each series
    speed: list[dict[str, Any]]
    #: the last run of each series that was asked something
    answers: list[dict[str, Any]]

    @cached_property
    def places(self) -> list[Place]:
        """Machine and device, those with the most runs first."""
        counted: Counter[Place] = Counter()
        for row in self.ours:
            counted[row["machine"], row["device"]] += row["runs"]
        return [place for place, _ in counted.most_common()]

    @property
    def ours(self) -> list[dict[str, Any]]:
        """The environments in which benchbeat itself measured."""
        return [row for row in self.environments if row["source"] == "benchbeat"]

    @property
    def tasks(self) -> list[str]:
        """The tasks of the models that were measured."""
        found = {row["task"] for row in (*self.speed, *self.answers)}
        return [task for task in ("text", "vision", "speech") if task in found]

    def models(self, task: str) -> list[str]:
        """The models of a task that were measured, by name."""
        return sorted({row["model"] for row in (*self.speed, *self.answers) if row["task"] == task})

    def newest_by_model(self, task: str) -> list[dict[str, Any]]:
        """One run of each model of a task, the newest."""
        runs = (row for row in (*self.speed, *self.answers) if row["task"] == task)
        return _best(runs, lambda row: (row["model"],), lambda row: (row["run_id"],))

    def label(self, row: Row, *, precision: bool = True) -> str:
        """Return a model's name, with its precision and, where there are several places, machine and device."""
        name = f"{row['model']} {row['precision']}" if precision else str(row["model"])
        return f"{name} ({self.place_name(place_of(row))})" if len(self.places) > 1 else name

    def place_name(self, place: Place) -> str:
        """Return a machine with the device where it has several."""
        devices = {device for machine, device in self.places if machine == place[0]}
        return f"{place[0]}, {place[1]}" if len(devices) > 1 else place[0]

    def representative(self, task: str) -> list[dict[str, Any]]:
        """Return for each model, precision and place of a task the run that its speed is shown by.

        A speed workload comes first; then one sequence at a time; then the shape that most of the task's models have;
        then the most items.
        """
        runs = [row for row in self.speed if row["task"] == task and row["latency_seconds"] is not None]
        shapes: dict[tuple[Any, ...], set[str]] = defaultdict(set)
        for row in runs:
            shapes[_shape(row)].add(row["model"])

        def rank(row: Row) -> tuple[Any, ...]:
            is_plain = (row["new_tokens"] is not None, row["batch_size"] == 1, not row["compile"])
            # A prompt alone has no decoding in it.
            decodes = (row["decode_tokens_per_second"] is not None,) if task == "text" else ()
            is_direct = row["strategy"] in (None, BASELINE)
            size = (row["prompt_tokens"] or 0, row["items"] or 0, row["run_id"])
            return (*decodes, *is_plain, len(shapes[_shape(row)]), is_direct, *size)

        chosen = _best(runs, lambda row: (row["model"], row["precision"], *place_of(row)), rank)
        return sorted(chosen, key=lambda row: (row["model"], row["precision"], place_of(row)))

    @cached_property
    def best_by_model(self) -> list[dict[str, Any]]:
        """The run with the best accuracy for each model, workload and place.

        Of equals the one with `direct` and the lowest temperature.
        """
        return self._best_by("model")

    @cached_property
    def best_by_precision(self) -> list[dict[str, Any]]:
        """The same for each precision of a model."""
        return self._best_by("model", "precision")

    def _best_by(self, *names: str) -> list[dict[str, Any]]:
        runs = [row for row in self.answers if row["accuracy"] is not None]
        return _best(runs, lambda row: (*(row[name] for name in names), row["workload"], *place_of(row)), _goodness)

    def is_main(self, row: Row) -> bool:
        """Return whether a run has the precision in which its model was asked most, at its place."""
        return bool(row["precision"] == self._main_precisions[row["model"], place_of(row)])

    @cached_property
    def _main_precisions(self) -> dict[tuple[str, Place], str]:
        counted: dict[tuple[str, Place], Counter[str]] = defaultdict(Counter)
        for row in self.answers:
            counted[row["model"], place_of(row)][row["precision"]] += 1
        return {key: max(found, key=lambda name: (found[name], name)) for key, found in counted.items()}


def read_facts(evidence: Evidence) -> Facts:
    """Return what was measured in the scope."""
    scope = evidence.scope
    answers = evidence.ask(ANSWERS, queries.answer_runs(scope))
    known = definitions(evidence.connection, [row["run_id"] for row in answers])
    for row in answers:
        row["definition"] = known[row["run_id"]]
    return Facts(
        evidence.ask(PLACES, queries.environments(scope)), evidence.ask(SPEED, queries.speed_runs(scope)), answers
    )


def place_of(row: Row) -> Place:
    """Return where a run was measured."""
    return row["machine"], row["device"]


def use_of(workload: str) -> str:
    """Return what a workload asks for, in words."""
    return USES.get(workload, workload)


def best_first(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return runs by their accuracy, the best first."""
    return sorted(rows, key=_goodness, reverse=True)


def rest_of(row: Row, *without: str) -> str:
    """Return all that makes a run's series, without some of it: runs with the same rest differ in that only."""
    definition = json.loads(row["definition"])
    for name in without:
        definition.pop(name, None)
    return json.dumps(definition, sort_keys=True)


def strategy_pairs(facts: Facts) -> list[tuple[Row, Row]]:
    """Return runs of `direct` and of another strategy that differ in nothing else.

    One for each model, workload, strategy and place: in the precision in which the model was asked most, at the lowest
    temperature that both have.
    """
    groups: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in facts.answers:
        if row["strategy"] is not None and facts.is_main(row):
            groups[rest_of(row, "strategy", "strategy_hash")][row["strategy"]] = row
    found: dict[tuple[Any, ...], tuple[Row, Row]] = {}
    for group in groups.values():
        baseline = group.get(BASELINE)
        for strategy, after in group.items():
            if baseline is None or strategy == BASELINE:
                continue
            place = (strategy, after["model"], after["workload"], *place_of(after))
            before = found.get(place)
            if before is None or (after["temperature"] or 0) < (before[1]["temperature"] or 0):
                found[place] = (baseline, after)
    # Of very many, those at the places with the most runs, then the newest.
    rank = {place: number for number, place in enumerate(facts.places)}
    kept = sorted(found.values(), key=lambda pair: (rank.get(place_of(pair[1]), 0), -pair[1]["run_id"]))[:MOST_PAIRS]
    return sorted(
        kept, key=lambda pair: (pair[1]["strategy"], pair[1]["model"], pair[1]["workload"], pair[1]["run_id"])
    )


def couples(pairs: Iterable[tuple[Row, Row]]) -> list[Couple]:
    """Return the ids of pairs of runs."""
    return [(before["run_id"], after["run_id"]) for before, after in pairs]


def _shape(row: Row) -> tuple[Any, ...]:
    return row["workload"], row["prompt_tokens"], row["new_tokens"]


def _goodness(row: Row) -> tuple[Any, ...]:
    return row["accuracy"], row["strategy"] in (None, BASELINE), -(row["temperature"] or 0), row["run_id"]


def _best(
    rows: Iterable[dict[str, Any]],
    by: Callable[[Mapping[str, Any]], tuple[Any, ...]],
    rank: Callable[[Mapping[str, Any]], tuple[Any, ...]],
) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = by(row)
        if key not in found or rank(row) > rank(found[key]):
            found[key] = row
    return list(found.values())
