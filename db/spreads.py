"""How far runs of one thing lie apart on a machine, as the history knows it."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, fsum, log
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Row, bindparam, text

from bench.replicates import LEAST_FREEDOM, LEAST_SERIES, Spread, prior_of, spread_within
from db.compared_runs import ChosenRun
from db.jobs import in_parts
from db.last_runs import last_clean_runs

#: how fast a run of fixed lengths was
SPEED = ("decode_tokens_per_second", "ttft_seconds", "latency_seconds")
#: figures whose ratio is tested
TESTED = (*SPEED, "prefill_tokens_per_second", "real_time_factor")
#: the last clean runs of a series that tell its spread
_PAST_RUNS = 100
#: the series of a machine's device that were measured last, whose spread tells that of the others
_MACHINE_SERIES = 50

_COLUMNS = "id, series_id, environment_id, device_name, started_at, " + ", ".join(TESTED)
_OF_RUN = ", ".join(f"r.{name}" for name in _COLUMNS.split(", "))
_WANTED_SERIES = "SELECT id AS series_id FROM series_key WHERE id IN :wanted"
_NAMED = f"SELECT {_COLUMNS} FROM run WHERE id IN :wanted"
_NEAR_SERIES = f"""
SELECT series_id FROM run WHERE id IN (
    SELECT run_id FROM newest WHERE machine = :machine AND device = :device AND {{kind}}
    ORDER BY started_at DESC LIMIT {_MACHINE_SERIES})
"""

#: what a spread stands on: earlier runs of the series, the machine's other series, or nothing that was measured
Basis = Literal["history", "machine", "assumed"]


class _Past(NamedTuple):
    """A run of a series, with the logarithms of its figures."""

    id: int
    #: runs that are equal in it were measured with the same versions on the same device
    group: tuple[Any, ...]
    began_at: float
    logs: Mapping[str, float]


class _Near(NamedTuple):
    """What the series of a device tell about the spread of one figure."""

    #: those that have a spread
    series: frozenset[int]
    prior: Spread | None


#: a run that is compared, with what its side is called
_Named = tuple[ChosenRun, Any]
_Place = Callable[[_Past], Any]


class _Device(NamedTuple):
    """Where, and what kind of work: what runs of other series must share to tell something."""

    machine: str
    device: str
    #: `speed`, or the task
    kind: str


@dataclass(frozen=True)
class Spreads:
    """The clean runs of some series and of the machines that measured them."""

    _past: Mapping[int, Sequence[_Past]]
    #: by id, of the runs that stand beside those that are compared
    _beside: Mapping[int, Mapping[str, float]]
    _near: Mapping[_Device, Mapping[str, "_Near"]]

    def logs(self, metric: str, run: ChosenRun) -> list[float]:
        """Return the logarithm of the figure of each run that stands for a side."""
        figure = run.columns[metric]
        first = [log(figure)] if figure is not None and figure > 0 else []
        beside = (self._beside.get(each, {}).get(metric) for each in run.beside)
        return [*first, *(value for value in beside if value is not None)]

    def figure(self, metric: str, run: ChosenRun) -> float | None:
        """Return a side's figure: the geometric mean of its runs."""
        logs = self.logs(metric, run) if metric in TESTED else []
        # Not by way of its logarithm: a figure of one run is that run's.
        return exp(fsum(logs) / len(logs)) if len(logs) > 1 else run.columns[metric]

    def figures(self, run: ChosenRun) -> dict[str, float]:
        """Return a side's figures by metric."""
        found = {metric: self.figure(metric, run) for metric in TESTED}
        return {metric: value for metric, value in found.items() if value is not None}

    def own(self, metric: str, baseline: ChosenRun, run: ChosenRun) -> Spread | None:
        """Return how far runs of the two sides' series lie apart, within runs that were alike; None for too few.

        Alike are those of a side, and others with the same versions that were all measured before, between or after
        both sides: what one looks for may have happened in between.
        """
        place = _places([(baseline, "baseline"), (run, "run")])
        past = (each for series in {baseline.series_id, run.series_id} for each in self._past.get(series, ()))
        return _spread_of(metric, (((place(each), each.group), each) for each in past))

    def near(self, metric: str, baseline: ChosenRun, run: ChosenRun) -> Spread | None:
        """Return what the series of the machine tell, of two machines the less steady one's; None for too few."""
        found = []
        for side in (baseline, run):
            near = self._near[_device(side)][metric]
            if near.prior is None or len(near.series - {baseline.series_id, run.series_id}) < LEAST_SERIES:
                return None
            found.append(near.prior)
        return max(found)


def read_spreads(connection: Connection, sides: Sequence[_Named]) -> Spreads:
    """Read what the history knows about the spread of the runs that are compared, each with what its side is called."""
    wanted = {each for run, _ in sides for each in run.beside}
    past: dict[int, list[_Past]] = defaultdict(list)
    beside: dict[int, Mapping[str, float]] = {}
    of_series = f"SELECT {_OF_RUN} {last_clean_runs(connection, _WANTED_SERIES, _PAST_RUNS)}"
    for row in _asked(connection, of_series, {run.series_id for run, _ in sides}):
        past[row.series_id].append(_read(row))
        if row.id in wanted:
            beside[row.id] = past[row.series_id][-1].logs
    # Those that are long ago, and disturbed ones that were asked for.
    beside |= {row.id: _read(row).logs for row in _asked(connection, _NAMED, wanted - beside.keys())}
    place = _places(sides)
    devices = {_device(run) for run, _ in sides}
    return Spreads(past, beside, {device: _near(connection, device, place) for device in devices})


def _places(sides: Sequence[_Named]) -> _Place:
    """Return what tells a side that a run is on, else between which sides it was measured.

    What is compared may have changed all series of a machine alike, so it must be in no series' spread.
    """
    names = {each: name for run, name in sides for each in run.runs}
    begun: dict[Any, float] = {}
    for run, name in sides:
        begun[name] = min(run.began_at, begun.get(name, run.began_at))
    moments = sorted(begun.values())
    return lambda past: ("side", names[past.id]) if past.id in names else bisect_left(moments, past.began_at)


def _device(run: ChosenRun) -> _Device:
    kind = "speed" if run.is_speed else str(run.columns["task"])
    return _Device(run.columns["machine"], run.columns["device"], kind)


def _near(connection: Connection, device: _Device, place: _Place) -> dict[str, _Near]:
    """Return by metric what the series that a device measured more than once tell."""
    is_speed = device.kind == "speed"
    near = _NEAR_SERIES.format(kind="new_tokens IS NOT NULL" if is_speed else "task = :task AND new_tokens IS NULL")
    statement = f"SELECT {_OF_RUN} {last_clean_runs(connection, near, _PAST_RUNS)}"
    values = {"machine": device.machine, "device": device.device} | ({} if is_speed else {"task": device.kind})
    series: dict[int, list[tuple[Any, _Past]]] = defaultdict(list)
    for row in connection.execute(text(statement), values):
        past = _read(row)
        series[row.series_id].append(((place(past), past.group), past))
    found = {}
    for metric in TESTED:
        spreads = {number: _spread_of(metric, runs) for number, runs in series.items()}
        known = {number: spread for number, spread in spreads.items() if spread is not None}
        is_enough = sum(spread.freedom for spread in known.values()) >= LEAST_FREEDOM
        found[metric] = _Near(frozenset(known), prior_of(list(known.values())) if is_enough else None)
    return found


def _spread_of(metric: str, runs: Iterable[tuple[Any, _Past]]) -> Spread | None:
    """Return the spread of runs within those that have an equal key."""
    groups: dict[Any, list[float]] = defaultdict(list)
    for key, run in runs:
        if metric in run.logs:
            groups[key].append(run.logs[metric])
    return spread_within(groups.values())


def _read(row: Row[Any]) -> _Past:
    number, series, environment, device_name, began_at, *figures = tuple(row)
    logs = {name: log(value) for name, value in zip(TESTED, figures, strict=True) if value is not None and value > 0}
    return _Past(number, (series, environment, device_name), began_at, logs)


def _asked(connection: Connection, query: str, ids: Iterable[int]) -> Iterable[Row[Any]]:
    statement = text(query).bindparams(bindparam("wanted", expanding=True))
    for part in in_parts(sorted(ids)):
        yield from connection.execute(statement, {"wanted": part})
