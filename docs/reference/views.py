"""The page of every view and column, made of `db.views`, and of what an export says of its columns."""

from db.columns import KINDS
from db.views import VIEWS
from docs.reference.markdown import code, fenced, plain, table
from report.units import describe

_INTRODUCTION = """# Views

The views are what SQL asks, on SQLite and PostgreSQL alike; the tables behind them may change. `benchbeat sql` prints
this list too, and [questions in SQL](../sql.md) puts it to use. What a run did not measure is NULL, never 0. Times are
UTC."""


def views_page() -> str:
    """Return the page."""
    return "\n\n".join([_INTRODUCTION, *(_section(name) for name in VIEWS)]) + "\n"


def _section(view: str) -> str:
    line, example = VIEWS[view]
    described = describe(view, list(KINDS[view]), list(KINDS[view].values()))
    rows = [(code(each.name), each.type, each.unit or "", plain(each.description)) for each in described]
    columns = table(("column", "type", "unit", ""), rows)
    return "\n\n".join([f"## {view}", plain(line) + ":", fenced("sql", example), columns])
