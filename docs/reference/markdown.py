"""Markdown for the generated pages: tables and text in which nothing is taken for markup."""

import html
import re
from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"([\\*_\[\]~])")


def plain(text: str) -> str:
    """Return text in which only what stands in backticks is markup."""
    parts = _CODE.split(text)
    return "".join(each if place % 2 else _escaped(each) for place, each in enumerate(parts))


def code(text: str) -> str:
    """Return text as code, in a cell of a table too."""
    return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>" if text else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def fenced(language: str, text: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", html.escape(text, quote=False)).replace("|", "&#124;")
