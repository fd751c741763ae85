"""Telling what a text is, by its content, and reading the runs in it."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Literal, Protocol, cast, get_args

from bench.errors import InputError, suggest
from bench.imports import llama_bench, lm_eval, make_bench
from bench.imports.json_values import json_objects
from bench.imports.records import Imported, Placed
from bench.imports.sql_rows import sql_rows

Format = Literal["llama-bench-json", "llama-bench-sql", "lm-eval", "make-bench"]
FORMATS: tuple[str, ...] = get_args(Format)

#: returns the examples that lm-eval shows by itself, by task; see `lm_eval.read_results`
ShotsOf = Callable[[list[str]], Mapping[str, int | None]]

#: so much of a text is looked at
_LOOKED_AT = 4096
#: what a text may be that begins otherwise, with what to do about it
_OTHERS = (
    (r"SQLite format 3", "is a database of SQLite; import llama-bench's own output, of `llama-bench -o json`"),
    (r"build_commit,", "is llama-bench's CSV, which holds no readings; run llama-bench with -o json"),
    (r"\|[^\n]*\|[^\n]*t/s", "is llama-bench's table for people; run llama-bench with -o json"),
    (r"\|[^\n]*\|[^\n]*Metric", "is lm-eval's table for people; import the results_*.json that --output_path writes"),
)
_KNOWN = "there is llama-bench's output of `-o json`, `-o jsonl` and `-o sql`, and lm-eval's results_*.json"


class Text(Protocol):
    """A text that is read from its beginning, such as an open file."""

    def read(self, size: int = -1, /) -> str:
        """Return so many characters, fewer at the end."""

    def readline(self, size: int = -1, /) -> str:
        """Return a line, or so much of it."""

    def seek(self, offset: int, /) -> int:
        """Go to a place; 0 is the beginning."""


def check_format(name: str, where: str) -> Format:
    """Return the format of a name. Raises InputError with near matches."""
    if name in FORMATS:
        return cast(Format, name)
    raise InputError(f"unknown format {name!r}{suggest(name, FORMATS)}", where=where)


def read_imports(
    text: Text, name: str, wanted: Format | None = None, shots_of: ShotsOf | None = None
) -> Iterator[Imported]:
    """Yield the runs of a text, one by one; `name` is said where something is wrong with it.

    Without `wanted` the content tells the format. Raises InputError, with file and line, for what is in none of
    FORMATS, and for what can't be understood; then no run that was yielded before should be kept.
    """
    text.seek(0)
    start = text.read(_LOOKED_AT).lstrip()
    text.seek(0)
    if not start:
        raise InputError("is empty", where=name)
    is_sql = re.match(r"CREATE\s|INSERT\s|--", start, re.I) is not None
    if wanted == "llama-bench-sql" or (wanted is None and is_sql):
        runs = _llama_bench(sql_rows(text.readline, name), name)
    elif start[0] in "[{" or wanted is not None:
        runs = _json(json_objects(text.read, name), name, wanted, shots_of)
    else:
        raise InputError(_what_else(start), where=name)
    first = next(runs, None)
    if first is None:
        raise InputError("holds no results", where=name)
    yield from chain((first,), runs)


def _what_else(start: str) -> str:
    known = (message for pattern, message in _OTHERS if re.match(pattern, start))
    return next(known, f"is in no format that can be imported; {_KNOWN}")


def _json(objects: Iterator[Placed], name: str, wanted: Format | None, shots_of: ShotsOf | None) -> Iterator[Imported]:
    first = next(objects, None)
    if first is None:
        return
    all_objects = chain((first,), objects)
    if wanted == "llama-bench-json" or (wanted is None and first.value.keys() >= llama_bench.MARKS):
        yield from _llama_bench(all_objects, name)
    elif wanted == "make-bench" or (wanted is None and first.value.keys() >= make_bench.MARKS):
        yield from _make_bench(all_objects, name)
    elif wanted == "lm-eval" or first.value.keys() >= lm_eval.MARKS:
        yield from _lm_eval(all_objects, name, shots_of)
    elif first.value.keys() >= lm_eval.SAMPLE_MARKS:
        message = "holds lm-eval's answers, which are not imported; import the results_*.json beside it"
        raise InputError(message, where=name)
    else:
        message = f"this object is neither a row of llama-bench nor lm-eval's results; {_KNOWN}"
        raise InputError(message, where=f"{name}:{first.line}")


def _llama_bench(rows: Iterator[Placed], name: str) -> Iterator[Imported]:
    for number, row in enumerate(rows, start=1):
        place = f"{name}:{row.line} (row {number})"
        missing = sorted(llama_bench.MARKS - row.value.keys())
        if missing:
            raise InputError(f"is no row of llama-bench: {missing[0]} is missing", where=place)
        yield llama_bench.read_row(row.value, place, number)


def _lm_eval(objects: Iterator[Placed], name: str, shots_of: ShotsOf | None) -> Iterator[Imported]:
    for each in objects:
        place = f"{name}:{each.line}"
        if not isinstance(each.value.get("results"), dict):
            raise InputError("is no result file of lm-eval: it has no results", where=place)
        shots = each.value.get("n-shot")
        known = shots_of([str(task) for task in shots]) if shots_of and isinstance(shots, dict) else {}
        yield from lm_eval.read_results(each.value, place, known)


def _make_bench(objects: Iterator[Placed], name: str) -> Iterator[Imported]:
    for each in objects:
        place = f"{name}:{each.line}"
        missing = sorted(make_bench.MARKS - each.value.keys())
        if missing:
            raise InputError(f"is no table of `make bench`: {missing[0]} is missing", where=place)
        yield from make_bench.read_table(each.value, place)
