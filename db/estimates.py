"""How long jobs will take, from the runs of their kind that the history holds."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from bench.harness import PREFIX
from bench.spec import JobSpec
from bench.statistics import median
from db.tables import item, run, workload

#: runs that are looked at, the newest
_RUNS_AT_MOST = 20_000

_TIMED = (
    "model",
    "workload",
    "strategy",
    "precision",
    "device",
    "batch_size",
    "prompt_tokens",
    "new_tokens",
    "max_new_tokens",
    "items",
    "samples",
)

_Key = tuple[Any, ...]


@dataclass(frozen=True)
class Estimate:
    """The time that jobs will take one after the other."""

    #: of those that are known
    seconds: float
    #: jobs for which there was a run of the same model to go by, and jobs for which there was none
    known: int
    unknown: int


class _Shape(NamedTuple):
    """What the time depends on."""

    model: str
    workload: str
    strategy: str | None
    precision: str
    batch_size: int
    #: of an answer: asked for, or allowed
    new_tokens: int | None
    prompt_tokens: int | None
    is_speed: bool


def estimate(connection: Connection, specs: Sequence[JobSpec], *, items: Mapping[str, int] | None = None) -> Estimate:
    """Return how long jobs will take, by the median of the past runs of the nearest kind.

    The nearest kind has the most in common: first all but sampling and seeds, at last only the model. Where not the
    same was asked, time is taken as proportional to the answers of a quality workload and the tokens of a speed one.
    `items` gives the size of each workload by name; for others it is what the history holds.
    """
    return estimate_each(connection, {0: specs}, items=items)[0]


def estimate_each(
    connection: Connection, groups: Mapping[int, Sequence[JobSpec]], *, items: Mapping[str, int] | None = None
) -> dict[int, Estimate]:
    """Return how long each group of jobs will take, as `estimate` does, with the past read once for all."""
    counts = _items_by_workload(connection) | dict(items or {})
    specs = [spec for group in groups.values() for spec in group]
    past = _Past(connection, {spec.model for spec in specs}, {spec.device for spec in specs})
    return {name: _estimate(past, counts, group) for name, group in groups.items()}


def _estimate(past: "_Past", counts: Mapping[str, int], specs: Sequence[JobSpec]) -> Estimate:
    seconds, known = 0.0, 0
    for spec in specs:
        per_unit = past.seconds_per_unit(_shape_of_spec(spec), spec.device)
        units = _units_of_spec(spec, counts)
        if per_unit is not None and units is not None:
            seconds += per_unit * units
            known += 1
    return Estimate(seconds, known, len(specs) - known)


class _Past:
    """The past runs' seconds for a unit (an answer, a generated token) by kind, from the nearest to the widest."""

    def __init__(self, connection: Connection, models: set[str], devices: set[str]) -> None:
        self._seconds: dict[_Key, list[float]] = defaultdict(list)
        self._known: dict[tuple[_Shape, str], float | None] = {}
        alike: dict[tuple[_Shape, str], list[float]] = defaultdict(list)
        for row in _runs(connection):
            if row.model in models:
                _add(row, alike)
        for (shape, ran_on), seconds in alike.items():
            for device in devices & {"any", ran_on}:
                for key in _kinds(shape, device):
                    self._seconds[key] += seconds

    def seconds_per_unit(self, shape: _Shape, device: str) -> float | None:
        """Return the median over the nearest kind that has runs on the device ("any": on whichever)."""
        if (shape, device) not in self._known:
            found = (self._seconds[key] for key in _kinds(shape, device) if key in self._seconds)
            nearest = next(found, None)
            self._known[shape, device] = None if nearest is None else median(nearest)
        return self._known[shape, device]


def _add(row: Row[Any], alike: dict[tuple[_Shape, str], list[float]]) -> None:
    is_speed = row.new_tokens is not None
    allowed = row.new_tokens if is_speed else row.max_new_tokens
    own = (row.model, row.workload, row.strategy, row.precision, row.batch_size, allowed, row.prompt_tokens, is_speed)
    units = row.new_tokens if is_speed else (row.items or 0) * (row.samples or 1)
    if units:
        alike[_Shape(*own), row.device].append((row.finished_at - row.started_at) / units)


def _kinds(shape: _Shape, device: str) -> Iterator[_Key]:
    """Yield the kinds that a job is of, the nearest first."""
    model, name, strategy, precision, batch_size, *_, is_speed = shape
    yield (0, device, shape)
    yield (1, device, model, name, strategy, precision, batch_size)
    yield (2, device, model, name, strategy, precision)
    yield (3, device, model, name, precision)
    yield (4, device, model, name)
    if not name.startswith(PREFIX):  # a harness's tasks have nothing in common
        yield (5, device, model, is_speed)


def _runs(connection: Connection) -> Sequence[Row[Any]]:
    columns = (run.c[name] for name in (*_TIMED, "started_at", "finished_at"))
    # What another tool took says nothing about our jobs.
    query = select(*columns).where(run.c.source == "benchbeat")
    return list(connection.execute(query.order_by(run.c.id.desc()).limit(_RUNS_AT_MOST)))


def _items_by_workload(connection: Connection) -> dict[str, int]:
    """Return how many items each workload has, of several by one name the largest."""
    query = select(workload.c.name, func.count()).join(item, item.c.workload_hash == workload.c.hash)
    counts: dict[str, int] = {}
    for name, count in connection.execute(query.group_by(workload.c.hash, workload.c.name)):
        counts[name] = max(count, counts.get(name, 0))
    asked = run.c["items"]
    harness = select(run.c.workload, func.max(asked)).where(asked.is_not(None)).group_by(run.c.workload)
    for name, count in connection.execute(harness):
        counts.setdefault(name, count)
    return counts


def _shape_of_spec(spec: JobSpec) -> _Shape:
    new_tokens = spec.new_tokens if spec.is_speed else spec.max_new_tokens
    return _Shape(
        spec.model,
        spec.workload,
        spec.strategy,
        spec.precision,
        spec.batch_size,
        new_tokens,
        spec.prompt_tokens,
        spec.is_speed,
    )


def _units_of_spec(spec: JobSpec, counts: Mapping[str, int]) -> int | None:
    if spec.new_tokens is not None:
        return spec.new_tokens
    everything = counts.get(spec.workload)
    items = spec.items if everything is None else min(spec.items or everything, everything)
    return None if items is None else items * spec.samples
