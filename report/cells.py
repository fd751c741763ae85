"""One value as people read it: rounded, with a unit, on one line, and without anything a terminal acts on."""

import json
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

#: how a table shows that nothing was measured
NOTHING = "-"

# C0 and C1 control characters, DEL, marks that turn the direction of text or hide, separators of lines, surrogates
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d+")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def shown(value: Any, column: str) -> str:
    """Return a value for a table; the column's name says whether it is in bytes or a point in time."""
    match value:
        case None:
            return NOTHING
        case bool():
            return "true" if value else "false"
        case str():
            return _shown_text(value, column)
        case int() | float() | Decimal():
            return bytes_in_words(float(value)) if column.endswith("_bytes") else number_in_words(value)
        case bytes():
            return value.hex()
        case list() | tuple() | dict():
            return one_line(json.dumps(value, ensure_ascii=False, default=str))
    return one_line(str(value))


def number_in_words(value: float | Decimal) -> str:
    """Return a number with at least four significant digits; digits before the point are never rounded away."""
    if isinstance(value, int):
        return str(value)
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    if abs(number) < 999.95:
        return f"{number:.4g}"
    return f"{number:.0f}" if abs(number) < 1e15 else f"{number:.4g}"


def bytes_in_words(count: float) -> str:
    """Return bytes with three significant digits: 612 MiB, 1.46 GiB."""
    if not math.isfinite(count):
        return str(count)
    power = 0
    while abs(count) >= 999.5 and power < len(_UNITS) - 1:
        count, power = count / 1024, power + 1
    return f"{count:.3g} {_UNITS[power]}" if abs(count) < 999.5 else f"{count:.0f} {_UNITS[power]}"


def all_numbers(values: Iterable[Any]) -> bool:
    """Whether a column of these values is aligned at its right: numbers, or nothing, but not nothing only."""
    present = [value for value in values if value is not None]
    return bool(present) and all(isinstance(v, int | float | Decimal) and not isinstance(v, bool) for v in present)


def one_line(text: str) -> str:
    """Return a text on one line, with everything written out that a terminal or an editor would act on."""
    return _HARMFUL.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    character = found.group()
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def _shown_text(text: str, column: str) -> str:
    timestamp = _TIMESTAMP.fullmatch(text) if column.endswith("_at") else None
    return timestamp[1] if timestamp else one_line(text)
