"""The style of the pages."""

from functools import cache
from pathlib import Path


@cache
def stylesheet() -> str:
    """Return the CSS, which is the same in light and dark, narrow and wide."""
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
