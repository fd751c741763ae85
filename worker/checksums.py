"""SHA-256 of large files, remembered by path, size and time of change."""

import hashlib
import json
import os
from pathlib import Path


class Checksums:
    """Hashes of files, kept in one JSON file. Several processes may use it; a lost entry is only hashed again."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file, in hex. Raises OSError where it can't be read."""
        key = str(path.resolve())
        state = _state(path)
        known = self._read().get(key)
        if isinstance(known, list) and known[:2] == state and len(known) == 3:
            return str(known[2])
        digest = sha256_of(path)
        # A file that changed while it was read has a hash that belongs to neither state.
        if _state(path) == state:
            self._remember(key, [*state, digest])
        return digest

    def of_folder(self, folder: Path, names: list[str]) -> str:
        """Return the SHA-256 over the sorted names and hashes of a folder's files, in hex."""
        total = hashlib.sha256()
        for name in sorted(names):
            total.update(f"{name}\0{self.of(folder / name)}\n".encode())
        return total.hexdigest()

    def _read(self) -> dict[str, object]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _remember(self, key: str, value: list[object]) -> None:
        kept = {path: entry for path, entry in self._read().items() if os.path.exists(path)}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        draft.write_text(json.dumps({**kept, key: value}, indent=1), encoding="utf-8")
        os.replace(draft, self._file)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
