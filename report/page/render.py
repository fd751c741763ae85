"""A report as one HTML file: no script, no network, the SQL of every figure in it."""

from importlib import import_module
from pathlib import Path
from typing import Any

from bench.errors import InputError
from report.document.parts import Bullets, Chart, Code, Document, Figure, Paragraph, Table
from report.page.figures import Figures, TracedSource
from report.page.tables import TableView, view_table
from report.page.words import ids_apart, in_place, on_one_line, on_their_lines, plain, with_code

_TEMPLATES = Path(__file__).parent / "templates"


def check_page() -> None:
    """Raise InputError where what a page is made with is not installed."""
    missing = [package for package in ("jinja2", "matplotlib") if not _is_installed(package)]
    if missing:
        raise InputError(f"an HTML report needs {' and '.join(missing)}; run `pip install 'benchbeat[report]'`")


def render_page(document: Document) -> str:
    """Return the report as HTML; raises InputError where the extra `report` is not installed."""
    check_page()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = _Page(document)
    environment.filters.update(
        words=on_one_line,
        prose=with_code,
        lines=on_their_lines,
        kind=_kind,
        figure=page.figures.add,
        is_figure=_is_figure,
    )
    return environment.get_template("report.html").render(
        document=document,
        section_ids=ids_apart([section.id for section in document.sections]),
        page=page,
        style=in_place((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
    )


class _Page:
    """What is counted while a page is written: figures, tables, pictures."""

    def __init__(self, document: Document) -> None:
        self.figures = Figures(document.sources)
        self._tables = 0
        self._pictures = 0

    def table(self, table: Table) -> TableView:
        self._tables += 1
        return view_table(table, f"table-{self._tables}", self.figures)

    def pictures(self, chart: Chart) -> dict[str, Any]:
        from report.charts.draw import draw
        from report.charts.svg import titled

        self._pictures += 1
        number = self._pictures
        drawn = draw(chart.data)
        title, description = plain(chart.title), plain(chart.description)
        return {
            width: in_place(titled(svg, f"picture-{number}-{width}", title, description))
            for width, svg in (("narrow", drawn.narrow), ("wide", drawn.wide))
        }

    def sources(self) -> list[TracedSource]:
        return self.figures.by_source()


def _is_installed(package: str) -> bool:
    try:
        import_module(package)
    except ImportError:
        return False
    return True


def _is_figure(part: object) -> bool:
    return isinstance(part, Figure)


def _kind(block: object) -> str:
    match block:
        case Paragraph():
            return "paragraph"
        case Bullets():
            return "bullets"
        case Code():
            return "code"
        case Table():
            return "table"
        case Chart():
            return "chart"
    raise TypeError(f"no block of a report: {block!r}")
