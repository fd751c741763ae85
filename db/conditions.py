"""Conditions on the columns of a view, as people type them: `accuracy>=0.5`, `model~qwen`, `labels.host=lab`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import InputError, suggest
from db.columns import KINDS, Kind
from db.moments import read_moment

_OPERATORS = ("!=", ">=", "<=", "=", ">", "<", "~")
_CONDITION = re.compile(r"\s*([\w.-]*?)\s*(!=|>=|<=|==|=|>|<|~)\s*(.*?)\s*", re.DOTALL)
_LABEL = re.compile(r"labels\.([\w.-]{1,100})")
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Condition:
    """A column, an operator (`= != > >= < <= ~`) and the value as typed; an empty one is what is not there.

    What a run does not have (NULL) meets no condition but `column=`; `~` is "contains", whatever the case.
    """

    column: str
    operator: str
    value: str

    def __post_init__(self) -> None:
        if self.operator not in _OPERATORS:
            raise ValueError(f"no operator: {self.operator!r}")

    @classmethod
    def parse(cls, text: str, view: str = "history") -> "Condition":
        """Read a condition on a column of a view. Raises InputError, with near matches for a wrong column."""
        match = _CONDITION.fullmatch(text)
        if match is None or not match[1]:
            raise InputError(
                f"{text!r} is no condition; write COLUMN, one of {' '.join(_OPERATORS)} and a value, "
                "as in 'accuracy>=0.5'"
            )
        condition = cls(match[1], match[2].replace("==", "="), match[3])
        condition.check(view)
        return condition

    def check(self, view: str) -> None:
        """Raise InputError where the view has no such column or the value is none of its kind."""
        kind = kind_of(self.column, view)
        if self.value == "" and self.operator in ("=", "!="):
            return
        if self.operator == "~":
            if kind != "text":
                raise InputError(
                    f"{self.column} is no text, so nothing is contained in it; use =, >, <", where=str(self)
                )
            return
        if kind == "json":
            raise InputError(f"name one of the {self.column}: {self.column}.NAME=value", where=str(self))
        if kind == "boolean" and self.operator not in ("=", "!="):
            raise InputError(f"{self.column} is true or false and has no order", where=str(self))
        self._typed(kind)

    def __str__(self) -> str:
        return f"{self.column}{self.operator}{self.value}"

    def _typed(self, kind: Kind) -> Any:
        try:
            if kind == "integer":
                return _integer(self.value)
            if kind == "number":
                return _number(self.value)
            if kind == "boolean":
                return _TRUTHS[self.value.lower()]
        except (ValueError, KeyError, OverflowError):
            kinds = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
            raise InputError(f"{self.column} is {kinds[kind]}, not {self.value!r}", where=str(self)) from None
        if kind == "time":
            return read_moment(self.value, where=str(self))
        return self.value.replace("\0", "")


def kind_of(column: str, view: str = "history") -> Kind:
    """Return what a column of a view holds; `labels.NAME` is a text. Raises InputError with near matches."""
    columns = KINDS[view]
    if column in columns:
        return columns[column]
    if "labels" in columns and _LABEL.fullmatch(column):
        return "text"
    known = [*columns, "labels.NAME"] if "labels" in columns else list(columns)
    raise InputError(f"{view} has no column {column!r}{suggest(column, known)}")


def column_sql(column: str, dialect: str) -> str:
    """Return the SQL of a column, or of one label, of a view; the name must have passed `kind_of`."""
    match = _LABEL.fullmatch(column)
    if match is None:
        return f'"{column}"'
    # SQLite would take a name that begins with a digit for a place in a list, as the right side of ->>.
    return f"""json_extract(labels, '$."{match[1]}"')""" if dialect == "sqlite" else f"(labels ->> '{match[1]}')"


def where_sql(
    conditions: Iterable[Condition], labels: Mapping[str, str], view: str, dialect: str
) -> tuple[str, dict[str, Any]]:
    """Return a WHERE clause ("" for none) with its parameters. Equalities of one column are alternatives."""
    alternatives: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    given = [*conditions, *(Condition(f"labels.{name}", "=", value) for name, value in labels.items())]
    for number, condition in enumerate(given):
        condition.check(view)
        clause = _clause(condition, kind_of(condition.column, view), dialect, f"c{number}", values)
        together = condition.column if condition.operator == "=" else str(number)
        alternatives.setdefault(together, []).append(clause)
    clauses = [f"({' OR '.join(each)})" for each in alternatives.values()]
    return (f" WHERE {' AND '.join(clauses)}" if clauses else ""), values


def _clause(condition: Condition, kind: Kind, dialect: str, name: str, values: dict[str, Any]) -> str:
    column, operator = column_sql(condition.column, dialect), condition.operator
    if condition.value == "" and operator in ("=", "!="):
        return f"{column} IS {'NOT ' if operator == '!=' else ''}NULL"
    typed = condition._typed(kind)
    if kind == "time":
        return _time_clause(column, operator, typed, dialect, name, values)
    if operator == "~":
        values[name] = "%" + re.sub(r"([%_!])", r"!\1", condition.value.replace("\0", "")) + "%"
        return f"lower({column}) LIKE lower(:{name}) ESCAPE '!'"
    values[name] = typed
    return f"{column} {'<>' if operator == '!=' else operator} :{name}"


def _time_clause(column: str, operator: str, span: Any, dialect: str, name: str, values: dict[str, Any]) -> str:
    as_time = "strftime('%Y-%m-%d %H:%M:%f', {}, 'unixepoch')" if dialect == "sqlite" else "to_timestamp({})"
    start, end = as_time.format(f":{name}_start"), as_time.format(f":{name}_end")
    # an instant covers nothing, but is itself neither before nor behind it
    before_end = "<" if span.end > span.start else "<="
    clause, used = {
        ">=": (f"{column} >= {start}", ("start",)),
        "<": (f"{column} < {start}", ("start",)),
        ">": (f"{column} {'>=' if before_end == '<' else '>'} {end}", ("end",)),
        "<=": (f"{column} {before_end} {end}", ("end",)),
        "=": (f"({column} >= {start} AND {column} {before_end} {end})", ("start", "end")),
        "!=": (f"NOT ({column} >= {start} AND {column} {before_end} {end})", ("start", "end")),
    }[operator]
    values |= {f"{name}_{edge}": getattr(span, edge) for edge in used}
    return clause


def _integer(text: str) -> int:
    number = int(text) if re.fullmatch(r"[+-]?\d{1,20}", text) else float(text)
    if number != int(number) or int(number) not in _INTEGERS:
        raise ValueError(text)
    return int(number)


def _number(text: str) -> float:
    number = float(text)
    if number != number:
        raise ValueError(text)
    return number
