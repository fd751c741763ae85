"""The lock of a device: one measurement at a time on a machine, whoever started it.

CPU and MPS share one lock a machine, since each would disturb the other; every CUDA device has its own. The
kernel frees a lock when its process dies. The files lie in a fixed place outside home and temporary
folders, are never removed, and may be used by every user of the machine.
"""

import fcntl
import os
import platform
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from bench.errors import UnavailableError

_PLACES = {"Darwin": (Path("/Users/Shared"),)}
_LINUX_PLACES = (Path("/run/lock"), Path("/dev/shm"))


def lock_folder(places: tuple[Path, ...] | None = None) -> Path:
    """Return the folder of the locks. Raises UnavailableError where this machine has none that can be used.

    The first that everybody may write to wins, whoever asks, so that root and a user agree on it.
    """
    if places is None:
        places = _PLACES.get(platform.system(), _LINUX_PLACES)
    for place in places:
        if place.is_dir() and place.stat().st_mode & stat.S_IWOTH:
            return place
    for place in places:
        if place.is_dir() and os.access(place, os.W_OK):
            return place
    raise UnavailableError(f"no place for the device's lock: none of {', '.join(map(str, places))} can be written to")


@contextmanager
def held(key: str, folder: Path | None = None, on_wait: Callable[[], None] | None = None) -> Iterator[float]:
    """Hold the lock `key` ("machine", "cuda-UUID"); gives the seconds that were waited for it.

    `on_wait` is called where somebody else holds it. Raises UnavailableError where the file can't be used.
    """
    path = (folder or lock_folder()) / f"benchbeat-{key}.lock"
    started = time.monotonic()
    try:
        descriptor = _lock(path, on_wait)
    except OSError as error:
        raise UnavailableError(f"the device's lock {path} can't be used: {error.strerror}") from error
    try:
        yield time.monotonic() - started
    finally:
        os.close(descriptor)


def _lock(path: Path, on_wait: Callable[[], None] | None) -> int:
    """Open the file and lock it, waiting for whoever holds it."""
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_still(path, descriptor):
            return descriptor
        # Somebody removed the file while we waited: ours is a lock that nobody else will see.
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the file, made where it is missing. Reading is all that flock needs."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            # Not O_CREAT at first: fs.protected_regular refuses it on a file of another user.
            return os.open(path, flags)
        except FileNotFoundError:
            _create(path)


def _create(path: Path) -> None:
    """Make the file with its final rights in one step: another user may open it the moment that it appears."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o666)
        # A link fails where somebody else was faster, and then that file is the lock.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        os.unlink(draft)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one under its name."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
