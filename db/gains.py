"""What a strategy gains over `direct`: two runs that differ in nothing else, compared item by item."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import Connection, Row, bindparam, text

from bench.errors import InputError, suggest
from bench.pairs import Difference, paired_difference
from bench.quality import quality
from bench.scoring import agreement_key
from bench.statistics import consistency
from db.history import Query, filtered
from db.jobs import in_parts

#: what can be gained
GAINED = ("accuracy", "readability", "consistency", "quality")

BASELINE = "direct"

_RUNS = """
SELECT r.id, r.started_at, r.model, r.workload, r.strategy, r.temperature, r.precision, r.machine_id AS machine,
    k.definition, w.definition AS workload_definition
FROM run r
JOIN series_key k ON k.id = r.series_id
JOIN workload w ON w.hash = r.workload_hash
WHERE r.strategy IS NOT NULL
"""
#: what is the mean of a column over the answers to an item
_AVERAGED = {"accuracy": "score", "readability": "readability"}
_AVERAGES = """
SELECT run_id, item_id, avg({0}) AS value FROM answer WHERE run_id IN :runs AND {0} IS NOT NULL GROUP BY run_id, item_id
"""
_ANSWERS = """
SELECT run_id, item_id, sample, text, extracted, score, readability, finish
FROM answer
WHERE run_id IN :runs
ORDER BY run_id, item_id, sample
"""


@dataclass(frozen=True)
class Gain:
    """The difference of a strategy's run to the run of `direct` with all else equal, on their common items."""

    model: str
    workload: str
    strategy: str
    temperature: float | None
    precision: str
    machine: str
    metric: str
    #: items that both runs have a value for
    items: int
    #: mean over these items of each run, in the metric's unit
    baseline: float
    value: float
    #: mean of the items' differences, with the ends of its 95 % confidence interval where there is one
    gain: float
    low: float | None
    high: float | None
    #: None where the method gives none
    p_value: float | None
    method: str
    baseline_run_id: int
    run_id: int


class _Scored(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def scorer(self) -> str: ...
    @property
    def prose(self) -> bool: ...


@dataclass(frozen=True)
class _Run:
    id: int
    started_at: float
    model: str
    workload: str
    strategy: str
    temperature: float | None
    precision: str
    machine: str
    #: the series' key without the strategy
    rest: str
    scorer: str
    prose: bool


def gains(connection: Connection, query: Query, metric: str = "accuracy") -> list[Gain]:
    """Return the gain of each strategy over `direct` by model, workload and all else that makes a series.

    Of the runs that match the query, the last one of each strategy is taken; its baseline too, and where none of those
    matches, the last one of all. A disturbed run counts: that takes its speed and leaves its answers. `metric` is one
    of GAINED. Raises InputError for another one.
    """
    if metric not in GAINED:
        raise InputError(f"{metric!r} is nothing that a strategy gains{suggest(metric, GAINED)}")
    pairs = _pairs(connection, query)
    needed = sorted({run.id: run for pair in pairs for run in pair}.values(), key=lambda run: run.id)
    values = values_by_run(connection, needed, metric)
    found = [_gain(baseline, run, values[baseline.id], values[run.id], metric) for baseline, run in pairs]
    return [each for each in found if each is not None]


def _pairs(connection: Connection, query: Query) -> list[tuple[_Run, _Run]]:
    query = replace(query, group_by=(), best_by=None, sort=(), columns=())
    query.check()
    wanted = _latest(_runs(connection, query))
    others = tuple(condition for condition in query.conditions if condition.column != "strategy")
    near = _latest(_runs(connection, replace(query, conditions=others)))
    models = {run.model for run in wanted.values()}
    of_all = _latest(_runs(connection, Query(), models)) if wanted else {}
    pairs = []
    for (rest, strategy), run in wanted.items():
        baseline = near.get((rest, BASELINE)) or of_all.get((rest, BASELINE))
        if strategy != BASELINE and baseline is not None:
            pairs.append((baseline, run))
    pairs.sort(
        key=lambda pair: (pair[1].model, pair[1].workload, pair[1].strategy, pair[1].temperature or 0, pair[1].id)
    )
    return pairs[: query.limit]


def _latest(runs: Iterable[_Run]) -> dict[tuple[str, str], _Run]:
    """Return the last run by what must be equal and strategy; the template of a strategy may have changed since."""
    ordered = sorted(runs, key=lambda run: (run.started_at, run.id))
    return {(run.rest, run.strategy): run for run in ordered}


def _runs(connection: Connection, query: Query, models: set[str] | None = None) -> list[_Run]:
    where, values = filtered(query, connection.dialect.name)
    statement = _RUNS
    if where:
        statement += f" AND r.id IN (SELECT run_id FROM history{where})"
    if models is not None:
        statement += " AND r.model IN :models AND r.strategy = :baseline"
        values |= {"models": sorted(models), "baseline": BASELINE}
    prepared = text(statement)
    if models is not None:
        prepared = prepared.bindparams(bindparam("models", expanding=True))
    return [_read_run(row._mapping) for row in connection.execute(prepared, values)]


def _read_run(row: Mapping[Any, Any]) -> _Run:
    definition = json.loads(row["definition"])
    for name in ("strategy", "strategy_hash"):
        definition.pop(name, None)
    workload = json.loads(row["workload_definition"])
    shared = ("id", "started_at", "model", "workload", "strategy", "temperature", "precision", "machine")
    return _Run(
        **{name: row[name] for name in shared},
        rest=json.dumps(definition, sort_keys=True),
        scorer=workload.get("score") or "none",
        prose=bool(workload.get("prose")),
    )


def _gain(
    baseline: _Run, run: _Run, before: Mapping[str, float], after: Mapping[str, float], metric: str
) -> Gain | None:
    common = sorted(before.keys() & after.keys())
    if not common:
        return None
    difference: Difference = paired_difference(before, after)
    shared = {
        name: getattr(run, name) for name in ("model", "workload", "strategy", "temperature", "precision", "machine")
    }
    return Gain(
        **shared,
        metric=metric,
        items=difference.items,
        baseline=sum(before[item] for item in common) / len(common),
        value=sum(after[item] for item in common) / len(common),
        gain=difference.mean,
        low=difference.low,
        high=difference.high,
        p_value=difference.p_value,
        method=difference.method,
        baseline_run_id=baseline.id,
        run_id=run.id,
    )


def values_by_run(connection: Connection, runs: Sequence[_Scored], metric: str) -> dict[int, dict[str, float]]:
    """Return the metric, of GAINED, of each item of each run; an item that has none is left out."""
    ids = [run.id for run in runs]
    values: dict[int, dict[str, float]] = {run_id: {} for run_id in ids}
    if metric in _AVERAGED:
        for row in _asked(connection, _AVERAGES.format(_AVERAGED[metric]), ids):
            values[row.run_id][row.item_id] = row.value
        return values
    answers: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for row in _asked(connection, _ANSWERS, ids):
        answers[row.run_id, row.item_id].append(row)
    of_item = _consistency if metric == "consistency" else _quality
    by_id = {run.id: run for run in runs}
    for (run_id, item_id), given in answers.items():
        value = of_item(given, by_id[run_id])
        if value is not None:
            values[run_id][item_id] = value
    return values


def _asked(connection: Connection, query: str, ids: list[int]) -> Iterator[Row[Any]]:
    statement = text(query).bindparams(bindparam("runs", expanding=True))
    for part in in_parts(ids):
        yield from connection.execute(statement, {"runs": part})


def _mean(values: Iterable[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return sum(measured) / len(measured) if measured else None


def _consistency(answers: Sequence[Any], run: _Scored) -> float | None:
    keys = [agreement_key(run.scorer, answer.extracted, answer.text) for answer in answers]
    return consistency({"item": keys}) if len(keys) > 1 else None


def _quality(answers: Sequence[Any], run: _Scored) -> float | None:
    accuracy = _mean(answer.score for answer in answers)
    if accuracy is None:
        return None
    completed = sum(answer.finish == "stop" for answer in answers) / len(answers)
    prose = _mean(answer.readability for answer in answers) if run.prose else None
    return quality(accuracy=accuracy, completed=completed, consistency=_consistency(answers, run), readability=prose)
