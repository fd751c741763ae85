"""Files of the cache: made once by one process, appearing whole or not at all."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import UnavailableError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the right to make `target`, waiting for whoever holds it. The lock file beside it stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target.with_name(f".{target.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give a path beside `target` for a file or folder that takes its name at the end, or is removed on failure.

    To be used under `locked`: what a killed process left of an earlier try is removed first. Raises
    UnavailableError where the disk is full.
    """
    for leftover in target.parent.glob(f".{target.name}.partial-*"):
        _remove(leftover)
    draft = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        yield draft
        _remove(target)
        os.replace(draft, target)
    except BaseException as error:
        _remove(draft)
        if is_disk_full(error):
            raise UnavailableError(
                f"the disk that holds {target.parent} is full; {target.name} was not kept"
            ) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """Whether an exception says that a disk is full. safetensors raises one of its own kind."""
    return (isinstance(error, OSError) and error.errno in _FULL) or "No space left on device" in str(error)


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
