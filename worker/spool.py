"""The spool: a result lies here from the moment it is measured until it is in the database."""

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
        """Write a result so that it survives a crash at any moment. Raises OSError where the disk is full."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{result.job_id}.{result.attempt}.json"
        partial = path.with_suffix(".partial")
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(result.model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(self.folder)
        return path

    def waiting(self) -> Iterator[tuple[Path, Spooled]]:
        """Yield the results that wait, the oldest first; one that can't be read is set aside as `.broken`."""
        with suppress(FileNotFoundError):
            for path in sorted(self.folder.glob("*.json"), key=lambda each: each.stat().st_mtime):
                try:
                    yield path, Spooled.model_validate_json(path.read_bytes())
                except (ValidationError, OSError):
                    path.rename(path.with_suffix(".broken"))

    def set_aside(self, path: Path) -> None:
        """Keep a result that came too late: another attempt holds or finished its job."""
        kept = self.folder / "superseded"
        kept.mkdir(exist_ok=True)
        path.rename(kept / path.name)


def _sync_folder(folder: Path) -> None:
    # The rename itself is only safe on disk once the folder is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
