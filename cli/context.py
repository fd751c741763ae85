"""What every command starts from: settings, the database, output."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

    from bench.library import Library
    from db.engine import Database
    from db.settings import Settings


class State:
    """Settings and the database, made when a command first needs them."""

    def __init__(self) -> None:
        self._options: dict[str, Any] = {}
        self.verbose = False
        self.quiet = False

    def say(self, text: str) -> None:
        """Say on standard error what is good to know; nothing with --quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def override(self, **options: Any) -> None:
        """Set options that come before every other source of settings, which are read anew."""
        self._options |= {key: value for key, value in options.items() if value is not None}
        self.__dict__.pop("settings", None)

    @cached_property
    def settings(self) -> "Settings":
        """The settings; what is odd about them is said once, on standard error."""
        from db.settings import load_settings

        settings, warnings = load_settings(**self._options)
        for warning in warnings:
            self.say(f"Warning: {warning}")
        return settings

    @cached_property
    def library(self) -> "Library":
        """What names in a sweep stand for."""
        from bench.library import load_library

        return load_library(self.settings.home)

    @cached_property
    def database(self) -> "Database":
        """The database with our schema in it; an empty one is set up."""
        from db.engine import Database
        from db.schema import ensure

        database = Database(self.settings.database)
        try:
            ensure(database)
        except BaseException:
            database.dispose()
            raise
        return database

    def close(self) -> None:
        """Close the connections to the database."""
        if "database" in self.__dict__:
            self.database.dispose()


def log_to_stderr(state: State, file: "Path | None" = None) -> None:
    """Let a service say what it does on standard error, or in a file."""
    from scheduler.logs import set_up_logging

    set_up_logging(state.settings, verbose=state.verbose, file=file)
