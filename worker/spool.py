"""The spool: a result lies here from the moment it is measured until it is in the database."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.results import Measurement


class Spooled(BaseModel):
    """A measured result that waits for the database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: int
    attempt: int
    machine_id: str
    #: the database's URL without its password: a spool is not for another history
    database: str
    measurement: Measurement


class Spool:
    """A folder of results, one file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, result: Spooled) -> Path:
        """Write a result so that it survives this process, killed at any moment. Raises OSError where the disk is full.

        Of a power cut only `secure` makes it safe: most results are in the database, on its disk, milliseconds later.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # Histories that take turns in a home count their jobs alike: one must not overwrite what another one waits for.
        history = hashlib.sha256(result.database.encode()).hexdigest()[:8]
        path = self.folder / f"{result.job_id}.{result.attempt}.{history}.json"
        partial = path.with_suffix(".partial")
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(result.model_dump_json())
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        return path

    def secure(self, path: Path) -> None:
        """Wait until a result that the database did not take is on the disk. Raises OSError where that fails."""
        with suppress(FileNotFoundError):  # stored meanwhile by another worker of this home
            _sync(path)
            # The file's name is only safe once the folder is.
            _sync(self.folder)

    def waiting(self) -> Iterator[tuple[Path, Spooled]]:
        """Yield the results that wait, the oldest first; one that can't be read is set aside as `.broken`."""
        for path in sorted(self.folder.glob("*.json"), key=_written_at):
            result = self._read(path)
            if result is not None:
                yield path, result

    def remove(self, path: Path) -> None:
        """Forget a result that is in the database."""
        path.unlink(missing_ok=True)

    def set_aside(self, path: Path) -> None:
        """Keep a result that came too late: another attempt holds or finished its job."""
        kept = self.folder / "superseded"
        kept.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            path.rename(kept / path.name)

    def set_broken(self, path: Path) -> None:
        """Keep a result that can't be read or stored, out of the way of the others."""
        with suppress(FileNotFoundError):
            path.rename(path.with_suffix(".broken"))

    def _read(self, path: Path) -> Spooled | None:
        try:
            return Spooled.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            # Workers of one home share the spool: another one stored the result meanwhile.
            return None
        except (ValidationError, OSError):
            self.set_broken(path)
            return None


def _written_at(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
