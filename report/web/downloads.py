"""Rows as a file: all of it is there before the first byte goes out, so that a fault is told and not half a file."""

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, cast

from flask import Response

from report.formats import Format, write_rows

_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_IN_MEMORY_BYTES = 4 << 20
_CHUNK_BYTES = 64 << 10


def download(columns: Sequence[str], rows: Iterable[Sequence[Any]], kind: str, name: str, limit: int) -> Response:
    """Return rows, so many at most, as `name.csv` or `name.json`; a header says whether some were left out."""
    counted = _Limited(rows, limit)
    # Closed by the response, once it is sent.
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115
    try:
        text = io.TextIOWrapper(cast(IO[bytes], file), encoding="utf-8", errors="replace", newline="")
        write_rows(columns, counted, format=cast(Format, kind), stream=text)
        text.detach()
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    response = Response(_chunks(cast(IO[bytes], file)), mimetype=None, content_type=_TYPES[kind])
    response.call_on_close(file.close)
    response.content_length = size
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    response.headers["Benchbeat-Truncated"] = "true" if counted.is_cut else "false"
    return response


class _Limited:
    """The first rows, and whether there were more."""

    def __init__(self, rows: Iterable[Sequence[Any]], limit: int) -> None:
        self._rows = rows
        self._limit = limit
        self.is_cut = False

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for number, row in enumerate(self._rows):
            if number == self._limit:
                self.is_cut = True
                return
            yield row


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
