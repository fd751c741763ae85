"""The machine's id: a setting, else a UUID kept in the user's configuration folder, never the host's name."""

import os
import re
import uuid
from pathlib import Path

from bench.errors import UnavailableError
from db.settings import Settings

_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}$")


def machine_id(settings: Settings) -> str:
    """Return this machine's id, making it at the first call. Raises UnavailableError where it can't be kept.

    It lies outside the home, so that a new home on the same machine goes on with the same series.
    """
    if settings.machine is not None:
        return settings.machine
    from platformdirs import user_config_path

    file = user_config_path("benchbeat", appauthor=False) / "machine-id"
    try:
        return _read(file) or _make(file)
    except OSError as error:
        raise UnavailableError(
            f"This machine's id can't be kept in {file} ({error.strerror}); set BENCHBEAT_MACHINE to a name of your own"
        ) from error


def _read(file: Path) -> str | None:
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    return text if _ID.match(text) else None


def _make(file: Path) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    made = str(uuid.uuid4())
    partial = file.with_name(f"{file.name}.{made}")
    partial.write_text(made + "\n", encoding="ascii")
    try:
        os.link(partial, file)  # unlike a rename, this never replaces the id that another process just made
    except FileExistsError:
        if (existing := _read(file)) is not None:
            return existing
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)
    return file.read_text(encoding="ascii").strip()
