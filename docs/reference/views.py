"""The page of every view and column, made of `db.views` and `db.columns`."""

from db.columns import KINDS
from db.views import VIEWS
from docs.reference.markdown import code, fenced, plain, table

_INTRODUCTION = """# Views

The views are what SQL asks, on SQLite and PostgreSQL alike; the tables behind them may change. `benchbeat sql` prints
this list too, and [questions in SQL](../sql.md) puts it to use. What a run did not measure is NULL, never 0. Times are
UTC."""

#: the end of a column's name -> its unit, the longest first
_UNITS = (
    ("tokens_per_second", "tokens/s"),
    ("joules_per_token", "J/token"),
    ("_seconds", "s"),
    ("_bytes", "bytes"),
    ("_joules", "J"),
    ("_mib", "MiB"),
    ("_celsius", "°C"),
    ("_cores", "cores"),
    ("_tokens", "tokens"),
)


def views_page() -> str:
    """Return the page."""
    return "\n\n".join([_INTRODUCTION, *(_section(name) for name in VIEWS)]) + "\n"


def _section(view: str) -> str:
    line, example = VIEWS[view]
    rows = [(code(name), kind, unit_of(name)) for name, kind in KINDS[view].items()]
    columns = table(("column", "type", "unit"), rows)
    return "\n\n".join([f"## {view}", plain(line) + ":", fenced("sql", example), columns])


def unit_of(column: str) -> str:
    """Return the unit that a column's name tells, or nothing."""
    return next((unit for end, unit in _UNITS if column.endswith(end)), "")
