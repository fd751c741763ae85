"""Checking workloads' files: one of JSON lines, or all that a TOML file declares."""

from pathlib import Path
from typing import Any, NamedTuple, get_args

from bench.catalog import Task
from bench.errors import InputError, suggest
from bench.library import builtin_library
from bench.scoring import Scorer
from bench.toml import Lines, read_toml
from bench.workload_files import Fault, validate_file
from bench.workloads import read_workload

_SCORERS: tuple[str, ...] = get_args(Scorer)


class Validated(NamedTuple):
    """What was found in one file of items."""

    file: Path
    faults: list[Fault]
    #: what it holds, where it has no fault
    summary: str


def validated(file: Path, score: str | None, task: str | None = None) -> list[Validated]:
    """Check a file. Raises InputError for one that can't be read or does not say how it is scored."""
    if file.suffix.lower() != ".toml":
        if score is None:
            known = ", ".join(sorted(_SCORERS))
            raise InputError(f"is needed to check JSON lines: how are the answers scored? ({known})", where="--score")
        if score not in _SCORERS:
            raise InputError(f"unknown scorer {score!r}{suggest(score, _SCORERS)}", where="--score")
        return [_check(file, file.stem, task or ("speech" if score == "wer" else "text"), score)]
    for option, what, given in (("--score", "scorer", score), ("--task", "task", task)):
        if given is not None:
            raise InputError(f"goes without a TOML file, which names the {what} itself", where=option)
    table = read_toml(file)
    declared = table.get("workloads", {} if "sweep" in table else table)
    if not isinstance(declared, dict) or not declared:
        raise InputError("declares no [workloads.NAME]", where=str(file))
    return [_declared(file, name, fields, in_tables="workloads" in table) for name, fields in declared.items()]


def _declared(file: Path, name: str, fields: Any, *, in_tables: bool) -> Validated:
    items = fields.get("items") if isinstance(fields, dict) else None
    task, score = (fields.get("task"), fields.get("score")) if isinstance(fields, dict) else (None, None)
    if isinstance(items, str) and isinstance(task, str) and isinstance(score, str):
        path = file.parent / Path(items).expanduser()
        if path.is_file() and score in _SCORERS and task in get_args(Task):
            return _check(path, name, task, score)
    # What is wrong is the declaration itself, which says so when it is read.
    table = ("workloads",) if in_tables else ()
    workload = builtin_library().with_own("workloads", {name: fields}, Lines(file), table).workloads[name]
    return Validated(file, [], f"workload {name!r}: {workload.description}")


def _check(path: Path, name: str, task: str, score: str) -> Validated:
    faults = validate_file(path, task=task, score=score)
    if faults:
        return Validated(path, faults, "")
    workload = read_workload(path, name=name, task=task, score=score, where=str(path))
    items, examples = len(workload.items), len(workload.examples)
    shown = f" and {examples} {'example' if examples == 1 else 'examples'}" if examples else ""
    return Validated(path, [], f"{items} {'item' if items == 1 else 'items'}{shown}, all can be scored by {score}")
