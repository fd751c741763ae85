"""Sweeps: lists are axes, and a sweep expands to the job specifications of every combination."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.catalog import ModelEntry, fault
from bench.errors import InputError, suggest
from bench.library import Library
from bench.spec import JobSpec, StopRule
from bench.strategies import Strategy
from bench.toml import Lines, read_toml
from bench.workloads import Workload

#: a sweep that expands to more jobs is refused until it is confirmed
LARGE_SWEEP_JOBS = 100_000

PRIORITIES = range(-1000, 1001)

_TITLE = re.compile("[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}")
_EXCLUDE = "must be a list of tables such as { strategy = 'direct' }"

_AXES = tuple(JobSpec.model_fields)
_TOP_KEYS = ("name", "priority", "sweep", "models", "workloads")

#: fields that only one kind of workload uses
_QUALITY_FIELDS = frozenset(
    {"strategy", "items", "items_seed", "samples", "max_new_tokens"}
    | {"temperature", "top_p", "top_k", "repetition_penalty", "seed"}
)
_SPEED_FIELDS = frozenset({"prompt_tokens", "new_tokens", "stop"})

_QUALITY_DEFAULTS = {
    "strategy": "direct",
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "repetition_penalty": 1.0,
    "batch_size": 16,
}
_SPEED_DEFAULTS = {"prompt_tokens": 128, "new_tokens": 128, "stop": StopRule()}


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


@dataclass(frozen=True)
class Block:
    """One set of axes, and a function that gives the place of a key ("sweep.toml:7: model", "--model")."""

    values: Mapping[str, Any]
    where: Callable[[str], str]
    exclude: Sequence[Mapping[str, Any]] = field(default=())


def read_sweep(file: Path, library: Library, *, allow_large: bool = False) -> Sweep:
    """Read and expand a sweep file. Raises InputError that names file, line and field."""
    table = read_toml(file)
    lines = Lines(file)
    for key in table:
        if key not in _TOP_KEYS:
            hint = "; axes stand under [[sweep]]" if key in _AXES else suggest(key, _TOP_KEYS)
            raise InputError(f"unknown key{hint}", where=lines.place(key))
    name = check_name(table.get("name", file.stem), lines.place("name"))
    priority = check_priority(table.get("priority", 0), lines.place("priority"))
    for kind in ("models", "workloads"):
        library = library.with_own(kind, table.get(kind, {}), lines, (kind,))
    blocks = _blocks(table, lines)
    return expand(blocks, library, name=name, priority=priority, allow_large=allow_large, where=str(file))


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
    allow_large: bool = False,
    where: str | None = None,
) -> Sweep:
    """Expand blocks to a sweep; a job that occurs twice is kept once. `where` names their file. Raises InputError."""
    axes = [_axes(block, library) for block in blocks]
    total = sum(prod(len(values) for values in block_axes.values()) for block_axes in axes)
    if total > LARGE_SWEEP_JOBS and not allow_large:
        raise InputError(
            f"the sweep expands to {total:,} jobs, more than {LARGE_SWEEP_JOBS:,}; "
            "shorten its lists, or confirm with --yes",
            where=where,
        )
    specs: dict[JobSpec, None] = {}
    combinations = 0
    for block, block_axes in zip(blocks, axes, strict=True):
        for spec in _expand_block(block, block_axes, library):
            specs[spec] = None
            combinations += 1
    if not specs:
        raise InputError("leaves no job; take an entry out", where=blocks[-1].where("exclude"))
    return Sweep(
        name=name,
        priority=priority,
        specs=tuple(specs),
        models={spec.model: library.models[spec.model] for spec in specs},
        workloads={spec.workload: library.workloads[spec.workload] for spec in specs},
        strategies={spec.strategy: library.strategies[spec.strategy] for spec in specs if spec.strategy},
        places={
            name: block.where("model")
            for block, block_axes in zip(reversed(blocks), reversed(axes), strict=True)
            for name in block_axes["model"]
        },
        duplicates=combinations - len(specs),
    )


def _axes(block: Block, library: Library) -> dict[str, list[Any]]:
    axes: dict[str, list[Any]] = {}
    for key, value in block.values.items():
        where = block.where(key)
        if key not in _AXES:
            raise InputError(f"unknown key{suggest(key, (*_AXES, 'exclude'))}", where=where)
        values = value if isinstance(value, list) else [value]
        if not values:
            raise InputError("an empty list leaves no job; give a value, or leave it out", where=where)
        axes[key] = [_checked(key, each, library, where) for each in values]
    for key in ("model", "workload"):
        if key not in axes:
            raise InputError(f"is missing; `benchbeat {key}s list` shows what there is", where=block.where(key))
    return axes


def _checked(key: str, value: Any, library: Library, where: str) -> Any:
    """Return one value of an axis as a JobSpec will hold it."""
    names = {"model": library.model, "workload": library.workload, "strategy": library.strategy}
    if key in names:
        if not isinstance(value, str):
            raise InputError(f"must be a name in quotes (it is {value!r})", where=where)
        names[key](value, where)
        return value
    if isinstance(value, bool) and key != "compile":
        raise InputError(f"{str(value).lower()} is no value for it", where=where)
    try:
        return getattr(JobSpec(**{"model": "m", "workload": "w", key: value}), key)
    except ValidationError as error:
        raise InputError(fault(error, StopRule if key == "stop" else JobSpec)[1], where=where) from None


def _expand_block(block: Block, axes: Mapping[str, list[Any]], library: Library) -> Iterator[JobSpec]:
    exclude = [_exclusion(each, block, library) for each in block.exclude]
    for values in product(*axes.values()):
        combination = dict(zip(axes, values, strict=True))
        if any(all(combination.get(key) in wanted for key, wanted in each.items()) for each in exclude):
            continue
        yield _specification(combination, block, library)


def _exclusion(table: Mapping[str, Any], block: Block, library: Library) -> dict[str, list[Any]]:
    where = block.where("exclude")
    if not isinstance(table, dict) or not table:
        raise InputError(_EXCLUDE, where=where)
    for key in table:
        if key not in block.values:
            raise InputError(f"{key} is no axis of this block{suggest(key, block.values)}", where=where)
    lists = {key: value if isinstance(value, list) else [value] for key, value in table.items()}
    return {key: [_checked(key, each, library, where) for each in values] for key, values in lists.items()}


def _specification(combination: dict[str, Any], block: Block, library: Library) -> JobSpec:
    """Return one job: what its workload does not use is left out, what is not given takes its default."""
    entry, workload = library.models[combination["model"]], library.workloads[combination["workload"]]
    if entry.task != workload.task:
        raise InputError(
            f"{workload.name!r} is for {workload.task} models, {entry.name!r} is a {entry.task} model",
            where=block.where("workload"),
        )
    speed = workload.kind == "speed"
    unused = _QUALITY_FIELDS if speed else _SPEED_FIELDS
    used = {key: value for key, value in combination.items() if key not in unused}
    values: dict[str, Any] = {"precision": entry.precision, **(_SPEED_DEFAULTS if speed else _QUALITY_DEFAULTS)}
    if not speed:
        values["max_new_tokens"] = workload.max_new_tokens
    values |= used
    if values["precision"] not in entry.memory_gib:
        raise InputError(
            f"{entry.name!r} has no {values['precision']}; it has {', '.join(entry.memory_gib)}",
            where=block.where("precision"),
        )
    if not speed:
        _check_quality(values, block, library, workload)
    return JobSpec(**values)


def _check_quality(values: dict[str, Any], block: Block, library: Library, workload: Workload) -> None:
    if values["temperature"] == 0:
        # Greedy decoding: the same answer whatever the sampling settings and however often it is asked.
        values |= {"top_p": 1.0, "top_k": 0, "seed": 0, "samples": 1}
    if values.get("items") is not None and values["items"] > len(workload.items):
        raise InputError(
            f"{workload.name!r} has {len(workload.items)} items, not {values['items']}",
            where=block.where("items"),
        )
    if not workload.examples and values["strategy"] == "few_shot":
        try:
            library.strategies["few_shot"].messages(workload, "")
        except InputError as error:
            raise InputError(error.message, where=block.where("strategy")) from None


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
            raise InputError(_EXCLUDE, where=where("exclude"))
        made.append(Block({key: value for key, value in block.items() if key != "exclude"}, where, exclude))
    return made
