"""The runs that a comparison chooses: the last clean one of each series and value, with what was read in it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, text

from bench.errors import InputError, suggest
from db.columns import KINDS, plain
from db.conditions import column_sql, kind_of
from db.history import Query, filtered
from db.jobs import in_parts
from db.last_runs import OF_SERIES, chooses_series, first_clean_run_at, last_clean_runs, matching_series

#: what is set about a run
SETTINGS = (
    *("model", "revision", "strategy", "temperature", "top_p"),
    *("top_k", "repetition_penalty", "max_new_tokens", "seed", "samples"),
    *("prompt_tokens", "new_tokens", "precision", "quantiser", "attention"),
    *("compile", "cache", "batch_size", "isolation", "processes", "word_timestamps"),
    *("detect_language", "device", "machine", "device_name", "chat_template"),
)
#: with what it was measured
ENVIRONMENT = (
    *("source", "os_build", "driver", "threads", "python_version"),
    *("torch_version", "transformers_version", "benchbeat_version", "git_commit", "git_dirty"),
)
#: columns of `history` by whose values runs can be compared; `labels.NAME` is one too
COMPARABLE = (*SETTINGS, "items", *ENVIRONMENT, "schedule", "batch", "batch_name", "session")

#: measured figures that are shown or compared
FIGURES = (
    *(
        "weights_bytes",
        "peak_device_memory_bytes",
        "peak_process_memory_bytes",
        "ttft_seconds",
        "decode_tokens_per_second",
    ),
    *("prefill_tokens_per_second", "latency_seconds", "real_time_factor", "items", "accuracy"),
    *("accuracy_stderr", "word_error_rate", "quality", "readability", "answer_tokens"),
    *("seconds_per_correct_answer", "iterations", "latency_low_seconds", "latency_high_seconds"),
    "samples_pruned_at",
)
#: of one side and series, the last clean run and as many before it stand for it
MOST_RUNS = 20

#: what differs in a series' key where the column differs
_FOLLOWS = {
    "model": ("model", "revision", "chat_template_hash", "llama-bench.model_n_params"),
    "revision": ("revision", "chat_template_hash"),
    "strategy": ("strategy", "strategy_hash"),
    "precision": ("precision", "quantiser", "llama-bench.model_n_params"),
    "device": ("device", "quantiser"),
    "machine": ("machine", "device", "quantiser"),
    "device_name": ("machine", "device", "quantiser"),
    "chat_template": ("chat_template_hash",),
    "threads": ("threads", "llama-bench.n_threads"),
    # of several, each is a fresh one
    "processes": ("processes", "isolation"),
    # lengths tell which part was timed; each tool calls the others in its own way
    "source": ("source", "prompt_tokens", "new_tokens", "attention", "cache", "device_name"),
}
#: what a run of another tool has in common with one of ours; the rest is no setting of both
_OF_ALL_SOURCES = (
    *("model", "workload", "workload_hash", "items", "strategy", "precision", "device", "machine"),
    *("prompt_tokens", "new_tokens", "batch_size"),
)

# By what a series is of, a probe for each series finds its last runs; else all runs that match have to be read.
_PROBED = """
SELECT r.id, r.series_id, r.environment_id, r.device_name, ({first_at}) AS first_at, NULL AS compared {last_runs}
ORDER BY r.series_id, r.started_at DESC, r.id DESC
"""
_RANKED = """
SELECT id, series_id, environment_id, device_name, first_at, compared FROM (
    SELECT r.id, r.series_id, r.environment_id, r.device_name, r.started_at, h.compared,
        row_number() OVER (PARTITION BY r.series_id, h.compared ORDER BY r.started_at DESC, r.id DESC) AS place,
        min(r.started_at) OVER (PARTITION BY h.compared) AS first_at
    FROM (SELECT run_id, {by} AS compared FROM history{where}) h JOIN run r ON r.id = h.run_id
) c
WHERE place <= {most}
ORDER BY series_id, compared, place
"""
_CHOSEN = """
SELECT h.*, k.definition, r.series_id, r.environment_id, r.started_at AS began_at, r.workload_hash,
    w.definition AS workload_definition
FROM (SELECT {columns} FROM history WHERE run_id IN :runs) h
JOIN run r ON r.id = h.run_id
JOIN series_key k ON k.id = r.series_id
JOIN workload w ON w.hash = r.workload_hash
"""
_READINGS = """
SELECT {columns} FROM sample WHERE run_id IN :runs ORDER BY run_id, iteration
"""
_READ = ("latency_seconds", "ttft_seconds", "decode_tokens_per_second", "prefill_tokens_per_second")


@dataclass(frozen=True)
class ChosenRun:
    """A run to compare, with its columns of `history`."""

    id: int
    series_id: int
    environment_id: int
    #: seconds since the epoch
    began_at: float
    #: the value by which it is compared; None where the run has none
    value: Any
    #: when something was first measured with this value, in seconds since the epoch
    first_at: float
    #: SETTINGS, ENVIRONMENT, FIGURES, workload and task
    columns: Mapping[str, Any]
    #: the series' key
    definition: Mapping[str, Any]
    workload_hash: str
    scorer: str
    prose: bool
    #: ids of clean runs that stand for this side too: same series, same versions, the last first
    beside: tuple[int, ...] = ()

    @property
    def runs(self) -> tuple[int, ...]:
        """The runs that stand for this side."""
        return (self.id, *self.beside)

    @property
    def is_speed(self) -> bool:
        """Whether lengths were fixed and time is what was measured."""
        return self.columns["new_tokens"] is not None

    def groups(self, by: str) -> list[str]:
        """Return what must be equal in another run that is compared with it by a column; by source in several ways."""
        if by == "source":
            return self._groups_of_sources()
        return [self.group(by)]

    def group(self, by: str) -> str:
        """Return the part of the series' key that does not follow from a column."""
        left = set(follows(by))
        return json.dumps({name: value for name, value in self.definition.items() if name not in left}, sort_keys=True)

    def _groups_of_sources(self) -> list[str]:
        shared = {name: self.definition.get(name) for name in _OF_ALL_SOURCES}
        if not self.is_speed:
            # Batches of a harness differ by rounding only.
            del shared["batch_size"]
            return [json.dumps(shared, sort_keys=True)]
        # llama-bench times the prompt, the answer or both; a run of ours holds all three.
        test = self.definition.get("llama-bench.test")
        timed = [shared | {"test": each} for each in ([test] if test else ["pp", "tg", "pp+tg"])]
        return [
            json.dumps(each | ({"new_tokens": 0} if each["test"] == "pp" else {}), sort_keys=True) for each in timed
        ]


def follows(by: str) -> tuple[str, ...]:
    """Return what differs in a series' key where a column differs."""
    return _FOLLOWS.get(by, (by,))


def check_column(name: str) -> None:
    """Raise InputError, with near matches, for what runs can't be compared by."""
    if name in COMPARABLE:
        return
    if name in ("workload", "task"):
        raise InputError(f"{name}: what different workloads measure can't be compared", where="--by")
    if name in KINDS["history"]:
        what = "name one of the labels: labels.NAME" if name == "labels" else f"{name} is nothing that was set"
        raise InputError(f"{what}; compare by precision, strategy, torch_version, say", where="--by")
    try:
        kind_of(name)
    except InputError:
        raise InputError(
            f"there is no column {name!r}{suggest(name, (*COMPARABLE, 'labels.NAME'))}", where="--by"
        ) from None


def chosen_runs(connection: Connection, query: Query, by: str | None) -> list[ChosenRun]:
    """Return the last clean run of each series and value among those that a query matches, the oldest first.

    Up to 19 earlier ones that are alike stand beside it. Disturbed ones count where a condition names them. Without
    `by` it is the last run of each series.
    """
    sides: dict[tuple[int, Any], list[Row[Any]]] = defaultdict(list)
    for row in _last_runs(connection, query, by):
        sides[row.series_id, row.compared].append(row)
    lasts = {rows[0].id: rows for rows in sides.values()}
    names = ("run_id", "workload", "task", *SETTINGS, *ENVIRONMENT, *FIGURES)
    statement = _CHOSEN.format(columns=", ".join(f'"{name}"' for name in names))
    found = []
    for row in _asked(connection, statement, list(lasts)):
        last, *others = lasts[row.run_id]
        # Two machines that were given one name differ in what they measured with.
        alike = (last.environment_id, last.device_name)
        beside = tuple(each.id for each in others if (each.environment_id, each.device_name) == alike)
        found.append(replace(_read(row._mapping, by, last), beside=beside))
    first_at: dict[Any, float] = {}
    for run in found:
        first_at[run.value] = min(run.first_at, first_at.get(run.value, run.first_at))
    found.sort(key=lambda run: (run.began_at, run.id))
    return [replace(run, first_at=first_at[run.value]) for run in found]


def _last_runs(connection: Connection, query: Query, by: str | None) -> Iterable[Row[Any]]:
    """Return of each series and value the last clean runs that a query matches, the last one first."""
    query.check()
    dialect = connection.dialect.name
    where, values = filtered(query, dialect)
    if chooses_series(query, by or "series"):
        last_runs = last_clean_runs(connection, matching_series(where), MOST_RUNS)
        statement = _PROBED.format(first_at=first_clean_run_at(), last_runs=last_runs)
        return connection.execute(text(statement), values)
    if not any(condition.column in ("contaminated", "contamination", "run_id") for condition in query.conditions):
        where += f"{' AND' if where else ' WHERE'} NOT contaminated"
    column = "series" if by is None else column_sql(by, dialect)
    return connection.execute(text(_RANKED.format(by=column, where=where, most=MOST_RUNS)), values)


def _read(row: Mapping[Any, Any], by: str | None, last: Row[Any]) -> ChosenRun:
    workload = json.loads(row["workload_definition"])
    names = ("workload", "task", *SETTINGS, *ENVIRONMENT, *FIGURES)
    columns = {name: plain(row[name], KINDS["history"][name]) for name in names}
    value = None
    if by is not None:
        value = columns[by] if last.compared is None and by in OF_SERIES else plain(last.compared, kind_of(by))
    return ChosenRun(
        id=row["run_id"],
        series_id=row["series_id"],
        environment_id=row["environment_id"],
        began_at=row["began_at"],
        value=value,
        first_at=last.first_at,
        columns=columns,
        definition=json.loads(row["definition"]),
        workload_hash=row["workload_hash"],
        scorer=workload.get("score") or "none",
        prose=bool(workload.get("prose")),
    )


def readings(connection: Connection, runs: Iterable[ChosenRun]) -> dict[int, dict[str, list[float]]]:
    """Return the readings of each run's samples by column, in the order of measuring; what was not read is left out."""
    found: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    query = _READINGS.format(columns=", ".join(("run_id", *_READ)))
    for row in _asked(connection, query, [run.id for run in runs]):
        for name in _READ:
            value = getattr(row, name)
            if value is not None:
                found[row.run_id][name].append(value)
    return found


def _asked(connection: Connection, query: str, ids: list[int]) -> Iterator[Row[Any]]:
    statement = text(query).bindparams(bindparam("runs", expanding=True))
    for part in in_parts(ids):
        yield from connection.execute(statement, {"runs": part})
