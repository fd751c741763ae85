"""Reading the changes of levels, with what changed in the surroundings at the same time."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, TextClause, func, select, text, true

from bench.level_changes import EnvironmentChange, LevelChange
from db.history import Query, filtered
from db.jobs import in_parts
from db.last_runs import chooses_series, matching_series
from db.past_changes import find_past_changes
from db.tables import CLEAN_SPEED_RUN, change, environment, run, series_key, unjudged

#: what may explain a change, the likeliest first
_EXPLAINING = (
    "torch_version",
    "driver",
    "os_build",
    "threads",
    "git_commit",
    "transformers_version",
    "benchbeat_version",
    "python_version",
    "libraries",
    "git_dirty",
)
#: so many runs on either side of a change are looked at
_RUNS_BESIDE = 8

_RUN_COLUMNS = (
    run.c.model,
    run.c.workload,
    run.c.precision,
    run.c.prompt_tokens,
    run.c.new_tokens,
    run.c.batch_size,
    run.c.device,
    run.c.machine_id.label("machine"),
    run.c.started_at,
)


class Found(NamedTuple):
    """What the history says of changes."""

    changes: list[LevelChange]
    #: clean runs of speed workloads that match
    runs: int
    #: runs that wait to be judged
    waiting: int


def changes_in_history(connection: Connection, query: Query) -> Found:
    """Return the changes whose first run a query matches, the oldest first. Raises InputError for a query's fault."""
    query.check()
    where, values = filtered(query, connection.dialect.name)
    # Whole series are read from the index that holds all that is judged.
    chosen = f"run.id IN (SELECT run_id FROM history{where})"
    if chooses_series(query):
        chosen = f"run.series_id IN ({matching_series(where)})"
    matching = text(chosen).bindparams(**values) if where else true()
    runs = connection.execute(select(func.count()).select_from(run).where(*CLEAN_SPEED_RUN, matching)).scalar_one()
    waiting = connection.execute(select(func.count()).select_from(unjudged)).scalar_one()
    stored = stored_changes(connection, matching)
    found = _found_changes(connection, matching, everything=not where)
    return Found(sorted([*stored, *found], key=lambda each: each.changed_at), int(runs), int(waiting))


def stored_changes(connection: Connection, *conditions: Any) -> list[LevelChange]:
    """Return the changes that meet all conditions (on `change`, and on `run`, its first run), the oldest first."""
    query: Select[Any] = (
        select(change, series_key.c.hash, *_RUN_COLUMNS)
        .join(run, run.c.id == change.c.first_run_id)
        .join(series_key, series_key.c.id == change.c.series_id)
        .where(*conditions)
        .order_by(run.c.started_at, change.c.id)
    )
    rows = connection.execute(query).all()
    latest = {row.series_id: row.id for row in rows if row.state == "confirmed"}
    return [
        _level_change(
            connection,
            row,
            row.first_run_id,
            change_id=row.id,
            state=row.state,
            kind=row.kind,
            before_seconds=row.level_before,
            after_seconds=row.level_after,
            ratio=row.ratio,
            low=row.ratio_low,
            high=row.ratio_high,
            last_run_id=row.last_run_id,
            extra_runs=row.extra_runs,
            stands=latest.get(row.series_id, row.id) <= row.id,
        )
        for row in rows
    ]


def _found_changes(
    connection: Connection, matching: TextClause | ColumnElement[bool], *, everything: bool
) -> list[LevelChange]:
    """Return the changes whose first run matches and that nobody watched for: found, and not measured again."""
    past = find_past_changes(connection, None if everything else matching)
    rows: dict[int, Row[Any]] = {}
    for ids in in_parts([each.first_run_id for each in past]):
        query = select(run.c.id, run.c.series_id, series_key.c.hash, *_RUN_COLUMNS)
        query = query.join(series_key, series_key.c.id == run.c.series_id).where(run.c.id.in_(ids), matching)
        rows |= {row.id: row for row in connection.execute(query)}
    last = {each.series_id: each.first_run_id for each in past}
    return [
        _level_change(
            connection,
            rows[each.first_run_id],
            each.first_run_id,
            change_id=None,
            state="found",
            kind=each.point.kind,
            before_seconds=each.point.before,
            after_seconds=each.point.after,
            ratio=each.point.ratio,
            low=each.point.low,
            high=each.point.high,
            last_run_id=each.last_run_id,
            extra_runs=0,
            stands=last[each.series_id] == each.first_run_id,
        )
        for each in past
        if each.first_run_id in rows
    ]


def _level_change(connection: Connection, row: Row[Any], first_run_id: int, **values: Any) -> LevelChange:
    """Return a change of whose first run a row has _RUN_COLUMNS, the series' id and its hash."""
    return LevelChange(
        series=row.hash[:16],
        model=row.model,
        workload=row.workload,
        precision=row.precision,
        prompt_tokens=row.prompt_tokens,
        new_tokens=row.new_tokens,
        batch_size=row.batch_size,
        device=row.device,
        machine=row.machine,
        changed_at=datetime.fromtimestamp(row.started_at, UTC),
        first_run_id=first_run_id,
        environment=environment_changes(connection, row.series_id, first_run_id),
        **values,
    )


def environment_changes(connection: Connection, series_id: int, first_run_id: int) -> tuple[EnvironmentChange, ...]:
    """Return what differs in the environments of the clean runs of a series before and from a run on."""
    clean = (run.c.series_id == series_id, run.c.contaminated.is_(False))
    query = select(environment).join(run, run.c.environment_id == environment.c.id)
    before = query.where(*clean, run.c.id < first_run_id).order_by(run.c.id.desc()).limit(_RUNS_BESIDE)
    after = query.where(*clean, run.c.id >= first_run_id).order_by(run.c.id).limit(_RUNS_BESIDE)
    sides = [[_facts(row._mapping) for row in connection.execute(each)] for each in (before, after)]
    names = dict.fromkeys(name for facts in (*sides[0], *sides[1]) for name in facts)
    found = [each for name in names if (each := _compared(name, *sides)) is not None]
    return tuple(sorted(found, key=lambda each: (not each.is_clean, _EXPLAINING.index(each.column.split(".")[0]))))


def _facts(row: Any) -> dict[str, str]:
    """Return an environment as texts, each library under a name of its own."""
    facts = {name: _said(row[name]) for name in _EXPLAINING if name != "libraries"}
    libraries = row["libraries"] or {}
    if isinstance(libraries, str):
        libraries = json.loads(libraries)
    return facts | {f"libraries.{name}": str(version) for name, version in libraries.items()}


def _said(value: Any) -> str:
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _compared(name: str, before: Sequence[dict[str, str]], after: Sequence[dict[str, str]]) -> EnvironmentChange | None:
    old, new = ({facts.get(name, "-") for facts in side} for side in (before, after))
    if not old or not new or old == new:
        return None
    # The runs nearest to the change come first.
    texts = [", ".join(_in_order(facts.get(name, "-") for facts in side)) for side in (before, after)]
    return EnvironmentChange(name, texts[0], texts[1], is_clean=len(old) == len(new) == 1)


def _in_order(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
