"""Pictures and clips of a job on this machine: kept by their SHA-256, or found under the worker's `data_dir`."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select

from bench.errors import InputError
from bench.workloads import Item, Workload
from db.engine import Database
from db.tables import media
from worker.files import locked, staged


class MediaFiles:
    """Gives the files of items, each brought from the database once."""

    def __init__(self, database: Database, *, home: Path, data_dir: Path) -> None:
        self._database = database
        self._kept = home / "cache" / "media"
        self._data_dir = data_dir
        #: checked already, with size and time of change
        self._checked: set[tuple[Path, int, int]] = set()

    def of(self, workload: Workload, items: tuple[Item, ...]) -> dict[str, Path]:
        """Return the file of every picture or clip of the items, by its SHA-256.

        Raises InputError for one that neither travelled with the workload nor lies, as it was, under `data_dir`.
        """
        wanted = {item.media: item for item in items if item.media is not None}
        if workload.media_paths is None:
            return {digest: self._fetched(digest) for digest in wanted}
        return {digest: self._found(digest, item, workload.media_paths) for digest, item in wanted.items()}

    def _fetched(self, digest: str) -> Path:
        target = self._kept / digest
        if not target.exists():
            with locked(target):
                if not target.exists():
                    content = self._content(digest)
                    with staged(target) as draft:
                        draft.write_bytes(content)
        return target

    def _content(self, digest: str) -> bytes:
        with self._database.read() as connection:
            content = connection.execute(select(media.c.content).where(media.c.hash == digest)).scalar_one()
        return bytes(content)

    def _found(self, digest: str, item: Item, paths: Mapping[str, str]) -> Path:
        """Return the file under `data_dir`, seen to be the one that was submitted."""
        root = self._data_dir.resolve()
        path = (root / paths[digest]).resolve()
        if not path.is_relative_to(root):
            raise InputError(f"item {item.id!r}: {paths[digest]} leads out of this worker's data_dir ({root})")
        if not path.is_file():
            raise InputError(
                f"item {item.id!r}: there is no {path}; media of over 64 MiB must lie under each worker's data_dir"
            )
        facts = path.stat()
        mark = (path, facts.st_size, facts.st_mtime_ns)
        if mark not in self._checked:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    raise InputError(f"item {item.id!r}: {path} is not the file that was submitted (SHA-256 {digest})")
            self._checked.add(mark)
        return path
