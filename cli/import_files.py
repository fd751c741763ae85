"""The files of `import`: opened, read to their end before anything is stored, and read again to be stored."""

import hashlib
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from bench.errors import InputError, suggest
from bench.harness import default_shots, task_folder
from bench.imports.formats import Format, read_imports
from bench.imports.records import Imported
from bench.series import series_hash

#: what a text with a mark of its encoding begins with; Windows' shell writes the first
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


@dataclass(frozen=True)
class Asked:
    """How to understand the files, and whose runs they are."""

    format: Format | None
    machine: str | None
    #: a name for each model of the files; under "" for the only one
    names: Mapping[str, str]
    #: the catalog's names, by those of the hub
    catalog: Mapping[str, str]

    def name_of(self, theirs: str) -> str:
        """Return the name of a model that a file calls so."""
        return self.names.get(theirs) or self.names.get("") or self.catalog.get(theirs, theirs)


@dataclass
class ImportFile:
    """A file, open as text, and what was found in it."""

    name: str
    text: TextIOWrapper
    runs: int = 0
    #: the tool that wrote it
    tool: str = ""
    #: models as the file calls them
    models: set[str] = field(default_factory=set)
    #: machines by their hardware
    machines: set[str] = field(default_factory=set)
    #: what is the same for the same runs of the same machine and models
    key: str = ""

    def read(self, asked: Asked) -> Iterator[Imported]:
        """Yield the runs, with the names that were asked for, from the first on. Raises InputError."""
        return (run for _, run in self._read(asked))

    def look_through(self, asked: Asked) -> None:
        """Read the file to its end and note what is in it. Raises InputError."""
        digest = hashlib.sha256()
        for theirs, run in self._read(asked):
            machine = run.machine_by_hardware()
            self.runs += 1
            self.tool = run.source
            self.models.add(theirs)
            self.machines.add(machine)
            series = series_hash(run.definition(asked.machine or machine))
            digest.update(f"{series} {run.started_at}\n".encode())
        self.key = f"import {digest.hexdigest()}"

    def _read(self, asked: Asked) -> Iterator[tuple[str, Imported]]:
        try:
            for run in read_imports(self.text, self.name, asked.format, lambda tasks: _default_shots(tuple(tasks))):
                name = asked.name_of(run.model)
                yield run.model, run if name == run.model else replace(run, model=name)
        except UnicodeError:
            raise InputError("is no UTF-8 text", where=self.name) from None


def open_file(file: Path, stack: ExitStack) -> ImportFile:
    """Open a file, or standard input for "-"; what can be read once only is copied. Raises InputError."""
    name = "standard input" if str(file) == "-" else str(file)
    try:
        stream: Any = sys.stdin.buffer if str(file) == "-" else stack.enter_context(_with_an_end(file).open("rb"))
        if str(file) == "-" or not stream.seekable():
            stream = stack.enter_context(_copied(stream))
        stream.seek(0)
        start = stream.read(3)
    except FileNotFoundError:
        raise InputError("there is no such file", where=name) from None
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", where=name) from None
    encoding = next((each for mark, each in _MARKS.items() if start.startswith(mark)), "utf-8")
    text = TextIOWrapper(stream, encoding=encoding)
    stack.callback(text.detach)
    return ImportFile(name, text)


@contextmanager
def _copied(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy)
        yield copy


def check_names(asked: Asked, files: list[ImportFile]) -> None:
    """Raise InputError where a name is for a model that is not there, or one name for several models."""
    found = {model for file in files for model in file.models}
    for theirs in asked.names:
        if theirs and theirs not in found:
            raise InputError(f"no model is called {theirs!r} there{suggest(theirs, found)}", where="--model")
    rest = sorted(found - asked.names.keys())
    if "" in asked.names and len(rest) > 1:
        message = f"there are several models ({', '.join(rest[:8])}); name each: --model {rest[0]}=NAME"
        raise InputError(message, where="--model")


def _with_an_end(file: Path) -> Path:
    """Return a file that has an end; a device may have none."""
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        raise InputError("is a folder; name the files in it", where=str(file))
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise InputError("is no regular file", where=str(file))
    return file


@lru_cache(maxsize=64)
def _default_shots(tasks: tuple[str, ...]) -> Mapping[str, int | None]:
    """Return the examples that the installed lm-eval shows by itself; None for a task that it does not have."""
    folder = task_folder()
    return {} if folder is None else {**dict.fromkeys(tasks), **default_shots(folder, tasks)}
