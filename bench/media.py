"""Files that go with the items of a workload: pictures and clips, told apart by their SHA-256."""

import hashlib
from pathlib import Path

from bench.catalog import Task
from bench.errors import InputError

#: what travels with a workload through the database; media of more than that must lie on the workers
MAX_TRAVELLING_BYTES = 64 * 2**20

#: the item's field that names its file, by task
FIELDS: dict[Task, str] = {"vision": "image", "speech": "audio"}
_CHUNK = 2**20


class MediaReader:
    """Reads the files that a workload's file names, each once."""

    def __init__(self, folder: Path, field: str) -> None:
        self._folder = folder
        self._field = field
        self._sizes: dict[str, int] = {}
        #: content by SHA-256, while all of it is small enough to travel
        self.contents: dict[str, bytes] = {}
        #: where each lies, by SHA-256, relative to the workload's file
        self.paths: dict[str, str] = {}

    @property
    def travels(self) -> bool:
        """Whether all files together are small enough to be stored with the workload."""
        return sum(self._sizes.values()) <= MAX_TRAVELLING_BYTES

    def read(self, name: str) -> str:
        """Return the SHA-256, in hex, of a file. Raises ValueError, in words, for one that can't be what it should."""
        path = self._folder / name
        try:
            if not path.is_file():
                raise ValueError(f"there is no file {path}" if not path.exists() else f"{path} is no regular file")
            digest, size = _hashed(path)
            if not size:
                raise ValueError(f"{path} is empty")
            self._sizes[digest] = size
            self.paths.setdefault(digest, name)
            if self._field == "image":
                _check_picture(path)
            if not self.travels:
                self.contents.clear()
            elif digest not in self.contents:
                self.contents[digest] = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} can't be read: {error.strerror or error}") from None
        return digest


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    return hashlib.sha256(content).hexdigest()


def _hashed(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _check_picture(path: Path) -> None:
    """Raise ValueError where a file does not begin like a picture; the worker looks at the whole of it."""
    # Pillow loads with the first picture.
    from bench import images

    try:
        images.check(path.read_bytes())
    except InputError as error:
        raise ValueError(f"{path}: {error.message}") from None
