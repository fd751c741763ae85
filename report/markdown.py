"""A report as Markdown: every figure with its interval, the SQL at the end."""

import re
from collections.abc import Iterator

from report.cells import bytes_in_words, number_in_words, one_line
from report.document.parts import Block, Bullets, Cell, Chart, Code, Document, Figure, Paragraph, Section, Table, Text

_SPECIAL = re.compile(r"[\\`*_\[\]|~#]")
_CODE = re.compile(r"`([^`]+)`")
_FENCE = re.compile(r"`{3,}")


def write_markdown(document: Document) -> str:
    """Return a report as Markdown, pictures as their tables."""
    return "\n".join(_lines(document)).rstrip() + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield f"# {_text(document.title)}"
    yield ""
    if document.warning:
        yield f"> **{_text(document.warning)}**"
        yield ""
    # Two spaces break a line.
    yield from (f"**{_text(name)}**: {_text(value)}  " for name, value in document.head)
    yield ""
    for section in document.sections:
        yield from _section(section)
    yield "## The SQL behind the figures"
    yield ""
    yield "`benchbeat sql` runs each unchanged."
    yield ""
    for source in document.sources:
        yield f"### {_text(source.id)}"
        yield ""
        yield from _code(source.sql, "sql")


def _section(section: Section) -> Iterator[str]:
    yield f"{'#' * section.level} {_text(section.title)}"
    yield ""
    for block in section.blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            yield _sentence(block.text)
            yield ""
        case Bullets():
            yield from (f"- {_sentence(item)}" for item in block.items)
            yield ""
        case Code():
            if block.caption:
                yield f"{_text(block.caption)}:"
                yield ""
            yield from _code(block.text, "")
        case Table():
            yield from _table(block)
        case Chart():
            yield f"**{_text(block.title)}.** {_text(block.description)}"
            yield ""
            yield from _table(block.table, captioned=False)


def _table(table: Table, *, captioned: bool = True) -> Iterator[str]:
    if captioned:
        yield f"**{_text(table.caption)}**"
        yield ""
    yield "| " + " | ".join(map(_text, table.columns)) + " |"
    yield "| " + " | ".join("---:" if _is_number(table, n) else "---" for n in range(len(table.columns))) + " |"
    for row in table.rows:
        yield "| " + " | ".join(_cell(cell) for cell in row) + " |"
    yield ""
    if table.sources:
        yield f"SQL: {', '.join(map(_text, table.sources))}"
        yield ""


def _is_number(table: Table, column: int) -> bool:
    return any(isinstance(row[column], Figure) for row in table.rows)


def _cell(cell: Cell) -> str:
    if cell is None:
        return "not measured"
    return in_words(cell) if isinstance(cell, Figure) else _text(cell)


def _sentence(text: Text) -> str:
    return "".join(in_words(part) if isinstance(part, Figure) else _with_code(part) for part in text)


def _with_code(text: str) -> str:
    """Return a sentence in which words between backticks stay code: nothing in them acts but another backtick."""
    parts = _CODE.split(text)
    return "".join(f"`{one_line(part)}`" if index % 2 else _text(part) for index, part in enumerate(parts))


def in_words(figure: Figure) -> str:
    """Return a figure with its unit, its interval and what it stands on: `18.2 tokens/s (17.9 to 18.4; n = 30)`."""
    notes = []
    if figure.low is not None and figure.high is not None:
        notes.append(f"{_plain(figure.low, figure)} to {_plain(figure.high, figure)}")
    if figure.n is not None:
        notes.append(f"n = {figure.n}")
    shown = _with_unit(figure)
    return f"{shown} ({'; '.join(notes)})" if notes else shown


def _with_unit(figure: Figure) -> str:
    shown = _plain(figure.value, figure)
    if figure.unit in ("bytes", "share", "count", "ratio"):
        return shown
    return f"{shown} {_text(figure.unit)}"


def _plain(value: float, figure: Figure) -> str:
    shown = _unsigned(value, figure.unit)
    return f"+{shown}" if figure.is_difference and not shown.startswith("-") else shown


def _unsigned(value: float, unit: str) -> str:
    match unit:
        case "bytes":
            return bytes_in_words(value)
        case "share":
            return f"{value * 100:.1f} %"
        case "points":
            return f"{value * 100:.1f}"
        case "count":
            return f"{value:,.0f}"
    return number_in_words(value)


def _text(text: str) -> str:
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\g<0>", text)


def _code(text: str, language: str) -> Iterator[str]:
    longest = max((len(each) for each in _FENCE.findall(text)), default=2)
    fence = "`" * max(longest + 1, 3)
    yield f"{fence}{language}"
    yield from (one_line(line) for line in text.split("\n"))
    yield fence
    yield ""
