"""Values in the unit in which people read them: bytes as GiB, seconds as ms where small, shares in per cent."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
#: units of which none is written beside a number
_PLAIN = {"count", ""}
#: beyond these powers of ten a number is written with its power
_LARGEST_POWER = 9
_SMALLEST_POWER = -4
#: from here on a number has a power of ten in any case
_WRITTEN_OUT = 1e15


@dataclass(frozen=True)
class Scale:
    """How values of a unit are written: multiplied by `factor`, followed by `unit`."""

    factor: float
    #: empty where the values are counts
    unit: str

    def of(self, value: float) -> float:
        """Return a value on this scale."""
        return value * self.factor


def scale_for(unit: str, values: Iterable[float | None]) -> Scale:
    """Return one scale for all values of a unit, so that they can be compared by eye."""
    present = [abs(value) for value in values if value is not None and math.isfinite(value) and value]
    largest = max(present, default=1.0)
    match unit:
        case "bytes":
            power = min(max(math.floor(math.log(largest, 1024) + 1e-9), 0), len(_BYTES) - 1)
            power += largest / 1024**power >= 999.5 and power < len(_BYTES) - 1
            return Scale(1 / 1024**power, _BYTES[power])
        case "s" | "seconds":
            return _seconds(largest)
        case "share":
            return Scale(100.0, "%")
        case "points":
            return Scale(100.0, "points")
        case "ratio":
            return Scale(1.0, "×")
    return _plain(largest, "" if unit in _PLAIN else unit)


def decimals_for(values: Iterable[float | None], unit: str = "") -> int:
    """Return the decimals for values that stand above each other: three or four significant digits for most.

    Shares have one, since the interval of a share is never narrower; a column of whole numbers has none.
    """
    present = [abs(value) for value in values if value is not None and math.isfinite(value) and value]
    if unit in ("share", "points"):
        return 1
    if not present or all(value == int(value) for value in present):
        return 0
    largest, smallest = max(present), min(present)
    digits = 3 if unit in ("bytes", "ratio") else 4
    return min(max(min(_decimals(largest, digits), _decimals(smallest, 3)), 0), 12)


def number(value: float, decimals: int, *, signed: bool = False) -> str:
    """Return a number with a true minus and with thousands set apart: 1,234.5."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "not a number"
    if abs(value) >= _WRITTEN_OUT:
        return f"{value:{'+' if signed else ''}.3g}".replace("e+", "e").replace("-", "−")
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-+")


def in_words(value: float, unit: str) -> str:
    """Return one value with its unit: 1.46 GiB, 38.2 tokens/s, +4.2 points."""
    scale = scale_for(unit, [value])
    scaled = scale.of(value)
    text = number(scaled, decimals_for([scaled], unit), signed=unit == "points")
    return f"{text}{between(scale.unit)}{scale.unit}"


def between(unit: str) -> str:
    """Return what stands between a number and its unit."""
    return "" if unit in {"", "×"} else "\N{NO-BREAK SPACE}"


def _decimals(value: float, digits: int) -> int:
    return digits - 1 - math.floor(math.log10(value))


def _seconds(largest: float) -> Scale:
    if largest >= 600:
        return Scale(1 / 3600, "h") if largest >= 36000 else Scale(1 / 60, "min")
    if largest >= 1:
        return Scale(1.0, "s")
    return Scale(1e3, "ms") if largest >= 1e-3 else Scale(1e6, "µs") if largest >= 1e-6 else Scale(1e9, "ns")


def _plain(largest: float, unit: str) -> Scale:
    power = math.floor(math.log10(largest))
    if _SMALLEST_POWER <= power <= _LARGEST_POWER:
        return Scale(1.0, unit)
    power = min(max(power, -300), 300)
    return Scale(float(f"1e{-power}"), f"×10{str(power).translate(_SUPERSCRIPTS)} {unit}".strip())
