"""The library: every model, workload and strategy that a sweep may name, built in or a user's own."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.catalog import ModelEntry, Task, builtin_models, fault, own_model, parse_source
from bench.errors import InputError, suggest
from bench.harness import PREFIX, harness_workload
from bench.memory import estimated_memory
from bench.strategies import Strategy, builtin_strategies, own_strategy
from bench.toml import Lines, TablePath, read_toml
from bench.workloads import Summary, Workload, builtin_summary, builtin_workloads, read_workload

_Entry = TypeVar("_Entry")

#: as in JobSpec
_NAME = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]{1,200}")

#: what a file may define, in the order in which it is read: a strategy names workloads
KINDS = ("models", "workloads", "strategies")

#: in place of a workload's fields: the folder of a task of lm-eval
_HARNESS_KEY = "lm_eval"


@dataclass(frozen=True)
class Library:
    """What names stand for. A user's own entry hides a built-in one of the same name."""

    models: Mapping[str, ModelEntry]
    workloads: Mapping[str, Workload]
    strategies: Mapping[str, Strategy]
    #: where a user's own entry stands that hides a built-in one, by kind and name
    hidden: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def with_own(self, kind: str, entries: Any, lines: Lines, table: TablePath) -> "Library":
        """Return a library that has the `models`, `workloads` or `strategies` of a file too.

        Their paths are relative to it.

        `table` is the path under which they stand in it. Raises InputError that names file, line and field.
        """
        if not isinstance(entries, dict):
            raise InputError(f"must be tables [{kind}.NAME]", where=lines.place(kind))
        if not entries:
            return self
        for name in entries:
            _check_name(name, lines.line_of(name, table))
        own = {name: self._read(kind, name, fields, _Place(lines, (*table, name))) for name, fields in entries.items()}
        built_in = getattr(builtin_library(), kind)
        hidden = {(kind, name): lines.line_of(name, table) for name in own if name in built_in}
        merged: Mapping[str, Any] = _Over(own, getattr(self, kind))
        return replace(self, hidden={**self.hidden, **hidden}, **{kind: merged})

    def hiding(self, **used: Collection[str]) -> Iterator[str]:
        """Yield a sentence for each of the names, by kind, under which a user's own entry hides a built-in one."""
        for kind, names in used.items():
            for name in names:
                if (kind, name) in self.hidden:
                    what = {"models": "model", "workloads": "workload", "strategies": "strategy"}[kind]
                    yield f"{what} {name!r} is your own, from {self.hidden[kind, name]}; it hides the built-in one"

    def model(self, name: str, where: str | None = None) -> ModelEntry:
        """Return the model of a name. Raises InputError with near matches."""
        return _named(self.models, name, "model", where)

    def workload(self, name: str, where: str | None = None) -> Workload:
        """Return the workload of a name, `lm_eval:TASK` for a task of lm-eval. Raises InputError with near matches."""
        if name.startswith(PREFIX) and name not in self.workloads:
            _check_name(name, where)
            return harness_workload(name, where=where)
        return _named(self.workloads, name, "workload", where)

    def summaries(self) -> Iterator[Summary]:
        """Yield what a list shows of every workload; the built-in pictures are not drawn for it."""
        for name in self.workloads:
            own = ("workloads", name) in self.hidden or name not in builtin_workloads()
            yield Summary.of(self.workloads[name]) if own else builtin_summary(name)

    def strategy(self, name: str, where: str | None = None) -> Strategy:
        """Return the strategy of a name. Raises InputError with near matches."""
        return _named(self.strategies, name, "strategy", where)

    def _read(self, kind: str, name: str, fields: Any, place: "_Place") -> Any:
        if kind == "models":
            return _own_model(name, fields, place)
        if kind == "workloads":
            return _own_workload(name, fields, place)
        return own_strategy(name, fields, place, self.workloads)


def builtin_library() -> Library:
    """Return what comes with benchbeat."""
    return Library(builtin_models(), builtin_workloads(), builtin_strategies())


def load_library(home: Path) -> Library:
    """Return what comes with benchbeat and what models.toml, workloads.toml and strategies.toml in the home add."""
    library = builtin_library()
    for kind in KINDS:
        file = home / f"{kind}.toml"
        if not file.is_file():
            continue
        table = read_toml(file)
        # Both [models.NAME] and a plain [NAME] are what people write in a file of that name.
        path = (kind,) if kind in table else ()
        library = library.with_own(kind, table.get(kind, table), Lines(file), path)
    return library


def _check_name(name: str, where: str | None) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(f"the name {name!r} must be 1 to 200 characters without spaces", where=where)


class _Over(Mapping[str, _Entry]):
    """A user's own entries over others, which are not read before they are asked for."""

    def __init__(self, own: Mapping[str, _Entry], rest: Mapping[str, _Entry]) -> None:
        self._own, self._rest = own, rest

    def __getitem__(self, name: str) -> _Entry:
        return self._own[name] if name in self._own else self._rest[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._rest

    def __iter__(self) -> Iterator[str]:
        yield from self._rest
        yield from (name for name in self._own if name not in self._rest)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _named(entries: Mapping[str, _Entry], name: str, kind: str, where: str | None) -> _Entry:
    if name not in entries:
        raise InputError(f"unknown {kind} {name!r}{suggest(name, entries)}", where=where)
    return entries[name]


@dataclass(frozen=True)
class _Place:
    """The table of an entry in a file."""

    lines: Lines
    table: TablePath

    def __call__(self, key: str, *inner: str) -> str:
        return self.lines.place(key, (*self.table, *inner))

    def path(self, key: str, text: str) -> Path:
        """Return the path that the file gives under a key. Raises InputError where it can be none."""
        try:
            return (self.lines.file.parent / Path(text).expanduser()).resolve()
        except (ValueError, RuntimeError, OSError):
            raise InputError(f"{text!r} is no path", where=self(key)) from None


def _own_model(name: str, fields: Any, place: _Place) -> ModelEntry:
    entry = own_model(name, _with_memory(fields, place), place)
    source = parse_source(entry.source)
    if source.scheme not in ("file", "gguf"):
        return entry
    path = place.path("source", source.location)
    if entry.sha256 is None:
        _must_be_there(path, place)
    if entry.sha256 is not None and path.is_file():
        found = _sha256(path)
        if found != entry.sha256:
            raise InputError(f"{path} has the SHA-256 {found}, not {entry.sha256}", where=place("sha256"))
    return entry.model_copy(update={"source": f"{source.scheme}:{path}"})


def _with_memory(fields: Any, place: _Place) -> Any:
    """Return a model's fields with the memory that its files say, where they are here and it does not."""
    if not isinstance(fields, dict) or "memory_gib" in fields:
        return fields
    try:
        source = parse_source(str(fields.get("source")))
    except ValueError:
        return fields
    if source.scheme not in ("file", "gguf") or fields.get("task") not in get_args(Task):
        return fields
    path = place.path("source", source.location)
    if "sha256" in fields and not path.exists():
        return fields
    _must_be_there(path, place)
    found = estimated_memory(path, fields["task"], fields.get("architecture"))
    if not found:
        told = f"the files at {path} do not tell how much memory the model needs; are they weights? Else say it here"
        raise InputError(told, where=place("memory_gib"))
    return {**fields, "memory_gib": found}


def _must_be_there(path: Path, place: _Place) -> None:
    if not path.exists():
        raise InputError(
            f"there are no weights at {path}; give the path, or the file's sha256 if only the workers have it",
            where=place("source"),
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _OwnWorkload(BaseModel):
    """The table of a user's own workload."""

    model_config = ConfigDict(extra="forbid")

    task: str
    #: path of the file of items
    items: str
    score: str
    max_new_tokens: int = Field(1, ge=1, le=131_072)
    description: str = Field("", max_length=500)
    prose: bool = False


def _own_workload(name: str, fields: Any, place: _Place) -> Workload:
    if not isinstance(fields, dict):
        raise InputError("must be a table of fields", where=place("items"))
    if _HARNESS_KEY in fields:
        return _own_harness_workload(name, fields, place)
    try:
        given = _OwnWorkload(**fields)
    except ValidationError as error:
        key, message = fault(error, _OwnWorkload)
        raise InputError(message, where=place(key)) from None
    items = place.path("items", given.items)
    if not items.is_file():
        raise InputError(f"there is no file {items}", where=place("items"))
    where = place.lines.line_of("score" if given.task in get_args(Task) else "task", place.table)
    read = read_workload(items, name=name, task=given.task, score=given.score, where=where)
    options = given.model_dump(include={"max_new_tokens", "description", "prose"}, exclude_unset=True)
    return read.model_copy(update=options) if options else read


def _own_harness_workload(name: str, fields: dict[str, Any], place: _Place) -> Workload:
    """Return the task of a user's own folder that is named as the workload is."""
    for key in fields:
        if key != _HARNESS_KEY:
            raise InputError("does not go with lm_eval, whose task says it all", where=place(key))
    if not isinstance(fields[_HARNESS_KEY], str):
        raise InputError(f"must be a folder in quotes (it is {fields[_HARNESS_KEY]!r})", where=place(_HARNESS_KEY))
    folder = place.path(_HARNESS_KEY, fields[_HARNESS_KEY])
    return harness_workload(name, where=place(_HARNESS_KEY), folder=folder)
