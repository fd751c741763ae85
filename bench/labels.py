"""Labels: a submitter's own words about a batch, as `key=value`."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench.errors import InputError

_WORD = re.compile(r"[^\W\d][\w-]{0,63}")
_VALUE = re.compile("[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}")


def check_label(text: str, where: str | None) -> tuple[str, str]:
    """Return the key and the value of "key=value". Raises InputError."""
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"write it as key=value (it is {text!r})", where=where)
    key, value = key.strip(), value.strip()
    return _check_key(key, where), _check_value(key, value, where)


def read_labels(texts: Iterable[str], where: str | None) -> dict[str, str]:
    """Return several "key=value" as a table. Raises InputError, also where a key has two values."""
    labels: dict[str, str] = {}
    for text in texts:
        key, value = check_label(text, where)
        if labels.setdefault(key, value) != value:
            raise InputError(f"{key} is both {labels[key]!r} and {value!r}", where=where)
    return labels


def check_labels(table: Any, where: Callable[[str], str]) -> dict[str, str]:
    """Return the labels of a file's table; numbers and true or false are taken as they are written.

    `where` gives the place of a key of it, and of the table itself for "". Raises InputError.
    """
    if not isinstance(table, Mapping):
        raise InputError('must be a table such as { machine = "mini" }', where=where(""))
    return {_check_key(key, where(key)): _check_value(key, _text(value), where(key)) for key, value in table.items()}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _check_key(key: str, where: str | None) -> str:
    if not _WORD.fullmatch(key):
        raise InputError(
            f"the label {key!r} must be a word: a letter, then up to 63 letters, digits, _ or -", where=where
        )
    return key


def _check_value(key: str, value: Any, where: str | None) -> str:
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise InputError(f"the label {key} must be a text of 1 to 200 characters on one line", where=where)
    return value
