"""The results in a benchbeat history of their own, by the way that every other tool's results come into one."""

import hashlib
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import click

from bench.errors import BenchbeatError, InputError
from bench.imports.formats import read_imports
from cli.whole_files import check_writable
from db.engine import Database, sqlite_path
from db.imports import store_imports
from db.schema import ensure
from db.settings import load_settings
from worker.machine import machine_id

#: stands for that file where none is named
OF_ITS_OWN = "of its own: performance.db in the home"
#: in the home, beside the history of the models and apart from it: a change of the one explains nothing of the other
FILE_NAME = "performance.db"


@dataclass(frozen=True)
class History:
    """A history that results are stored in."""

    #: SQLAlchemy's URL, with its password
    url: str
    machine: str

    def store(self, table: str) -> str:
        """Store a table, as JSON, and return what became of it, and how to look at it."""
        database = Database(self.url)
        ensure(database)
        key = f"make bench {hashlib.sha256(table.encode()).hexdigest()}"
        try:
            with database.write() as connection:
                runs = read_imports(io.StringIO(table), "the table", "make-bench")
                stored = store_imports(connection, runs, name="make bench", key=key, machine_id=self.machine)
        finally:
            database.dispose()
        look = f"BENCHBEAT_DATABASE_URL='{database.safe_url}' benchbeat report --html costs.html"
        return f"batch {stored.batch_id}: {stored.runs} results are stored; {look}"


def chosen_history(text: str, rows: Collection[str] = ()) -> History:
    """Return the history of a file or URL, ready to be written; `OF_ITS_OWN` is the one in the home.

    Raises UsageError where there can be none, or where the text is rather the beginning of a row's name.
    """
    if not text or any(row.startswith(text) for row in rows):
        hint = f"; did you mean --only {text}? ./{text} names a file" if text else ""
        raise click.UsageError(f"--record takes a file or a database's URL, not {text!r}{hint}")
    try:
        url = text if "://" in text else _url_of(_file_of(text))
        settings = load_settings(database_url=url)[0]
        _check(settings.database)
        return History(settings.database, machine_id(settings))
    except BenchbeatError as error:
        # An input's fault names a setting, which is not what was typed.
        message = error.message if isinstance(error, InputError) else str(error)
        raise click.UsageError(f"--record {text}: {message}") from None


def _check(url: str) -> None:
    """Raise BenchbeatError where results could not be stored; a file that is not there yet is not made."""
    file = sqlite_path(url)
    if file is not None and not file.exists():
        check_writable(file)
        return
    database = Database(url)
    try:
        ensure(database)
    finally:
        database.dispose()


def _file_of(text: str) -> Path:
    return load_settings()[0].home / FILE_NAME if text == OF_ITS_OWN else Path(text)


def _url_of(file: Path) -> str:
    return "sqlite:///" + quote(str(file.expanduser().absolute()), safe="/:\\ ")
