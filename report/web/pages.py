"""The pages by their addresses."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, Response, abort, render_template, request

from bench.errors import UnavailableError
from db.columns import KINDS
from db.conditions import Condition
from db.engine import Database
from db.views import VIEWS
from report.web.cells import Grid, grid
from report.web.details import batch_details, run_details
from report.web.downloads import download
from report.web.easel import Easel
from report.web.finding import MAX_ROWS, read_all, read_page
from report.web.known import Known, known_of
from report.web.listing import Listing, read_listing, usual_columns
from report.web.live_report import LiveReport
from report.web.reading import FILE_SECONDS, Reading
from report.web.series import series_details
from report.web.style import stylesheet

#: views that have an address of another name
_NAMES = {"history": "runs"}
_VIEWS = {_NAMES.get(view, view): view for view in VIEWS}
#: rows of a statement's answer that a page shows
SQL_ROWS = 500
#: statements and downloads that are answered at once, so that pages are answered meanwhile
_HEAVY = 3


class Pages:
    """Answers each address from the history."""

    def __init__(self, database: Database, reading: Reading, report: LiveReport) -> None:
        self._database = database
        self._reading = reading
        self._report = report
        self._easel = Easel()
        self._heavy = threading.BoundedSemaphore(_HEAVY)

    def add_to(self, app: Flask) -> None:
        """Give every page its address."""
        app.add_url_rule("/", "report", self.report)
        app.add_url_rule("/style.css", "style", self.style)
        app.add_url_rule("/favicon.ico", "icon", lambda: Response(status=204))
        app.add_url_rule("/sql", "sql", self.sql)
        app.add_url_rule("/sql.<any(csv, json):kind>", "sql_file", self.sql_file)
        app.add_url_rule("/runs/<int:number>", "run", self.run)
        app.add_url_rule("/batches/<int:number>", "batch", self.batch)
        app.add_url_rule("/series/<string(length=16):series>", "one_series", self.series)
        names = ", ".join(_VIEWS)
        app.add_url_rule(f"/<any({names}):name>", "view", self.view)
        app.add_url_rule(f"/<any({names}):name>.<any(csv, json):kind>", "view_file", self.view_file)

    def report(self) -> str | tuple[str, int]:
        """Show the report, or that it is being made."""
        shown = self._report.look()
        if shown.error is not None:
            raise UnavailableError(shown.error)
        return shown.page if shown.page is not None else render_template("making.html")

    def style(self) -> Response:
        """Give the style of the pages."""
        return Response(stylesheet(), content_type="text/css; charset=utf-8")

    def view(self, name: str) -> str:
        """Show some rows of a view."""
        listing = read_listing(_VIEWS[name], request.args)
        known = known_of(self._database, listing)
        with self._reading.open() as connection:
            page = read_page(connection, listing, known)
        looked = page.looked
        # The next rows are those of the same part of the history, whatever was added meanwhile.
        here = listing.conditions if looked is None else looked.here(listing)
        more = None if page.next_key is None else listing.parameters(after=page.next_key, conditions=here)
        shown = self._grid(name, listing, page.rows)
        return render_template(
            "listing.html",
            name=name,
            about=VIEWS[listing.view][0],
            listing=listing,
            grid=shown,
            more=more,
            looked=looked,
            onward=None if looked is None else listing.parameters(conditions=looked.onward(listing)),
            all_of_them=listing.parameters(looks_at_all=True),
            columns=list(KINDS[listing.view]),
            is_usual=listing.shown == usual_columns(listing.view),
            every=listing.parameters(columns=tuple(KINDS[listing.view])),
            max_rows=MAX_ROWS,
        )

    def view_file(self, name: str, kind: str) -> Response:
        """Give the rows of a view as a file."""
        listing = read_listing(_VIEWS[name], request.args)
        if not listing.columns:
            listing = Listing(listing.view, listing.conditions, tuple(KINDS[listing.view]), listing.sort, listing.after)
        known = known_of(self._database, listing)
        with self._busy(), self._reading.open(FILE_SECONDS) as connection:
            rows = read_all(connection, listing, known, MAX_ROWS)
            return download(listing.shown, rows, kind, name, MAX_ROWS)

    def run(self, number: int) -> str:
        """Show one run with all that belongs to it."""
        with self._reading.open() as connection:
            found = run_details(connection, _checked(number))
        return render_template("run.html", found=found) if found else abort(404, f"There is no run {number}")

    def batch(self, number: int) -> str:
        """Show one batch with its jobs."""
        with self._reading.open() as connection:
            found = batch_details(connection, _checked(number))
            if found is None:
                abort(404, f"There is no batch {number}")
            listing = Listing("jobs", (Condition("batch", "=", str(number)),))
            page = read_page(connection, listing, Known())
        more = None if page.next_key is None else "/jobs" + listing.parameters(after=page.next_key)
        jobs = self._grid("jobs", listing, page.rows)
        return render_template("batch.html", number=number, facts_of=found, grid=jobs, more=more)

    def series(self, series: str) -> str:
        """Show one series over time."""
        found = series_details(self._database, self._reading, self._easel, series, request.args.get("figure"))
        return render_template("series.html", found=found) if found else abort(404, f"There is no series {series}")

    def sql(self) -> str | tuple[str, int]:
        """Show a form for a statement, and its answer."""
        from bench.errors import QueryError

        statement = request.args.get("statement", "").strip()
        answer: Grid | None = None
        fault = None
        is_cut = False
        if statement:
            try:
                with self._busy(), self._reading.ask(statement) as rows:
                    taken = [row for row, _ in zip(rows, range(SQL_ROWS + 1), strict=False)]
                    is_cut = len(taken) > SQL_ROWS
                    answer = grid("What came", rows.columns, taken[:SQL_ROWS], has_links=False)
            except QueryError as error:
                fault = str(error)
        page = render_template(
            "sql.html",
            statement=statement,
            grid=answer,
            fault=fault,
            is_cut=is_cut,
            shown_rows=SQL_ROWS,
            max_rows=MAX_ROWS,
            views=[(name, about, example, list(KINDS[name])) for name, (about, example) in VIEWS.items()],
        )
        return (page, 400) if fault else page

    def sql_file(self, kind: str) -> Response:
        """Give the answer to a statement as a file."""
        with self._busy(), self._reading.ask(request.args.get("statement", "")) as rows:
            return download(rows.columns, rows, kind, "answer", MAX_ROWS)

    def _grid(self, name: str, listing: Listing, rows: list[tuple[Any, ...]]) -> Grid:
        caption = {"runs": "Runs"}.get(name, name.capitalize())
        return grid(
            caption,
            listing.shown,
            rows,
            sort=listing.sort,
            sort_href=lambda column: f"/{name}{listing.parameters(sort=column)}",
            download=f"/{name}",
            download_query=listing.parameters(),
        )

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Take one of the places of what may take long. Raises UnavailableError where none is free."""
        if not self._heavy.acquire(timeout=1):
            raise UnavailableError(f"{_HEAVY} statements or downloads are being answered; try again when one has ended")
        try:
            yield
        finally:
            self._heavy.release()


def _checked(number: int) -> int:
    if number >= 2**63:
        abort(404, "No number is so large")
    return number
