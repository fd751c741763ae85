"""What an address asks of a view: which rows, in which order, after which one."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from bench.errors import InputError
from db.columns import KINDS
from db.conditions import Condition, kind_of

_MAX_CONDITIONS = 20
_MAX_VALUE = 1000

#: what names one row of a view
KEYS: dict[str, tuple[str, ...]] = {
    "history": ("run_id",),
    "latest": ("run_id",),
    "newest": ("run_id",),
    "series": ("series",),
    "samples": ("run_id", "iteration"),
    "answers": ("run_id", "item_id", "sample"),
    "breakdowns": ("run_id", "by", "value"),
    "metrics": ("run_id", "task", "name", "filter"),
    "surroundings": ("run_id",),
    "changes": ("change_id",),
    "jobs": ("job_id",),
    "attempts": ("job_id", "attempt"),
    "batches": ("batch",),
    "schedules": ("schedule",),
    "firings": ("schedule", "due_at"),
    "alerts": ("batch",),
}

_HISTORY = """
    run_id started_at batch model workload strategy temperature precision machine accuracy decode_tokens_per_second
    ttft_seconds latency_seconds word_error_rate peak_process_memory_bytes contaminated series
    """
#: what a page shows where the address does not say
_USUAL = {
    "history": _HISTORY,
    "latest": _HISTORY,
    "newest": _HISTORY,
    # Which runs are disturbed no index knows: counting them reads every run of the series.
    "series": "series model workload strategy temperature precision machine runs first_run_at last_run_at",
    "answers": "run_id item_id sample prompt expected text score level language finish new_tokens",
    "surroundings": """
    run_id started_at model workload machine others_mean_cores greediest gpu_others_mean thermal contaminated
    contamination
    """,
    "changes": "change_id changed_at state model workload precision machine metric ratio ratio_low ratio_high series",
    "jobs": """
    job_id batch state model workload strategy precision queue attempt run_id error queued_at duration_seconds
    """,
    "batches": "batch name schedule created_at jobs queued running done failed cancelled labels",
}
_NO_COLUMNS = ("where", "sort", "columns", "after", "look", "f.column", "f.operator", "f.value")


@dataclass(frozen=True)
class Listing:
    """What an address asks of a view."""

    view: str
    conditions: tuple[Condition, ...] = ()
    columns: tuple[str, ...] = ()
    #: a column, `-column` for the largest first; None goes by the key, the newest first
    sort: str | None = None
    #: the key of the row before the first
    after: tuple[Any, ...] = ()
    #: whether every row may be looked at, however long that takes
    looks_at_all: bool = False

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns of the page."""
        return self.columns or usual_columns(self.view)

    @property
    def key(self) -> str:
        """The column that the rows are in the order of by themselves."""
        return KEYS[self.view][0]

    @property
    def sorted_by(self) -> str:
        """The column that the rows are sorted by."""
        return self.sort.removeprefix("-") if self.sort else self.key

    @property
    def is_descending(self) -> bool:
        """Whether the largest comes first: by themselves, rows that have numbers are shown from the newest on."""
        return self.sort.startswith("-") if self.sort else is_newest_first(self.view)

    def parameters(self, **changes: Any) -> str:
        """Return the query of the address of this listing, or of one with fields changed, from its first row."""
        same = {name: getattr(self, name) for name in ("conditions", "columns", "sort", "looks_at_all")}
        fields = same | {"after": ()} | changes
        pairs = [("where", str(each)) for each in fields["conditions"]]
        pairs += [("columns", ",".join(fields["columns"]))] if fields["columns"] else []
        pairs += [("sort", fields["sort"])] if fields["sort"] else []
        pairs += [("look", "all")] if fields["looks_at_all"] else []
        pairs += [("after", str(part)) for part in fields["after"]]
        return f"?{urlencode(pairs)}" if pairs else "?"

    def without(self, condition: Condition) -> str:
        """Return the query without a condition."""
        return self.parameters(conditions=tuple(each for each in self.conditions if each != condition))


def is_newest_first(view: str) -> bool:
    """Return whether a view's rows have numbers, of which the largest is the newest."""
    return KINDS[view][KEYS[view][0]] == "integer"


def usual_columns(view: str) -> tuple[str, ...]:
    """Return the columns that a page shows by itself."""
    return tuple(_USUAL[view].split()) if view in _USUAL else tuple(KINDS[view])


def read_listing(view: str, given: MultiDict[str, str]) -> Listing:
    """Read what follows the `?` of an address. Raises InputError."""
    conditions = [Condition.parse(each, view) for each in given.getlist("where")]
    for name, values in given.lists():
        if name not in _NO_COLUMNS:
            conditions += [_condition(view, name, "=", value) for value in values]
    if given.get("f.column"):
        conditions.append(
            _condition(view, given["f.column"], given.get("f.operator") or "=", given.get("f.value", "").strip())
        )
    if len(conditions) > _MAX_CONDITIONS:
        raise InputError(f"{len(conditions)} conditions are too many; {_MAX_CONDITIONS} are allowed")
    for each in conditions:
        if len(each.value) > _MAX_VALUE:
            raise InputError(
                f"has a value of {len(each.value):,} characters; {_MAX_VALUE:,} are allowed", where=each.column
            )
    columns = tuple(name for part in given.getlist("columns") for each in part.split(",") if (name := each.strip()))
    for name in columns:
        kind_of(name, view)
    sort = given.get("sort") or None
    if sort is not None:
        kind_of(sort.removeprefix("-"), view)
    return Listing(
        view,
        tuple(dict.fromkeys(conditions)),
        tuple(dict.fromkeys(columns)),
        sort,
        _key(view, given),
        _looks_at_all(given),
    )


def _looks_at_all(given: MultiDict[str, str]) -> bool:
    asked = given.get("look", "")
    if asked not in ("", "all"):
        raise InputError(f"look={asked[:40]} is none; look=all looks at every row", where="look")
    return asked == "all"


def _condition(view: str, column: str, operator: str, value: str) -> Condition:
    if operator not in ("=", "!=", ">", ">=", "<", "<=", "~"):
        raise InputError(f"there is no operator {operator!r}; use one of = != > >= < <= ~", where=column)
    condition = Condition(column, operator, value)
    condition.check(view)
    return condition


def _key(view: str, given: MultiDict[str, str]) -> tuple[Any, ...]:
    parts = given.getlist("after")
    names = KEYS[view]
    if not parts:
        return ()
    if len(parts) != len(names):
        raise InputError(f"a page begins after a row's {', '.join(names)}", where="after")
    return tuple(_part(part, KINDS[view][name]) for part, name in zip(parts, names, strict=True))


def _part(text_given: str, kind: str) -> Any:
    if kind != "integer":
        return text_given.replace("\0", "")
    if not (text_given.isascii() and text_given.isdigit() and int(text_given[:20]) < 2**63):
        raise InputError(f"{text_given[:40]!r} is no number of a row", where="after")
    return int(text_given)
