"""What README.md and docs/ show in blocks of code: command lines, SQL, TOML."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from docs.hooks import PAGES
from tests.commands import ROOT

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_VARIABLE = re.compile(r"[A-Z_]+=.*", re.DOTALL)
_ENDS = ("|", ">", ">>", "&&")


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Line:
    """A command line of a page: what is to be typed, variables before it, and its words up to a pipe or a file."""

    page: str
    text: str
    variables: tuple[str, ...]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def pages() -> dict[str, str]:
    """Return the text of README.md, of every page of docs/ and of those that are generated."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    written = {str(each.relative_to(ROOT)): each.read_text(encoding="utf-8") for each in files}
    return written | {f"docs/{name}": page() for name, page in PAGES.items()}


def blocks(language: str) -> list[Block]:
    """Return every block in a language."""
    return [block for page, text in pages().items() for block in _blocks(page, text) if block.language == language]


def block_of(page: str, language: str) -> str:
    """Return the first block of a page in a language."""
    return next(block.text for block in blocks(language) if block.page == page)


def command_lines() -> list[Line]:
    """Return every line of a shell that a page shows, each once a page."""
    lines = [line for block in blocks("sh") for text in _logical_lines(block.text) for line in _lines(block.page, text)]
    return list(dict.fromkeys(lines))


def file_of(page: str, name: str, folder: Path) -> Path:
    """Write the first JSON Lines of a page into a folder, and return the file."""
    path = folder / name
    path.write_text(block_of(page, "json"), encoding="utf-8")
    return path


def _blocks(page: str, text: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found["language"], dedent(found["text"]))


def _logical_lines(text: str) -> list[str]:
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def _lines(page: str, text: str) -> Iterator[Line]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";|>&")
    lexer.whitespace_split = True
    words = list(lexer)
    if words[:1] == ["export"]:
        words = words[1:]
    variables = []
    while words and _VARIABLE.fullmatch(words[0]):
        variables.append(words.pop(0))
    if variables and "$(" in variables[-1]:
        # What another program prints is the value.
        variables[-1], words = variables[-1].partition("=")[0] + "=", []
    end = next((place for place, word in enumerate(words) if word in _ENDS), len(words))
    if words or variables:
        yield Line(page, text.strip(), tuple(variables), tuple(words[:end]))
