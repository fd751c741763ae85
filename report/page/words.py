"""Texts of the history on a page: harmless, on their line, and in their own direction of writing."""

import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

from report.cells import one_line

if TYPE_CHECKING:
    from markupsafe import Markup

_TAB = " " * 4
_CODE = re.compile(r"`([^`]+)`")


def plain(text: str) -> str:
    """Return a text on one line, with what would act on a page or a terminal written out."""
    return one_line(text)


def on_one_line(text: str) -> "Markup":
    """Return a text for HTML; one that is partly written from right to left leaves its surroundings in order."""
    from markupsafe import Markup, escape

    safe = escape(one_line(text))
    return Markup("<bdi>{}</bdi>").format(safe) if _is_partly_right_to_left(text) else safe


def with_code(text: str) -> "Markup":
    """Return a sentence for HTML, in which words between backticks are set as code."""
    from markupsafe import Markup

    parts = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(on_one_line(part)) if index % 2 else on_one_line(part)
        for index, part in enumerate(parts)
    )


def on_their_lines(text: str) -> str:
    """Return a text with its lines as they are."""
    return "\n".join(one_line(line) for line in text.expandtabs(len(_TAB)).splitlines())


def in_place(markup: str) -> "Markup":
    """Return markup of this project's own, in which nothing is to be escaped."""
    from markupsafe import Markup

    return Markup(markup)


def ids_apart(wanted: Iterable[str]) -> list[str]:
    """Return an id for each wanted one that is valid and its own."""
    ids: list[str] = []
    for word in wanted:
        base = re.sub(r"[^A-Za-z0-9_-]+", "-", word).strip("-") or "part"
        base = base if base[0].isalpha() else f"part-{base}"
        found, count = base, 2
        while found in ids:
            found, count = f"{base}-{count}", count + 1
        ids.append(found)
    return ids


def _is_partly_right_to_left(text: str) -> bool:
    return not text.isascii() and any(unicodedata.bidirectional(letter) in {"R", "AL", "AN"} for letter in text)
