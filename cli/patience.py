"""A word on standard error about what takes longer than people wait in silence."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from cli.context import State

SILENCE_SECONDS = 2.0
_AGAIN_SECONDS = 10.0


@contextmanager
def patience(state: State, what: str) -> Iterator[None]:
    """Say what is being done once it takes longer than two seconds, and go on saying so; nothing with --quiet."""
    if state.quiet:
        yield
        return
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(what, done), name="patience", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _tell(what: str, done: threading.Event) -> None:
    started = time.monotonic()
    if done.wait(SILENCE_SECONDS):
        return
    if sys.stderr.isatty():
        while not done.wait(0.5):
            click.echo(f"\r{what} ... {time.monotonic() - started:.0f} s", nl=False, err=True)
        click.echo("\r\x1b[K", nl=False, err=True)
        return
    click.echo(f"{what} ...", err=True)
    while not done.wait(_AGAIN_SECONDS):
        click.echo(f"{what} ... {time.monotonic() - started:.0f} s", err=True)
