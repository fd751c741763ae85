"""The application: addresses, and what is said where one can't be answered."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, jsonify, render_template, request
from sqlalchemy import Connection
from werkzeug.exceptions import HTTPException

from bench.errors import InputError, QueryError, UnavailableError
from db.engine import Database
from report.cells import one_line
from report.web.guard import Door, guard
from report.web.live_report import LiveReport
from report.web.pages import Pages
from report.web.reading import Reading, TooSlowError
from report.web.style import PAGES, with_bar

_log = logging.getLogger("benchbeat")
_TITLES = {
    400: "That can't be asked",
    403: "Not allowed",
    404: "There is no such page",
    405: "These pages can only be read",
    421: "Another name was asked for",
    503: "Not now",
}


@dataclass(frozen=True)
class Site:
    """What the pages stand on."""

    database: Database
    reading: Reading
    door: Door = field(default_factory=Door)
    #: makes the page of the report
    make_report: Callable[[Connection], str] | None = None


def make_app(site: Site) -> Flask:
    """Return the application, which reads and never writes."""
    app = Flask("report.web", root_path=_folder(), static_folder=None)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.autoescape = True
    app.jinja_env.finalize = _harmless
    app.url_map.strict_slashes = False
    app.config.update(MAX_CONTENT_LENGTH=0, PROPAGATE_EXCEPTIONS=False)
    app.jinja_env.globals["pages"] = PAGES
    guard(app, site.door)
    report = LiveReport(site.database, site.make_report or render_report)
    Pages(site.database, site.reading, report).add_to(app)
    _explain_faults(app)
    app.extensions["benchbeat_report"] = report
    return app


def render_report(connection: Connection) -> str:
    """Return the page of the report over the whole history."""
    from report.document.build import Scope, build_report
    from report.page.render import render_page

    return with_bar(render_page(build_report(connection, Scope())))


def _harmless(value: Any) -> Any:
    """Return what a template shows: a text with nothing in it that turns the direction of others, or hides."""
    return value if hasattr(value, "__html__") else "\n".join(map(one_line, str(value).splitlines()))


def _folder() -> str:
    from pathlib import Path

    return str(Path(__file__).parent)


def _explain_faults(app: Flask) -> None:
    @app.errorhandler(InputError)
    def _bad_input(error: InputError) -> Any:
        return _fault(400, str(error))

    @app.errorhandler(QueryError)
    def _bad_query(error: QueryError) -> Any:
        return _fault(503 if isinstance(error, TooSlowError) else 400, str(error))

    @app.errorhandler(UnavailableError)
    def _away(error: UnavailableError) -> Any:
        return _fault(503, f"The history can't be read now: {error}")

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Any:
        code = error.code or 500
        if code < 400:
            return error
        said = str(error.description or error.name)
        return _fault(
            code, "Go on from one of the pages above" if code == 404 and said == error.__class__.description else said
        )

    @app.errorhandler(Exception)
    def _own_fault(error: Exception) -> Any:
        _log.error("A page could not be made", exc_info=error)
        return _fault(500, "This is a fault in benchbeat; the log of `benchbeat web` says where")


def _fault(code: int, sentence: str) -> Response:
    sentence = one_line(sentence)  # it may quote an address
    if request.path.endswith((".json", ".csv")):
        response = jsonify(error=sentence)
        response.status_code = code
        return response
    page = render_template("fault.html", title=_TITLES.get(code, "Something went wrong"), sentence=sentence)
    return Response(page, code)
