"""What may be asked at all: one SELECT, told from everything else before any database sees it.

This gives good sentences; it is not the lock. The locks are SQLite's authorizer and PostgreSQL's rights.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bench.errors import QueryError

#: longest statement in characters
MAX_LENGTH = 1_000_000

_FIRST_WORDS = ("select", "with", "values")
_START = {
    "sqlite": re.compile(r"\s+|--[^\n]*|/\*|['\"`\[]|[^\W\d][\w$]*|.", re.DOTALL),
    "postgresql": re.compile(r"\s+|--[^\n]*|/\*|[eE]?'|\"|\$(?:[^\W\d]\w*)?\$|[^\W\d][\w$]*|.", re.DOTALL),
}
_ESCAPED_STRING = re.compile(r"(?:[^'\\]|''|\\.)*+'", re.DOTALL)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_CLOSING = {"[": "]"}


@dataclass(frozen=True)
class Statement:
    """A statement that may be asked."""

    #: the statement without what follows it: semicolons, comments
    text: str
    #: every name in it in small letters, quoted ones too, and everything else that looks like one
    words: frozenset[str]
    #: the names that its WITH clauses (and named windows) give
    bindings: frozenset[str]


@dataclass(frozen=True)
class _Token:
    text: str
    end: int

    @property
    def name(self) -> str:
        """The identifier it may stand for, in small letters."""
        return self.text.strip("'\"`[]").lower()


def read_statement(text: str, dialect: str) -> Statement:
    """Return the one statement in `text`, which begins with SELECT, WITH or VALUES. Raises QueryError.

    `dialect` is "sqlite" or "postgresql".
    """
    _check_characters(text)
    tokens = list(_tokens(text, dialect))
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if not tokens:
        raise QueryError("The statement is empty; try: select * from history")
    if any(token.text == ";" for token in tokens):
        raise QueryError("One statement at a time is answered; there is a second one after the first ';'")
    _check_first_word(tokens, dialect)
    _check_parentheses(tokens)
    return Statement(text[: tokens[-1].end], frozenset(token.name for token in tokens), frozenset(_bindings(tokens)))


def _check_characters(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise QueryError(f"The statement has {len(text):,} characters; {MAX_LENGTH:,} are allowed")
    if "\0" in text:
        raise QueryError("The statement has a NUL character in it, which SQL does not know")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"The statement is not valid UTF-8 at character {error.start + 1}") from None


def _check_first_word(tokens: list[_Token], dialect: str) -> None:
    first = next((token.text for token in tokens if token.text != "("), "(")
    known = (*_FIRST_WORDS, "table") if dialect == "postgresql" else _FIRST_WORDS
    if first.lower() not in known:
        raise QueryError(
            f"A statement begins with SELECT, WITH or VALUES, since nothing is written here; not {first[:40]!r}"
        )


def _check_parentheses(tokens: list[_Token]) -> None:
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth < 0:
            raise QueryError("A ')' closes nothing in the statement")
    if depth > 0:
        raise QueryError("A '(' is not closed in the statement")


def _bindings(tokens: list[_Token]) -> Iterator[str]:
    """Yield the names that stand before `[(columns)] AS [[NOT] MATERIALIZED] (`."""
    opened: list[int] = []
    opening: dict[int, int] = {}
    for position, token in enumerate(tokens):
        if token.text == "(":
            opened.append(position)
        elif token.text == ")":
            opening[position] = opened.pop()
    for position, token in enumerate(tokens):
        if token.text.lower() != "as" or position == 0 or not _opens_query(tokens, position + 1):
            continue
        before = opening.get(position - 1, position) - 1
        if before >= 0:
            yield tokens[before].name


def _opens_query(tokens: list[_Token], position: int) -> bool:
    following = [token.text.lower() for token in tokens[position : position + 3]]
    while following and following[0] in ("not", "materialized"):
        following.pop(0)
    return following[:1] == ["("]


def _tokens(text: str, dialect: str) -> Iterator[_Token]:
    """Yield what is neither space nor comment. What is opened and not closed goes on to the end."""
    position = 0
    while position < len(text):
        match = _START[dialect].match(text, position)
        assert match is not None
        start, opener = position, match.group()
        position = _end(text, opener, match.end(), dialect)
        if not opener.isspace() and not opener.startswith(("--", "/*")):
            yield _Token(text[start:position], position)


def _end(text: str, opener: str, position: int, dialect: str) -> int:
    if opener == "/*":
        return _end_of_comment(text, position, nested=dialect == "postgresql")
    if opener in ("e'", "E'"):
        closed = _ESCAPED_STRING.match(text, position)
        return closed.end() if closed else len(text)
    if opener in ("'", '"', "`", "[") and not (opener in "`[" and dialect == "postgresql"):
        closing = _CLOSING.get(opener, opener)
    elif len(opener) > 1 and opener[0] == "$":
        closing = opener
    else:
        return position
    found = text.find(closing, position)
    return found + len(closing) if found >= 0 else len(text)


def _end_of_comment(text: str, position: int, *, nested: bool) -> int:
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, position):
        if edge.group() == "*/":
            depth -= 1
        elif nested:
            depth += 1
        if depth == 0:
            return edge.end()
    return len(text)
