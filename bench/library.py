"""The library: every model, workload and strategy that a sweep may name, built in or a user's own."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from bench.catalog import ModelEntry, builtin_models, own_model, parse_source
from bench.errors import InputError, suggest
from bench.strategies import Strategy, builtin_strategies
from bench.toml import Lines, TablePath, read_toml
from bench.workloads import Workload, builtin_workloads, read_workload

_Entry = TypeVar("_Entry")

#: as in JobSpec
_NAME = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]{1,200}")
_WORKLOAD_KEYS = ("task", "items", "score")


@dataclass(frozen=True)
class Library:
    """What names stand for. A user's own entry hides a built-in one of the same name."""

    models: Mapping[str, ModelEntry]
    workloads: Mapping[str, Workload]
    strategies: Mapping[str, Strategy]

    def with_own(self, kind: str, entries: Any, lines: Lines, table: TablePath) -> "Library":
        """Return a library that has the `models` or `workloads` of a file too; their paths are relative to it.

        `table` is the path under which they stand in it. Raises InputError that names file, line and field.
        """
        if not isinstance(entries, dict):
            raise InputError(f"must be tables [{kind}.NAME]", where=lines.place(kind))
        read = _own_model if kind == "models" else _own_workload
        for name in entries:
            if not _NAME.fullmatch(name):
                message = f"the name {name!r} must be 1 to 200 characters without spaces"
                raise InputError(message, where=lines.line_of(name, table))
        own = {name: read(name, fields, _Place(lines, (*table, name))) for name, fields in entries.items()}
        return replace(self, **{kind: {**getattr(self, kind), **own}})

    def model(self, name: str, where: str | None = None) -> ModelEntry:
        """Return the model of a name. Raises InputError with near matches."""
        return _named(self.models, name, "model", where)

    def workload(self, name: str, where: str | None = None) -> Workload:
        """Return the workload of a name. Raises InputError with near matches."""
        return _named(self.workloads, name, "workload", where)

    def strategy(self, name: str, where: str | None = None) -> Strategy:
        """Return the strategy of a name. Raises InputError with near matches."""
        return _named(self.strategies, name, "strategy", where)


def builtin_library() -> Library:
    """Return what comes with benchbeat."""
    return Library(builtin_models(), builtin_workloads(), builtin_strategies())


def load_library(home: Path) -> Library:
    """Return what comes with benchbeat and what `models.toml` and `workloads.toml` in the home add."""
    library = builtin_library()
    for kind in ("models", "workloads"):
        file = home / f"{kind}.toml"
        if not file.is_file():
            continue
        table = read_toml(file)
        # Both [models.NAME] and a plain [NAME] are what people write in a file of that name.
        path = (kind,) if kind in table else ()
        library = library.with_own(kind, table.get(kind, table), Lines(file), path)
    return library


def _named(entries: Mapping[str, _Entry], name: str, kind: str, where: str | None) -> _Entry:
    if name not in entries:
        raise InputError(f"unknown {kind} {name!r}{suggest(name, entries)}", where=where)
    return entries[name]


@dataclass(frozen=True)
class _Place:
    """The table of an entry in a file."""

    lines: Lines
    table: TablePath

    def __call__(self, key: str) -> str:
        return self.lines.place(key, self.table)

    def path(self, text: str) -> Path:
        """Return a path that the file gives."""
        return (self.lines.file.parent / Path(text).expanduser()).resolve()


def _own_model(name: str, fields: Any, place: _Place) -> ModelEntry:
    entry = own_model(name, fields, place)
    source = parse_source(entry.source)
    if source.scheme not in ("file", "gguf"):
        return entry
    path = place.path(source.location)
    if not path.exists() and entry.sha256 is None:
        raise InputError(
            f"there are no weights at {path}; give the path, or the file's sha256 if only the workers have it",
            where=place("source"),
        )
    if entry.sha256 is not None and path.is_file():
        found = _sha256(path)
        if found != entry.sha256:
            raise InputError(f"{path} has the SHA-256 {found}, not {entry.sha256}", where=place("sha256"))
    return entry.model_copy(update={"source": f"{source.scheme}:{path}"})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_workload(name: str, fields: Any, place: _Place) -> Workload:
    if not isinstance(fields, dict):
        raise InputError("must be a table of fields", where=place("items"))
    for key in fields:
        if key not in _WORKLOAD_KEYS:
            raise InputError(f"unknown key{suggest(key, _WORKLOAD_KEYS)}", where=place(key))
    for key in _WORKLOAD_KEYS:
        if key not in fields:
            raise InputError("is missing", where=place(key))
        if not isinstance(fields[key], str):
            raise InputError(f"must be a text in quotes (it is {fields[key]!r})", where=place(key))
    items = place.path(fields["items"])
    if not items.is_file():
        raise InputError(f"there is no file {items}", where=place("items"))
    wrong = "score" if fields["task"] == "text" else "task"
    where = place.lines.line_of(wrong, place.table)
    return read_workload(items, name=name, task=fields["task"], score=fields["score"], where=where)
