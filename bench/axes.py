"""The axes of a sweep's block: lists, ranges and names, checked one value at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from pydantic import ValidationError

from bench.catalog import DEFAULT_SETTINGS, fault
from bench.errors import InputError, suggest
from bench.library import Library
from bench.ranges import is_range, read_range
from bench.spec import JobSpec, StopRule

#: what a block may hold: the fields of a job, and named settings that stand for several of them
AXES = (*JobSpec.model_fields, "settings")

BAD_EXCLUDE = "must be a list of tables such as { strategy = 'direct' }"

#: axes whose values may be given as a range
_NUMBERS = frozenset(
    {"items", "items_seed", "samples", "temperature", "top_p", "top_k", "repetition_penalty", "max_new_tokens", "seed"}
    | {"prompt_tokens", "new_tokens", "batch_size", "processes", "job_seconds"}
)

#: axes that are true or false
_SWITCHES = frozenset({"compile", "word_timestamps", "detect_language", "profile"})

#: values of every axis, by its name
Axes = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Block:
    """One set of axes, and a function that gives the place of a key ("sweep.toml:7: model", "--model")."""

    values: Mapping[str, Any]
    where: Callable[[str], str]
    exclude: Sequence[Mapping[str, Any]] = field(default=())


def overridden(block: Block, overrides: Mapping[str, Sequence[Any]], where: Callable[[str], str]) -> Block:
    """Return a block whose axes are replaced by those given, which `where` gives the place of."""
    if not overrides:
        return block
    values = {**block.values, **{key: list(each) for key, each in overrides.items()}}
    return Block(values, lambda key: where(key) if key in overrides else block.where(key), block.exclude)


def read_axes(block: Block, library: Library) -> Axes:
    """Return the checked values of every axis of a block. Raises InputError that names place and key."""
    axes: dict[str, list[Any]] = {}
    for key, value in block.values.items():
        where = block.where(key)
        if key not in AXES:
            raise InputError(f"unknown key{suggest(key, (*AXES, 'exclude'))}", where=where)
        values = value if isinstance(value, list) else [value]
        if not values:
            raise InputError("an empty list leaves no job; give a value, or leave it out", where=where)
        axes[key] = _checked(key, values, library, where)
    for key in ("model", "workload"):
        if key not in axes:
            raise InputError(f"is missing; `benchbeat {key}s list` shows what there is", where=block.where(key))
    _check_settings(axes, block, library)
    return axes


def combinations(block: Block, axes: Axes, library: Library) -> Iterator[dict[str, Any]]:
    """Yield every combination of the values that is not excluded. Raises InputError for a wrong `exclude`."""
    exclude = [_exclusion(each, block, library) for each in block.exclude]
    for values in product(*axes.values()):
        combination = dict(zip(axes, values, strict=True))
        if not any(all(combination.get(key) in wanted for key, wanted in each.items()) for each in exclude):
            yield combination


def _checked(key: str, values: Sequence[Any], library: Library, where: str) -> list[Any]:
    """Return the values of an axis as a JobSpec will hold them, ranges unfolded."""
    checked = []
    for value in values:
        if key in _NUMBERS and isinstance(value, str) and is_range(value):
            try:
                checked += [_check(key, each, library, where) for each in read_range(value)]
            except ValueError as error:
                raise InputError(str(error), where=where) from None
        else:
            checked.append(_check(key, value, library, where))
    return checked


def _check(key: str, value: Any, library: Library, where: str) -> Any:
    names = {"model": library.model, "workload": library.workload, "strategy": library.strategy}
    if key in names or key == "settings":
        if not isinstance(value, str):
            raise InputError(f"must be a name in quotes (it is {value!r})", where=where)
        if key in names:
            names[key](value, where)
        return value
    if isinstance(value, bool) and key not in _SWITCHES:
        raise InputError(f"{str(value).lower()} is no value for it", where=where)
    if key in _SWITCHES and str(value).lower() not in ("true", "false"):  # an option's is a text
        raise InputError(f"must be true or false (it is {value!r})", where=where)
    try:
        return getattr(JobSpec(**{"model": "m", "workload": "w", key: value}), key)
    except ValidationError as error:
        raise InputError(fault(error, StopRule if key == "stop" else JobSpec)[1], where=where) from None


def _check_settings(axes: Axes, block: Block, library: Library) -> None:
    """Refuse named settings that no model of the block has."""
    known = {DEFAULT_SETTINGS, *(name for model in axes["model"] for name in library.models[model].settings)}
    for name in axes.get("settings", ()):
        if name not in known:
            raise InputError(
                f"no model of this block has settings {name!r}{suggest(name, known)}", where=block.where("settings")
            )


def _exclusion(table: Mapping[str, Any], block: Block, library: Library) -> dict[str, list[Any]]:
    where = block.where("exclude")
    if not isinstance(table, dict) or not table:
        raise InputError(BAD_EXCLUDE, where=where)
    for key in table:
        if key not in block.values:
            raise InputError(f"{key} is no axis of this block{suggest(key, block.values)}", where=where)
    lists = {key: value if isinstance(value, list) else [value] for key, value in table.items()}
    return {key: _checked(key, values, library, where) for key, values in lists.items()}
