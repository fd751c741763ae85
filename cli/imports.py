"""`import`: results of llama-bench and lm-eval, into the same history."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.completion import names_of, one_of
from cli.context import State
from cli.options import output_option
from cli.patience import patience

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from cli.import_files import Asked, ImportFile
    from db.imports import Candidate, Stored

#: runs that are shown when they are stored
_SHOWN = 20
_FORMATS = ("llama-bench-json", "llama-bench-sql", "lm-eval", "make-bench")
#: what --dry-run shows of each run
_PLANNED = ("model", "workload", "precision", "device", "machine", "prompt_tokens", "new_tokens")
_FIGURES = (
    *("items", "accuracy", "accuracy_stderr", "decode_tokens_per_second", "prefill_tokens_per_second"),
    *("latency_seconds", "iterations"),
)


@click.command("import", short_help="Take over results of llama-bench, lm-eval and make bench.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--here", is_flag=True, help="This machine measured them.")
@click.option("--machine", metavar="ID", help="The machine that measured them.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[THEIRS=]NAME",
    help="Name of the model, instead of the file's.",
    shell_complete=names_of("models"),
)
@click.option(
    "--format",
    "format_name",
    metavar="FORMAT",
    help=f"{', '.join(_FORMATS)}.  [default: by the content]",
    shell_complete=one_of(_FORMATS),
)
@click.option("--dry-run", is_flag=True, help="Show what would be stored; store nothing.")
@output_option
@click.pass_obj
def import_(
    state: State,
    files: tuple[Path, ...],
    here: bool,
    machine: str | None,
    models: tuple[str, ...],
    format_name: str | None,
    dry_run: bool,
    output: str,
) -> None:
    """Store what another tool measured in the same history, marked by its source: llama-bench's output (-o json,
    jsonl or sql), lm-eval's results_*.json and the JSON of `make bench`. A FILE of - is standard input.

    All files are stored or none. A run that is there already is not stored again, so a file that grows may be
    imported again and again.

    \b
    Examples:
      benchbeat import llama-bench.json --here --model smollm2-135m
      benchbeat import results_2026-11-26T01-10-48.json --machine lab-a --dry-run
      llama-bench -m qwen.gguf -o jsonl | benchbeat import - --here
      benchbeat compare --by source
    """
    from cli.import_files import check_names, open_file

    asked = _read_options(state, here, machine, models, format_name)
    with ExitStack() as stack:
        with patience(state, "reading"):
            opened = [open_file(file, stack) for file in files]
            for file in opened:
                file.look_through(asked)
        check_names(asked, opened)
        _advise(state, asked, opened)
        if dry_run:
            _print_plan(state, asked, opened, output)
            return
        with patience(state, "storing"):
            stored = _store(state, asked, opened)
    _print_stored(state, opened, stored, output)


def _read_options(
    state: State, here: bool, machine: str | None, models: tuple[str, ...], format_name: str | None
) -> "Asked":
    """Return what the options say. Raises InputError."""
    from bench.catalog import parse_source
    from bench.errors import InputError
    from bench.faults import MACHINE_ID, MACHINE_ID_IN_WORDS
    from bench.imports.formats import check_format
    from cli.import_files import Asked

    if here and machine is not None:
        raise InputError("goes without --machine, which names another one", where="--here")
    if machine is not None and not re.fullmatch(MACHINE_ID, machine):
        raise InputError(f"must be {MACHINE_ID_IN_WORDS} (it is {machine!r})", where="--machine")
    if here:
        from worker.machine import machine_id

        machine = machine_id(state.settings)
    sources = {name: parse_source(entry.source) for name, entry in state.library.models.items()}
    return Asked(
        format=None if format_name is None else check_format(format_name, "--format"),
        machine=machine,
        names=_read_names(models),
        catalog={source.location: name for name, source in sources.items() if source.scheme == "hub"},
    )


def _read_names(models: tuple[str, ...]) -> dict[str, str]:
    from bench.errors import InputError

    names: dict[str, str] = {}
    for given in models:
        theirs, name = (part.strip() for part in given.rpartition("=")[::2])
        if not re.fullmatch(r"[^\s\x00-\x1f\x7f-\x9f]{1,200}", name):
            raise InputError(f"{name!r} is no name of a model: 1 to 200 signs without spaces", where="--model")
        if theirs in names:
            raise InputError(f"{given!r} names a model that has a name already", where="--model")
        names[theirs] = name
    return names


def _advise(state: State, asked: "Asked", files: list["ImportFile"]) -> None:
    """Say what keeps runs from being compared with our own."""
    from bench.errors import suggest

    if asked.machine is None:
        machines = ", ".join(sorted({machine for file in files for machine in file.machines})[:3])
        state.say(f"Note: whose machine it was is not known; it is called {machines}. --here or --machine ID says it.")
    known = list(state.library.models)
    for theirs in sorted({model for file in files for model in file.models}):
        if asked.name_of(theirs) == theirs and theirs not in known:
            near = suggest(theirs, known)
            if near.startswith("; did you mean"):
                state.say(f"Note: no model of the catalog is called {theirs!r}{near} --model NAME says it.")


def _store(state: State, asked: "Asked", files: list["ImportFile"]) -> list["Stored"]:
    """Store all files in one transaction, or none."""
    from sqlalchemy.exc import IntegrityError

    try:
        return _try_to_store(state, asked, files)
    except IntegrityError:  # the same is being imported at this moment: now it is there
        return _try_to_store(state, asked, files)


def _try_to_store(state: State, asked: "Asked", files: list["ImportFile"]) -> list["Stored"]:
    from db.imports import store_imports

    with state.database.write() as connection:
        return [
            store_imports(
                connection, file.read(asked), name=Path(file.name).name, key=file.key, machine_id=asked.machine
            )
            for file in files
        ]


def _print_stored(state: State, files: list["ImportFile"], stored: list["Stored"], output: str) -> None:
    """Say what became of each file; in a table also show the runs, where they are few."""
    from cli.history import print_history, query_of_batch
    from report.printing import print_rows, print_text

    pairs = list(zip(files, stored, strict=True))
    if output != "table":
        rows = [[file.name, file.tool, each.batch_id, each.runs, each.known] for file, each in pairs]
        print_rows(["file", "source", "batch", "runs", "known"], rows, output)
        return
    for file, each in pairs:
        print_text(_sentence(file, each))
        if each.batch_id is not None and each.runs <= _SHOWN:
            print_history(state, query_of_batch(each.batch_id), output)
        elif each.batch_id is not None:
            state.say(f"benchbeat history --batch {each.batch_id} shows them.")


def _sentence(file: "ImportFile", stored: "Stored") -> str:
    known = f"{_count(stored.known)} {'is' if stored.known == 1 else 'are'} in the history already"
    if stored.batch_id is None:
        return f"{file.name}: nothing was stored; its {known}"
    said = f"batch {stored.batch_id}: {_count(stored.runs)} of {file.tool} from {file.name}"
    return f"{said}; another {known}" if stored.known else said


def _count(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs:,} runs"


def _print_plan(state: State, asked: "Asked", files: list["ImportFile"], output: str) -> None:
    """Print each run as it would be stored, and whether it would be."""
    from db.history import Rows
    from db.imports import find_new
    from report.runs import print_runs

    with _history_if_any(state) as connection:
        rows = [_plan(each) for file in files for each in find_new(connection, file.read(asked), asked.machine)]
    print_runs(Rows([*_PLANNED, *_FIGURES, "started_at", "source", "is_new"], rows), output)


def _plan(each: "Candidate") -> tuple[Any, ...]:
    from datetime import UTC, datetime

    named = {"workload": each.run.workload.name, "machine": each.machine}
    settings = (named.get(name) or getattr(each.run, name) for name in _PLANNED)
    figures = (getattr(each.run.figures, name) for name in _FIGURES)
    started_at = datetime.fromtimestamp(each.run.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return (*settings, *figures, started_at, each.run.source, each.is_new)


@contextmanager
def _history_if_any(state: State) -> Iterator["Connection | None"]:
    """Give a connection for reading; None where there is no history yet, which is not made for this."""
    from db.engine import Database
    from db.schema import check

    settings = state.settings
    if settings.database_url is None and not (settings.home / "history.db").exists():
        yield None
        return
    database = Database(settings.database)
    try:
        check(database)
        with database.read() as connection:
            yield connection
    finally:
        database.dispose()
