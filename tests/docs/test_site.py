"""The site: built strictly, without a network, and nothing that a browser would fetch from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.commands import ROOT, environment


class _Fetched(HTMLParser):
    """Collects what a browser fetches to show a page, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note an element's address."""
        found = dict(attributes)
        if tag == "a":
            self.links.append(found.get("href") or "")
        elif tag == "link" and found.get("rel") not in ("prev", "next"):
            self.fetched.append(found.get("href") or "")
        elif tag in ("script", "img", "iframe", "source"):
            self.fetched += [found["src"] or ""] if "src" in found else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a warning fails."""
    folder = tmp_path_factory.mktemp("site")
    # A proxy that is not there: whatever asks the network fails.
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=environment(NO_MKDOCS_2_WARNING="1", **nowhere),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return folder


def read(page: Path) -> _Fetched:
    """Return what a page fetches and links to."""
    parser = _Fetched()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert [url for url in read(page).fetched if re.match(r"(https?:)?//", url)] == [], page.name
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]*", sheet.read_text(encoding="utf-8")) == []


def test_what_is_fetched_is_there(site: Path) -> None:
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # whose addresses begin at the root
            continue
        files = [page.parent / url.split("?")[0].split("#")[0] for url in read(page).fetched]
        assert [each for each in files if not each.resolve().is_file()] == []


def test_no_link_leads_out_of_the_site(site: Path) -> None:
    for page in site.rglob("*.html"):
        leading_out = [url for url in read(page).links if url.split("#")[0].startswith("../../")]
        assert leading_out == []


def test_every_page_is_there_and_can_be_found(site: Path) -> None:
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert {page.stem for page in site.glob("*.html")} >= pages
    assert {page.stem for page in (site / "reference").glob("*.html")} == {
        "commands",
        "settings",
        "sweep-files",
        "views",
    }
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "BENCHBEAT_LEASE_SECONDS" in index
    assert "ttft_seconds" in index


def test_no_python_is_published(site: Path) -> None:
    assert list(site.rglob("*.py")) == []
