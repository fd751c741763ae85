"""One run and one batch, with all that belongs to them."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from db.columns import KINDS
from report.web.cells import Cell, Grid, facts, grid
from report.web.listing import KEYS, usual_columns
from report.web.reading import rows_of

Facts = list[tuple[str, Cell]]

#: rows that a run's page shows of a table
SHOWN_ROWS = 50

_WHERE = "machine device device_name source session session_position schedule"
_ENVIRONMENT = """
    os_build python_version torch_version transformers_version benchbeat_version driver threads git_commit git_dirty
    libraries
    """
_ASKED = """
    model revision task workload strategy temperature top_p top_k repetition_penalty max_new_tokens seed samples
    precision quantiser attention compile cache batch_size prompt_tokens new_tokens isolation processes chat_template
    word_timestamps detect_language
    """
_WHAT = (
    "run_id series job_id batch batch_name started_at finished_at duration_seconds contaminated contamination labels"
)


@dataclass(frozen=True)
class Part:
    """Facts under a heading."""

    title: str
    facts: Facts


@dataclass(frozen=True)
class Rows:
    """Some of the rows that belong to a run, with the address of all of them."""

    grid: Grid
    #: where they go on
    more: str | None


@dataclass(frozen=True)
class RunDetails:
    """A run's page."""

    number: int
    title: str
    is_contaminated: bool
    parts: list[Part]
    tables: list[Rows]


def run_details(connection: Connection, number: int) -> RunDetails | None:
    """Return all about a run, or None where there is none."""
    columns = list(KINDS["history"])
    found = rows_of(connection, "history", columns, "WHERE run_id = :id", {"id": number})
    if not found:
        return None
    row = dict(zip(columns, found[0], strict=True))
    told = [*_WHAT.split(), *_ASKED.split(), *_WHERE.split(), *_ENVIRONMENT.split()]
    figures = [name for name in columns if name not in told]
    parts = [
        Part(title, facts(names, [row[name] for name in names]))
        for title, names in (
            ("The run", _WHAT.split()),
            ("Figures", figures),
            ("What was asked for", _ASKED.split()),
            ("Where", _WHERE.split()),
            ("Environment", _ENVIRONMENT.split()),
        )
    ]
    parts += [
        Part("Surroundings", _others(_one(connection, "surroundings", "run_id", number))),
        Part("Its job", _others(_one(connection, "jobs", "job_id", row["job_id"]))),
        Part("Its batch", _one(connection, "batches", "batch", row["batch"])),
    ]
    titled = " · ".join(str(row[name]) for name in ("model", "workload", "strategy", "precision") if row[name])
    tables = [_rows(connection, view, number) for view in ("breakdowns", "metrics", "samples", "answers")]
    return RunDetails(
        number,
        titled,
        bool(row["contaminated"]),
        [part for part in parts if part.facts],
        [table for table in tables if table.grid.rows],
    )


def batch_details(connection: Connection, number: int) -> Facts | None:
    """Return the facts of a batch, or None where there is none."""
    return _one(connection, "batches", "batch", number) or None


def _others(found: Facts) -> Facts:
    """Leave out what the run says itself."""
    return [(name, cell) for name, cell in found if name not in KINDS["history"]]


def _one(connection: Connection, view: str, key: str, number: int) -> Facts:
    columns = list(KINDS[view])
    found = rows_of(connection, view, columns, f'WHERE "{key}" = :id', {"id": number})
    return facts(columns, found[0]) if found else []


def _rows(connection: Connection, view: str, number: int) -> Rows:
    columns = [name for name in usual_columns(view) if name not in _OF_THE_RUN]
    key = KEYS[view][1:]
    order = ", ".join(f'"{name}"' for name in key)
    asked = [*columns, *(name for name in key if name not in columns)]
    rest = f"WHERE run_id = :id ORDER BY {order} LIMIT {SHOWN_ROWS + 1}"
    found = rows_of(connection, view, asked, rest, {"id": number})
    kept = _with_values(asked, found[:SHOWN_ROWS])
    shown = [name for name in columns if name in kept]
    places = [asked.index(name) for name in shown]
    rows = [tuple(row[place] for place in places) for row in found[:SHOWN_ROWS]]
    address = f"/{view}?where=run_id%3D{number}"
    table = grid(view.capitalize(), shown, rows, download=f"/{view}", download_query=f"?where=run_id%3D{number}")
    return Rows(table, address if len(found) > SHOWN_ROWS else None)


#: what stands above the tables already
_OF_THE_RUN = (
    *("run_id", "job_id", "batch", "model", "workload", "strategy", "temperature", "precision", "machine", "series"),
    "contaminated",
)


def _with_values(columns: list[str], rows: Iterable[tuple[object, ...]]) -> set[str]:
    return {name for row in rows for name, value in zip(columns, row, strict=True) if value is not None}
