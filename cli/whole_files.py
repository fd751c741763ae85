"""Files that a command writes: there whole at the end, or not at all."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def is_special(file: Path | None) -> bool:
    """Whether this is a pipe or a device, which is written to and never replaced."""
    return file is not None and file.exists() and not file.is_file()


def check_writable(file: Path) -> None:
    """Raise InputError where a file can't be written, before anything is read for it."""
    from bench.errors import InputError

    if file.is_dir():
        raise InputError(f"{file} is a folder; name a file in it")
    folder = file.resolve().parent
    if not folder.is_dir():
        raise InputError(f"{file} can't be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
        raise InputError(f"{file} can't be written: its rights don't allow it; choose another place")


@contextmanager
def whole(file: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its place once it is whole. Raises OSError that names the file that was asked for."""
    target = file.resolve()  # a link stays one
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        with named(file):
            with partial.open("wb") as stream:
                yield stream
            os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Name the file that was asked for in what the system refuses, not its forerunner."""
    try:
        yield
    except OSError as error:
        error.filename = str(file)
        raise


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
