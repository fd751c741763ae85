"""Reading TOML files, and where a key of one stands, which the parser does not keep."""

import re
import tomllib
from pathlib import Path
from typing import Any

from bench.errors import InputError

#: a table's name, part by part: ("models", "my-whisper"); () is the top of the file
TablePath = tuple[str, ...]


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file. Raises InputError that names the file, and the line of a fault."""
    if file.exists() and not file.is_file() and not file.is_dir():
        raise InputError("is no regular file", where=str(file))  # a pipe or device would be read for ever
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(file)) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError("this line is not UTF-8 text", where=f"{file}:{line}") from None
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", where=str(file)) from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError("is nested too deeply to be read", where=str(file)) from None
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(str(error), file, text) from None


class Lines:
    """The lines of a TOML file. Raises OSError or UnicodeDecodeError where it can't be read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lines = _without_long_texts(file.read_text(encoding="utf-8-sig")).split("\n")
        found = ((number, _header(line)) for number, line in enumerate(self._lines))
        self._headers = [(number, path) for number, path in found if path]

    def place(self, key: str, table: TablePath = (), number: int = 0) -> str:
        """Return "FILE:LINE: KEY" for a key of a table, of the `number`th one where a table is repeated."""
        field = f"[{'.'.join(table)}] {key}" if len(table) > 1 else key
        return f"{self.line_of(key, table, number)}: {field}"

    def line_of(self, key: str, table: TablePath = (), number: int = 0) -> str:
        """Return "FILE:LINE" of a key; of its table where the key is not there, and FILE where neither is found."""
        line = self._find(key, table, number)
        return str(self.file) if line is None else f"{self.file}:{line + 1}"

    def _find(self, key: str, table: TablePath, number: int) -> int | None:
        start, end = self._span(table, number)
        if start is None:
            wanted = (*table, key)
            own = next((line for line, path in self._headers if path[: len(wanted)] == wanted), None)
            if own is not None:  # [models.NAME], without a [models]
                return own
            inner = next((line for line, path in self._headers if path[: len(table)] == table != path), None)
            if inner is not None and len(table) > 1:  # only a table within it has a header
                return inner
            # written as sweep = [{...}], models.NAME.source = "...", or NAME = {...}
            return self._find(table[-1], table[:-1], 0)
        pattern = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[.=]""")
        wanted = (*table, key)
        for at in range(start, end):
            if pattern.match(self._lines[at]) or _header(self._lines[at])[: len(wanted)] == wanted:
                return at
        return start if table else None

    def _span(self, table: TablePath, number: int) -> tuple[int | None, int]:
        """Return the first line of a table, and the one after its last."""
        if not table:
            return 0, len(self._lines)
        headers = [n for n, (_, path) in enumerate(self._headers) if path == table]
        if number >= len(headers):
            return None, 0
        later = self._headers[headers[number] + 1 :]
        end = next((line for line, path in later if path == table or path[: len(table)] != table), len(self._lines))
        return self._headers[headers[number]][0], end


#: a text over several lines, or what may hold its quotes: a text on one line, a comment
_QUOTED = re.compile(
    r"""(?P<long>"{3}(?:\\.|[^\\])*?"{3,5}|'{3}.*?'{3,5})|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*""", re.DOTALL
)


def _without_long_texts(text: str) -> str:
    """Return the text with as many lines, where those within a text over several lines are empty.

    What a person writes in such a text may look like a key or a header.
    """
    return _QUOTED.sub(lambda found: "\n" * found[0].count("\n") if found["long"] else found[0], text)


def _header(line: str) -> TablePath:
    """Return the path of a line like [models."qwen2.5"] or [[sweep]], or () for another line."""
    if not line.lstrip().startswith("["):
        return ()
    try:
        tables = tomllib.loads(line)
    except tomllib.TOMLDecodeError:  # a line of an array
        return ()
    path: TablePath = ()
    while tables:
        ((name, tables),) = tables.items()
        path = (*path, name)
        if isinstance(tables, list):
            tables = tables[0]
    return path


def _not_toml(message: str, file: Path, text: str) -> InputError:
    """Return the parser's complaint with the line in the place where all complaints have it."""
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if found is None:
        return InputError(f"is no valid TOML: {message}", where=str(file))
    line = found[1] or str(text.rstrip().count("\n") + 1)
    column = f" at column {found[2]}" if found[2] else " at the end of the file"
    return InputError(f"is no valid TOML: {message[: found.start()]}{column}", where=f"{file}:{line}")
