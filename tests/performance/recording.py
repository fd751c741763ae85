"""The results in a benchbeat history of their own, by the way that every other tool's results come into one."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import click

from bench.errors import BenchbeatError, InputError
from bench.imports.formats import read_imports
from db.engine import Database
from db.imports import store_imports
from db.schema import ensure
from db.settings import load_settings
from worker.machine import machine_id

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
        key = f"make bench {hashlib.sha256(table.encode()).hexdigest()}"
        try:
            with database.write() as connection:
                runs = read_imports(io.StringIO(table), "the table", "make-bench")
                stored = store_imports(connection, runs, name="make bench", key=key, machine_id=self.machine)
        finally:
            database.dispose()
        look = f"BENCHBEAT_DATABASE_URL='{database.safe_url}' benchbeat report --html costs.html"
        return f"batch {stored.batch_id}: {stored.runs} results are stored; {look}"


def chosen_history(text: str) -> History:
    """Return the history of a file or URL, ready to be written; an empty text is the one in the home.

    Raises UsageError where there can be none.
    """
    try:
        url = text if "://" in text else _url_of(Path(text) if text else load_settings()[0].home / FILE_NAME)
        settings = load_settings(database_url=url)[0]
        database = Database(settings.database)
        try:
            ensure(database)
        finally:
            database.dispose()
        return History(settings.database, machine_id(settings))
    except BenchbeatError as error:
        # An input's fault names a setting, which is not what was typed.
        message = error.message if isinstance(error, InputError) else str(error)
        raise click.UsageError(f"--record {text}: {message}") from None


def _url_of(file: Path) -> str:
    return "sqlite:///" + quote(str(file.expanduser().absolute()), safe="/:\\ ")
