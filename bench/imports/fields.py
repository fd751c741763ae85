"""The fields of a row, read with what may be wrong with them; numbers may be texts, as in SQL."""

import math
import re
from collections.abc import Mapping
from typing import Any

from bench.errors import InputError
from bench.imports.records import one_line

#: what an integer column holds
INT32, INT64 = 2**31 - 1, 2**63 - 1

#: asked for each of a million readings, so not made anew each time
_CONTAINERS, _NUMBERS = dict | list, int | float | str
_WHOLE = re.compile(r"\s*-?[0-9]{1,20}\s*")


class Fields:
    """A row's fields by name. Everything raises InputError, with the row's place, for a field that is none such."""

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        self.values = values
        self.place = place

    def text(self, name: str) -> str:
        """Return a value as one line of text, empty where there is none."""
        return one_line(self.setting(name) or "", 1000)

    def setting(self, name: str) -> str | None:
        """Return a value as SQL has it, true as "1"; None where there is none."""
        value = self.values.get(name)
        if value is None or type(value) is str:
            return value
        if isinstance(value, _CONTAINERS):
            raise self._fault(name, "must be a text or a number, not a list or an object")
        return str(int(value)) if isinstance(value, bool) else str(value)

    def whole(self, name: str, *, most: int = INT32, missing: int | None = None) -> int:
        """Return a whole number from 0 to `most`; `missing` stands for one that is not there."""
        if missing is not None and self.values.get(name) is None:
            return missing
        value = self.number(name)
        if value != int(value):
            raise self._fault(name, "must be a whole number")
        if not 0 <= value <= most:
            raise self._fault(name, "must be at least 0" if value < 0 else f"must be at most {most}")
        return int(value)

    def number(self, name: str) -> float:
        """Return a finite number, whole ones exactly."""
        if self.values.get(name) is None:
            raise InputError(f"{name} is missing", where=self.place)
        number = as_number(self.values[name])
        if number is None:
            raise self._fault(name, "must be a number")
        return number

    def positive(self, name: str, *, least: float, most: float) -> float:
        """Return a number within bounds that no measurement leaves."""
        value = self.number(name)
        if problem := out_of_bounds(value, least, most):
            raise self._fault(name, problem)
        return value

    def _fault(self, name: str, message: str) -> InputError:
        return InputError(f"{name} {message} (it is {repr(self.values.get(name))[:100]})", where=self.place)


def out_of_bounds(value: float, least: float, most: float) -> str | None:
    """Return what is wrong with a figure that must be positive; None for nothing."""
    if value <= 0:
        return "must be more than 0"
    return None if least <= value <= most else f"must be from {least:g} to {most:g}"


def as_number(value: Any) -> float | None:
    """Return a finite number, whole ones exactly, of a number or a text; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return None
    try:
        if isinstance(value, str):
            value = int(value) if _WHOLE.fullmatch(value) else float(value)
        return value if math.isfinite(value) else None
    except (ValueError, OverflowError):  # a text that is no number, a whole number that no float can hold
        return None
