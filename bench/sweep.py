"""Sweeps: lists are axes, and a sweep expands to the job specifications of every combination."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from bench.axes import AXES, BAD_EXCLUDE, overridden, read_axes
from bench.axes import Block as Block
from bench.catalog import ModelEntry
from bench.combine import Combiner
from bench.errors import InputError, suggest
from bench.garbage import uncollected
from bench.labels import check_labels
from bench.library import KINDS, Library
from bench.spec import JobSpec
from bench.strategies import Strategy
from bench.toml import Lines, read_toml
from bench.workloads import Workload

#: a sweep that expands to more jobs is refused until it is confirmed
LARGE_SWEEP_JOBS = 100_000

PRIORITIES = range(-1000, 1001)

_TITLE = re.compile("[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}")
_TOP_KEYS = ("name", "priority", "labels", "sweep", *KINDS)


@dataclass(frozen=True)
class Sweep:
    """A sweep, expanded."""

    name: str
    priority: int
    specs: tuple[JobSpec, ...]
    #: the entries that the specifications name
    models: Mapping[str, ModelEntry]
    workloads: Mapping[str, Workload]
    strategies: Mapping[str, Strategy]
    #: where each model is named first ("sweep.toml:7: model"), for whoever refuses it
    places: Mapping[str, str]
    #: combinations that were the same job as an earlier one, and left out
    duplicates: int = 0
    #: the submitter's own words about it
    labels: Mapping[str, str] = field(default_factory=dict)
    #: sentences for the user: what is done otherwise than one may expect
    notes: tuple[str, ...] = ()


def read_sweep(
    file: Path,
    library: Library,
    *,
    overrides: Mapping[str, Sequence[Any]] | None = None,
    where_override: Callable[[str], str] = lambda key: f"--set {key}",
    allow_large: bool = False,
) -> Sweep:
    """Read and expand a sweep file. Raises InputError that names file, line and field.

    `overrides` are values of axes that replace those of every block; `where_override` gives the place of one.
    """
    table = read_toml(file)
    lines = Lines(file)
    for key in table:
        if key not in _TOP_KEYS:
            hint = "; axes stand under [[sweep]]" if key in AXES else suggest(key, _TOP_KEYS)
            raise InputError(f"unknown key{hint}", where=lines.place(key))
    name = check_name(table.get("name", file.stem), lines.place("name"))
    priority = check_priority(table.get("priority", 0), lines.place("priority"))
    labels = check_labels(
        table.get("labels", {}), lambda key: lines.place(key, ("labels",)) if key else lines.place("labels")
    )
    for kind in KINDS:
        library = library.with_own(kind, table.get(kind, {}), lines, (kind,))
    blocks = [overridden(block, overrides or {}, where_override) for block in _blocks(table, lines)]
    return expand(
        blocks, library, name=name, priority=priority, labels=labels, allow_large=allow_large, where=str(file)
    )


def check_name(name: Any, where: str) -> str:
    """Return the name of a batch. Raises InputError."""
    if not isinstance(name, str) or not _TITLE.fullmatch(name):
        raise InputError("must be a text of 1 to 200 characters on one line", where=where)
    return name


def check_priority(value: Any, where: str) -> int:
    """Return the priority of a batch. Raises InputError."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in PRIORITIES:
        allowed = f"{PRIORITIES.start} to {PRIORITIES.stop - 1}"
        raise InputError(f"must be a whole number from {allowed} (it is {value!r})", where=where)
    return value


def expand(
    blocks: Sequence[Block],
    library: Library,
    *,
    name: str,
    priority: int = 0,
    labels: Mapping[str, str] | None = None,
    allow_large: bool = False,
    where: str | None = None,
) -> Sweep:
    """Expand blocks to a sweep; a job that occurs twice is kept once. `where` names their file. Raises InputError."""
    axes = [read_axes(block, library) for block in blocks]
    total = sum(prod(len(values) for values in block_axes.values()) for block_axes in axes)
    if total > LARGE_SWEEP_JOBS and not allow_large:
        raise InputError(
            f"the sweep expands to {total:,} jobs, more than {LARGE_SWEEP_JOBS:,}; "
            "shorten its lists, or confirm with --yes",
            where=where,
        )
    combiner = Combiner(library)
    specs: dict[JobSpec, None] = {}
    combined = 0
    with uncollected():
        for block, block_axes in zip(blocks, axes, strict=True):
            for spec in combiner.jobs(block, block_axes):
                specs[spec] = None
                combined += 1
    if not specs:
        raise InputError("leaves no job; take an entry out", where=blocks[-1].where("exclude"))
    models = {spec.model: library.models[spec.model] for spec in specs}
    workloads = {spec.workload: combiner.workloads[spec.workload] for spec in specs}
    strategies = {spec.strategy: library.strategies[spec.strategy] for spec in specs if spec.strategy}
    return Sweep(
        name=name,
        priority=priority,
        specs=tuple(specs),
        models=models,
        workloads=workloads,
        strategies=strategies,
        places={
            name: block.where("model")
            for block, block_axes in zip(reversed(blocks), reversed(axes), strict=True)
            for name in block_axes["model"]
        },
        duplicates=combined - len(specs),
        labels=dict(labels or {}),
        notes=(*library.hiding(models=models, workloads=workloads, strategies=strategies), *combiner.notes),
    )


def _blocks(table: Mapping[str, Any], lines: Lines) -> list[Block]:
    blocks = table.get("sweep")
    if isinstance(blocks, dict):
        raise InputError("write [[sweep]], in double brackets, above the axes", where=lines.place("sweep"))
    if not isinstance(blocks, list) or not blocks or not all(isinstance(block, dict) for block in blocks):
        raise InputError("holds no [[sweep]] block, which names at least model and workload", where=str(lines.file))
    made = []
    for number, block in enumerate(blocks):
        where = partial(lines.place, table=("sweep",), number=number)
        exclude = block.get("exclude", [])
        if not isinstance(exclude, list):
            raise InputError(BAD_EXCLUDE, where=where("exclude"))
        made.append(Block({key: value for key, value in block.items() if key != "exclude"}, where, exclude))
    return made
