"""Lengths of time and moments as a screen has room for them."""

from datetime import UTC, datetime


def brief(seconds: float) -> str:
    """Return a length of time in its largest units, at most eight characters: 45 s, 12 min, 2 h 05, 3 d 4 h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d}"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def clock(seconds: float) -> str:
    """Return a moment's time of day in this machine's zone."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")
