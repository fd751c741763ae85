"""Whisper's own checkpoints: fetched from where openai-whisper says, checked by the SHA-256 in its table.

Its own download begins anew after every interruption and holds the whole file in memory; this one goes on where it
stopped.
"""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bench.causes import first_line
from bench.errors import ModelError, UnavailableError, suggest
from worker.checksums import sha256_of
from worker.files import is_disk_full, locked

OnProgress = Callable[[int, int | None], None]

#: seconds without a byte after which a download is given up
_PATIENCE = 60.0
_CHUNK = 1024 * 1024


def fetch(
    size: str, *, folder: Path, on_progress: OnProgress, table: Mapping[str, str] | None = None
) -> tuple[Path, str]:
    """Return the checkpoint of a Whisper size ("base") and its SHA-256, downloading into `folder` what is missing.

    `table` has a URL by size, with the file's SHA-256 as its last folder; None takes openai-whisper's own. Raises
    ModelError for an unknown size, UnavailableError where the network or the disk can't give it now.
    """
    url = _url(size, table)
    expected, name = urlsplit(url).path.split("/")[-2:]
    target = folder / expected / name
    with locked(target):
        if not target.is_file():
            _download(url, target, expected, size, on_progress)
        length = target.stat().st_size
        on_progress(length, length)
    return target, expected


def _url(size: str, table: Mapping[str, str] | None) -> str:
    if table is None:
        table = _own_table()
    if size not in table:
        raise ModelError(f"there is no Whisper of size {size!r}{suggest(size, table)}")
    return table[size]


def _own_table() -> Mapping[str, str]:
    try:
        import whisper
    except ImportError as error:
        raise ModelError(
            "this worker has no openai-whisper, which speech models need; install it there: "
            "pip install 'benchbeat[worker]'"
        ) from error
    table: Mapping[str, str] = whisper._MODELS
    return table


def _download(url: str, target: Path, expected: str, size: str, report: OnProgress) -> None:
    """Bring a file, going on with a part that is here; it takes its name once its SHA-256 is right."""
    # Its name does not hold the process: the next one goes on with it, under the lock.
    part = target.with_name(f".{target.name}.part")
    try:
        _append(url, part, report)
    except urllib.error.HTTPError as error:
        raise UnavailableError(
            f"Whisper {size} could not be fetched: {urlsplit(url).hostname} answered {error.code}; try again later"
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        if is_disk_full(error):
            raise UnavailableError(
                f"the disk that holds {target.parent} is full: Whisper {size} was not fetched"
            ) from error
        raise UnavailableError(
            f"Whisper {size} could not be fetched ({_reason(error)}): the download goes on where it stopped once "
            "there is a network, or put the checkpoint on this machine and name it as file:PATH"
        ) from error
    if (digest := sha256_of(part)) != expected:
        part.unlink()
        raise UnavailableError(
            f"Whisper {size} came damaged and was removed: its SHA-256 is {digest}, not {expected}; try again"
        )
    os.replace(part, target)


def _reason(error: Exception) -> str:
    """Return what went wrong, without what urllib puts around it."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return first_line(inner) if isinstance(inner, Exception) else str(inner)


def _append(url: str, part: Path, report: OnProgress) -> None:
    """Write to `part` what it lacks of the file. Raises OSError or HTTPException where the connection fails."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urllib.request.urlopen(request, timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        # 416: there is nothing beyond what is here.
        if done and error.code == 416:
            error.close()
            return
        raise
    with answer:
        # A server that knows no ranges sends the whole.
        done = done if answer.status == 206 else 0
        length = answer.headers["Content-Length"]
        total = done + int(length) if length else None
        with part.open("ab" if done else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                report(done, total)
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)
