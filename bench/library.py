"""The library: every model, workload and strategy that a sweep may name, built in or a user's own."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from bench.catalog import ModelEntry, builtin_models, own_models, parse_source
from bench.errors import InputError, suggest
from bench.strategies import Strategy, builtin_strategies
from bench.workloads import Workload, builtin_workloads, read_workload

_Entry = TypeVar("_Entry")

_WORKLOAD_KEYS = ("task", "items", "score")


@dataclass(frozen=True)
class Library:
    """What names stand for. A user's own entry hides a built-in one of the same name."""

    models: Mapping[str, ModelEntry]
    workloads: Mapping[str, Workload]
    strategies: Mapping[str, Strategy]

    def with_own(self, models: Mapping[str, Any], workloads: Mapping[str, Any], file: Path) -> "Library":
        """Return a library that has the entries of `file` too; their paths are relative to it. Raises InputError."""
        own = {name: _located(entry, file) for name, entry in own_models(models, str(file)).items()}
        read = {name: _own_workload(name, fields, file) for name, fields in workloads.items()}
        return replace(self, models={**self.models, **own}, workloads={**self.workloads, **read})

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
    for name, kind in (("models.toml", "models"), ("workloads.toml", "workloads")):
        file = home / name
        if not file.is_file():
            continue
        table = read_toml(file)
        # Both [models.NAME] and a plain [NAME] are what people write in a file of that name.
        entries = table.get(kind, table)
        library = library.with_own(entries if kind == "models" else {}, entries if kind == "workloads" else {}, file)
    return library


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file. Raises InputError that names the file, and the line of a fault."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(file)) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is no valid TOML: {error}", where=str(file)) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", where=str(file)) from None
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", where=str(file)) from None


def _named(entries: Mapping[str, _Entry], name: str, kind: str, where: str | None) -> _Entry:
    if name not in entries:
        raise InputError(f"unknown {kind} {name!r}{suggest(name, entries)}", where=where)
    return entries[name]


def _located(entry: ModelEntry, file: Path) -> ModelEntry:
    source = parse_source(entry.source)
    if source.scheme not in ("file", "gguf"):
        return entry
    where = str(file)
    path = (file.parent / Path(source.location).expanduser()).resolve()
    if not path.exists() and entry.sha256 is None:
        raise InputError(
            f"[models.{entry.name}] source: there are no weights at {path}; "
            "give the path, or the file's sha256 if only the workers have it",
            where=where,
        )
    if entry.sha256 is not None and path.is_file():
        found = _sha256(path)
        if found != entry.sha256:
            raise InputError(f"[models.{entry.name}] sha256: {path} has {found}, not {entry.sha256}", where=where)
    return entry.model_copy(update={"source": f"{source.scheme}:{path}"})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_workload(name: str, fields: Any, file: Path) -> Workload:
    where = str(file)
    if not isinstance(fields, dict):
        raise InputError(f"[workloads.{name}] must be a table of fields", where=where)
    for key in fields:
        if key not in _WORKLOAD_KEYS:
            raise InputError(f"[workloads.{name}] {key}: unknown key{suggest(key, _WORKLOAD_KEYS)}", where=where)
    for key in _WORKLOAD_KEYS:
        if not isinstance(fields.get(key), str):
            raise InputError(f"[workloads.{name}] {key}: is missing, or is no text", where=where)
    items = file.parent / Path(fields["items"]).expanduser()
    return read_workload(items, name=name, task=fields["task"], score=fields["score"], where=where)
