"""Comparing runs: by the values of a column, or two batches or runs, each figure beside its baseline's."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection

from bench.errors import InputError, suggest
from bench.spec import PRECISIONS
from db.changes import Change, changes_of, is_timed
from db.compared_runs import ENVIRONMENT, SETTINGS, ChosenRun, check_column, chosen_runs, follows, readings
from db.conditions import Condition
from db.gains import values_by_run
from db.history import Query
from db.sides import Side, unfinished
from db.spreads import read_spreads

#: the values that others are compared with, the first that is there
BASELINES: dict[str, tuple[Any, ...]] = {
    "precision": ("float16", "float32", "bfloat16"),
    "strategy": ("direct",),
    "attention": ("sdpa",),
    "compile": (False,),
    "cache": ("dynamic",),
    "isolation": ("session",),
    "processes": (1,),
    "batch_size": (1,),
    "samples": (1,),
    "temperature": (0.0,),
    "device": ("cpu",),
    "word_timestamps": (False,),
    "detect_language": (False,),
    "source": ("benchbeat",),
}

#: values of a setting that are told
_FEW = 3
#: what another tool's runs have where it does not tell
_UNKNOWN = (None, "-")

_BITS = re.compile(r"\d{1,3}")

#: baseline, run, and the value of each
_Pair = tuple[ChosenRun, ChosenRun, Any, Any]


@dataclass(frozen=True)
class Line:
    """A run beside its baseline, which may be itself."""

    run: ChosenRun
    baseline: ChosenRun
    value: Any
    baseline_value: Any
    #: by metric; none for the baseline itself
    changes: Mapping[str, Change]
    #: what is tested, by metric: the geometric mean of the runs that stand for this one's side
    figures: Mapping[str, float]

    @property
    def is_baseline(self) -> bool:
        """Whether others are compared with this one."""
        return self.run.id == self.baseline.id


class Difference(NamedTuple):
    """A setting or version that differs between two sides."""

    column: str
    baseline: str
    other: str


@dataclass(frozen=True)
class Comparison:
    """What was compared; no lines where nothing could be, and a note then says why."""

    #: the column, or `side` for two batches or runs
    by: str
    lines: Sequence[Line]
    #: what else is to be known, in sentences
    notes: Sequence[str] = ()
    #: settings and versions that differ, beside the column
    differences: Sequence[Difference] = ()
    #: what the sides' words stand for, in sentences
    heads: Sequence[str] = ()


def compare_by(connection: Connection, query: Query, by: str, baseline: str | None = None) -> Comparison:
    """Compare the last clean runs that a query matches and that differ in a column only, and in what follows from it.

    Each is compared with the run that has `baseline`; without one, that of BASELINES, else the value that was measured
    first. Raises InputError for a column that nothing can be compared by, and for a baseline that no run has.
    """
    check_column(by)
    found = chosen_runs(connection, query, by)
    runs = [run for run in found if run.value is not None]
    wanted = None if baseline is None or not runs else _value(baseline, {run.value for run in runs})
    groups, several = _grouped(runs, by)
    first_at = {run.value: run.first_at for run in runs}
    pairs: list[_Pair] = []
    lonely: set[frozenset[int]] = set()
    for group in groups.values():
        first = _baseline(group, by, wanted, first_at)
        if first is None or len(group) < 2:
            lonely.add(frozenset(run.id for run in group.values()))
            continue
        others = sorted((value for value in group if value != first), key=_rank(by, first_at))
        pairs += [(group[first], group[value], first, value) for value in (first, *others)]
    if not pairs:
        return Comparison(by, (), _why_nothing(by, bool(found), list(first_at), wanted))
    pairs.sort(key=_place)
    notes = several if by == "source" else _several_devices(by, runs, groups)
    notes += _one_name(pairs)
    # By source a run may stand in one group and be alone in others.
    shown = {run.id for pair in pairs for run in pair[:2]}
    alone = sum(not group & shown for group in lonely)
    if alone:
        one = f"one {by} only" if wanted is None else f"no {by} {said(wanted)}, or nothing beside it"
        notes.append(f"Left out: {alone} series with {one}.")
    return Comparison(
        by, _lines(connection, pairs), notes, _differences(pairs, follows(by), _UNKNOWN if by == "source" else ())
    )


def compare_two(connection: Connection, query: Query, first: Side, second: Side) -> Comparison:
    """Compare the second side with the first: the runs of equal series; two runs whatever they differ in.

    Series of two machines are equal in all but the machine and its device. The query must not name what a side names.
    """
    heads = [side.meaning for side in (first, second) if side.meaning is not None]
    sides: list[dict[str, ChosenRun]] = []
    for side in (first, second):
        runs = chosen_runs(connection, side.of(query), None)
        if not runs:
            return Comparison("side", (), [_missing(connection, query, side)], heads=heads)
        sides.append({_key(run, first, second): run for run in runs})
    before, after = sides
    common = [key for key in before if key in after and not set(before[key].runs) & set(after[key].runs)]
    if not common:
        return Comparison("side", (), [_nothing_in_common(first, second, before, after)], heads=heads)
    names = str(first), str(second)
    pairs: list[_Pair] = []
    for key in common:
        pairs += [(before[key], before[key], names[0], names[0]), (before[key], after[key], names[0], names[1])]
    if not first.kind == second.kind == "run":
        pairs.sort(key=_place)
    notes = [*_one_name(pairs), *_left_out(names, before, after, len(common))]
    notes += [
        f"{side} is not finished{open_jobs}." for side in (first, second) if (open_jobs := _still(connection, side))
    ]
    return Comparison("side", _lines(connection, pairs), notes, _differences(pairs, ()), heads)


def _key(run: ChosenRun, first: Side, second: Side) -> str:
    """Return what must be equal in the runs of two sides."""
    if first.kind == second.kind == "run":
        return run.workload_hash
    return run.group("machine" if "machine" in (first.kind, second.kind) else "series")


def _missing(connection: Connection, query: Query, side: Side) -> str:
    """Return why a side is empty."""
    if side.kind == "run":
        return f"there is no {side} that matches"
    why = _still(connection, side)
    disturbed = replace(query, conditions=(*query.conditions, Condition("contaminated", "=", "true")))
    if runs := chosen_runs(connection, side.of(disturbed), None):
        why = f"; what it measured was disturbed (run:{runs[-1].id} compares a run all the same)"
    return f"there is no clean run of {side} that matches{why}"


def _still(connection: Connection, side: Side) -> str:
    open_jobs = unfinished(connection, side)
    return f": {open_jobs} of its jobs {'is' if open_jobs == 1 else 'are'} still to be measured" if open_jobs else ""


def _left_out(
    names: tuple[str, str], before: Mapping[str, ChosenRun], after: Mapping[str, ChosenRun], compared: int
) -> list[str]:
    shared = before.keys() & after.keys()
    notes = [
        f"Left out: {missing} series of {names[n]} that {names[1 - n]} has not."
        for n, side in enumerate((before, after))
        if (missing := len(side) - len(shared))
    ]
    if both := len(shared) - compared:
        notes.append(f"Left out: {both} series whose last runs are on both sides.")
    return notes


def _nothing_in_common(
    first: Side, second: Side, before: Mapping[str, ChosenRun], after: Mapping[str, ChosenRun]
) -> str:
    """Return why two sides can't be compared: what no run of the one shares with any of the other."""
    if before.keys() & after.keys():
        return f"{first} and {second} hold the same runs"
    values = [
        {name: {said(run.columns.get(name)) for run in side.values()} for name in ("workload", *SETTINGS)}
        for side in (before, after)
    ]
    apart = [name for name in values[0] if not values[0][name] & values[1][name]]
    if "workload" in apart or first.kind == second.kind == "run":
        return f"{first} and {second} measured different workloads, whose figures have no common unit"
    told = [
        f"{name} is {_few(sorted(values[0][name]))} in one and {_few(sorted(values[1][name]))} in the other"
        for name in apart[:_FEW]
    ]
    return f"{first} and {second} have no series in common{': ' if told else ''}{'; '.join(told)}"


def _few(values: Iterable[str]) -> str:
    first = list(islice(values, _FEW + 1))
    return ", ".join(first[:_FEW]) + (" ..." if len(first) > _FEW else "")


def said(value: Any) -> str:
    """Return a value as people type it: `true`, `0.5`."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _value(text: str, known: Iterable[Any]) -> Any:
    """Return the value that somebody typed, as the history holds it."""
    by_text = {said(value): value for value in known}
    typed = text.strip()
    if typed in by_text:
        return by_text[typed]
    for value in by_text.values():
        try:
            if not isinstance(value, str | bool) and float(value) == float(typed):
                return value
        except ValueError:
            break
    raise InputError(f"no run that matches has {text!r}{suggest(typed, by_text)}", where="--baseline")


def _grouped(runs: Sequence[ChosenRun], by: str) -> tuple[dict[str, dict[Any, ChosenRun]], list[str]]:
    """Return the runs that are compared with each other, by value, and a note where one stands for others.

    The later run of a group stands for the earlier ones.
    """
    groups: dict[str, dict[Any, ChosenRun]] = defaultdict(dict)
    passed_over: set[str] = set()
    for run in runs:
        for key in run.groups(by):
            if run.value in groups[key]:
                passed_over.add(said(run.value))
            groups[key][run.value] = run
    names = ", ".join(sorted(passed_over))
    return groups, [f"Of several series alike the last is shown (--where chooses): {names}."] if names else []


def _baseline(group: Mapping[Any, ChosenRun], by: str, wanted: Any, first_at: Mapping[Any, float]) -> Any:
    if wanted is not None:
        return wanted if wanted in group else None
    usual = [value for value in BASELINES.get(by, ()) if value in group]
    return usual[0] if usual else min(group, key=lambda value: (first_at[value], said(value)))


def _rank(by: str, first_at: Mapping[Any, float]) -> Callable[[Any], Any]:
    """Return what the values are sorted by: precisions from large to small, numbers by size, others by age."""
    if by == "precision":
        return _precision_rank
    if all(isinstance(value, int | float) for value in first_at):
        return lambda value: value
    return lambda value: (first_at[value], said(value))


def _precision_rank(name: str) -> tuple[int, int, str]:
    """Return what precisions are sorted by: ours from large to small, then others by the bits in their name."""
    bits = _BITS.search(name)
    return (PRECISIONS.index(name) if name in PRECISIONS else len(PRECISIONS), -int(bits[0]) if bits else 0, name)


def _place(pair: _Pair) -> tuple[Any, ...]:
    """Return what pairs are sorted by: their group, whose lines stay in order."""
    columns = pair[0].columns
    lengths = (columns[name] or 0 for name in ("temperature", "batch_size", "prompt_tokens", "new_tokens"))
    return columns["model"], columns["workload"], columns["strategy"] or "", *lengths, pair[0].id


def _why_nothing(by: str, is_found: bool, values: Sequence[Any], wanted: Any) -> list[str]:
    if not is_found:
        return []
    if not values:
        return [f"no run that matches has a {by}"]
    if len(values) == 1:
        return [f"every run that matches has the {by} {said(values[0])}; there is nothing to compare it with"]
    if wanted is not None:
        return [f"no run that matches differs from one with {by} {said(wanted)} in {by} alone"]
    if by == "source":
        shared = "model, workload, lengths, precision, device and machine"
        return [f"no two runs of different sources that match share {shared} (`import` has --here and --model)"]
    return [f"no two runs that match differ in {by} alone"]


def _several_devices(by: str, runs: Sequence[ChosenRun], groups: Mapping[str, Mapping[Any, ChosenRun]]) -> list[str]:
    """Return a note where a machine was measured on several devices: the last one stands for it."""
    several = {
        said(run.value) for run in runs if run.columns["device"] != groups[run.group(by)][run.value].columns["device"]
    }
    names = ", ".join(sorted(several))
    return [f"Measured on several devices, the last is shown (--device chooses): {names}."] if several else []


def _one_name(pairs: Sequence[_Pair]) -> list[str]:
    """Return a note where what was measured under one machine's name can't have been one machine."""
    names = sorted(
        {
            before.columns["machine"]
            for before, after, _, _ in pairs
            # Tools call one device by different names.
            if all(before.columns[name] == after.columns[name] for name in ("machine", "device", "source"))
            and before.columns["device_name"] != after.columns["device_name"]
        }
    )
    return [f"Two machines may share a name, as its device has two: {', '.join(names)}."] if names else []


def _differences(pairs: Sequence[_Pair], expected: Collection[str], unknown: Collection[Any] = ()) -> list[Difference]:
    """Return what else than expected differs in any pair, with the values of all pairs that it differs in.

    A value that is `unknown` differs from nothing.
    """
    found = []
    for column in (name for name in (*ENVIRONMENT, *SETTINGS) if name not in expected):
        both = [(before.columns[column], after.columns[column]) for before, after, _, _ in pairs]
        differing = [pair for pair in both if pair[0] != pair[1] and not any(each in unknown for each in pair)]
        if differing:
            sides = [_few(dict.fromkeys(said(pair[n]) for pair in differing)) for n in (0, 1)]
            found.append(Difference(column, *sides))
    return found


def _lines(connection: Connection, pairs: Sequence[_Pair]) -> list[Line]:
    runs = list({run.id: run for pair in pairs for run in pair[:2]}.values())
    sides = [(run, value) for _, run, _, value in pairs if is_timed(run)]
    timed, spreads = readings(connection, (run for run, _ in sides)), read_spreads(connection, sides)
    answered = [run for run in runs if run.columns["accuracy"] is not None]
    values = {name: values_by_run(connection, answered, name) for name in ("accuracy", "quality")} if answered else {}
    figures = {run.id: spreads.figures(run) for run in runs}
    lines = []
    for baseline, run, first, value in pairs:
        changes = {} if run.id == baseline.id else changes_of(baseline, run, timed, values, spreads)
        lines.append(Line(run, baseline, value, first, changes, figures[run.id]))
    return lines
