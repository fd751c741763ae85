"""The style of the pages: the report's colours and fonts, and their own layout."""

from functools import cache
from pathlib import Path

_REPORT = Path(__file__).parents[1] / "page" / "templates" / "report.css"
_OWN = Path(__file__).with_name("style.css")

#: name and address of what stands on top of every page
PAGES = (
    ("/", "Report"),
    ("/runs", "Runs"),
    ("/batches", "Batches"),
    ("/schedules", "Schedules"),
    ("/changes", "Changes"),
    ("/sql", "SQL"),
)
_CURRENT = " aria-current='page'"
_BAR_STYLE = """<style>
.pages { margin: -1.5rem 0 1rem; font: .8125rem/1.4 var(--sans); display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.pages a { color: var(--quiet); }
.pages a[aria-current] { color: var(--ink); text-decoration: none; font-weight: 600; }
@media print { .pages { display: none; } }
</style>
"""
_HEAD = '<header class="head">'


@cache
def stylesheet() -> str:
    """Return the CSS of the pages."""
    # The report's variables, in light and in dark, come before its first rule.
    variables, _, _ = _REPORT.read_text(encoding="utf-8").partition("\n* {")
    return f"{variables}\n{_OWN.read_text(encoding='utf-8')}"


def with_bar(report: str) -> str:
    """Return the report's page with the way to the other pages."""
    links = "".join(f"<a href='{address}'{_CURRENT if address == '/' else ''}>{name}</a>" for address, name in PAGES)
    bar = f'<nav class="pages" aria-label="Pages">{links}</nav>'
    return report.replace("</head>", f"{_BAR_STYLE}</head>", 1).replace(_HEAD, f"{_HEAD}{bar}", 1)
