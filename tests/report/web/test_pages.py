"""Every page says what the history holds, on both databases."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import html5lib
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from db.engine import Database
from db.views import VIEWS
from report.web.app import render_report
from report.web.live_report import LiveReport
from report.web.style import stylesheet
from tests.report.web.conftest import EVIL, Open
from tests.waiting import wait_until

VIEW_PAGES = sorted({"runs", *VIEWS} - {"history"})
STATIC_PAGES = ["/sql", "/runs/1", "/runs/5", "/batches/5", *(f"/{name}" for name in VIEW_PAGES)]


class _Links(HTMLParser):
    """Collects the addresses on a page, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an address down."""
        self.found += [value for name, value in attrs if name == "href" and value and tag == "a"]


def links(html: str) -> list[str]:
    """Return the addresses on a page."""
    reader = _Links()
    reader.feed(html)
    return reader.found


def rows(client: FlaskClient, address: str) -> list[dict[str, Any]]:
    """Return what a JSON file holds."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = json.loads(answer.text)
    return found


@pytest.mark.parametrize("address", STATIC_PAGES)
def test_every_page_is_valid_html_without_a_script(pages: FlaskClient, address: str) -> None:
    answer = pages.get(address)
    assert answer.status_code == 200
    html5lib.HTMLParser(strict=True).parse(answer.text)
    assert "<script" not in answer.text
    assert answer.text.count("<h1") == 1


def test_what_is_linked_is_there(pages: FlaskClient) -> None:
    seen: set[str] = set()
    for start in ("/runs", "/runs/5", "/batches", "/batches/5", "/schedules", "/changes", "/sql"):
        seen |= set(links(pages.get(start).text))
    # every kind of address, of each three
    kinds: dict[str, list[str]] = {}
    for address in sorted(seen):
        kinds.setdefault(address.partition("?")[0].rstrip("0123456789abcdef"), []).append(address)
    for few in kinds.values():
        for address in few[:3]:
            if not address.startswith(("#", "/series/")):
                assert pages.get(address).status_code == 200, address


def test_the_last_runs_come_first_and_the_rest_by_the_next_page(pages: FlaskClient) -> None:
    first = pages.get("/runs").text
    last = rows(pages, "/sql.json?statement=select+max(run_id)+as+id+from+history")[0]["id"]
    assert first.index(f"/runs/{last}") < first.index(f"/runs/{last - 1}")
    (more,) = [each for each in links(first) if "after=" in each]
    second = pages.get(more).text
    assert "/runs/1" in links(second)
    assert f"/runs/{last - 49}" not in links(second)


@pytest.mark.parametrize(
    "sort", ["accuracy", "-accuracy", "started_at", "-started_at", "strategy", "run_id", "-run_id"]
)
def test_sorted_pages_hold_every_run_once(pages: FlaskClient, sort: str) -> None:
    address: str | None = f"/runs?sort={sort}"
    found: list[str] = []
    while address:
        page = pages.get(address)
        assert page.status_code == 200
        found += [each for each in links(page.text) if each.startswith("/runs/")]
        address = next((each for each in links(page.text) if "after=" in each), None)
    assert len(found) == len(set(found)) > 50
    column = sort.removeprefix("-")
    wanted = rows(pages, f"/runs.json?sort={sort}&columns=run_id,{column}")
    assert found == [f"/runs/{row['run_id']}" for row in wanted]
    known = [row[column] for row in wanted if row[column] is not None]
    assert known == sorted(known, reverse=sort.startswith("-"))


@pytest.mark.parametrize("view", VIEW_PAGES)
def test_files_hold_what_the_view_holds(pages: FlaskClient, view: str) -> None:
    name = "history" if view == "runs" else view
    counted = rows(pages, f"/sql.json?statement=select+count(*)+as+n+from+{name}")[0]["n"]
    found = rows(pages, f"/{view}.json")
    assert len(found) == counted
    answer = pages.get(f"/{view}.csv")
    assert answer.headers["Benchbeat-Truncated"] == "false"
    assert len(list(csv.reader(io.StringIO(answer.text)))) == counted + 1


def test_filters_are_conditions_as_in_the_command(pages: FlaskClient) -> None:
    assert {row["model"] for row in rows(pages, "/runs.json?model=smollm2-135m")} == {"smollm2-135m"}
    assert all(row["accuracy"] >= 0.5 for row in rows(pages, "/runs.json?where=accuracy>%3D0.5"))
    formed = rows(pages, "/runs.json?f.column=strategy&f.operator=~&f.value=SHOT")
    assert {row["strategy"] for row in formed} == {"few_shot"}
    assert rows(pages, "/runs.json?labels.who=lab")
    assert "No row matches" in pages.get("/runs?model=nobody").text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("where=modle=x", "did you mean &#39;model&#39;?"),
        ("modle=x", "did you mean &#39;model&#39;?"),
        ("batch=x", "batch is a whole number"),
        ("sort=accurcy", "did you mean &#39;accuracy&#39;?"),
        ("columns=run_id,nothing", "no column"),
        ("after=x", "is no number of a row"),
        ("after=1&after=2", "begins after a row"),
        ("sort=accuracy&after=9999999", "is gone"),
        ("f.column=model&f.operator=;&f.value=x", "no operator"),
        ("&".join("where=run_id>0" for _ in range(21)), "too many"),
        ("model=" + "x" * 1001, "1,000 are allowed"),
    ],
)
def test_a_bad_filter_is_told_in_a_sentence(pages: FlaskClient, query: str, said: str) -> None:
    answer = pages.get(f"/runs?{query}")
    assert answer.status_code == 400
    assert said in answer.text


def test_a_run_shows_all_that_belongs_to_it(pages: FlaskClient) -> None:
    (speed,) = rows(pages, "/sql.json?statement=select+min(run_id)+as+id+from+samples")
    page = pages.get(f"/runs/{speed['id']}").text
    for said in ("Figures", "Environment", "Surroundings", "Its job", "Its batch", "Samples", "cron", "2.12.0"):
        assert said in page
    answers = pages.get("/runs/1").text
    assert "Breakdowns" in answers
    assert "It is 0." in answers


@pytest.mark.parametrize(
    "address",
    ["/runs/999", f"/runs/{2**70}", "/batches/999", "/nothing", "/runs/x", "/series/0123456789abcdef", "/run.xml"],
)
def test_what_is_not_there_is_a_page_that_says_so(pages: FlaskClient, address: str) -> None:
    answer = pages.get(address)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


def test_a_series_is_drawn_with_its_runs(pages: FlaskClient) -> None:
    (asked,) = rows(pages, "/sql.json?statement=select+series+from+history+where+new_tokens=64+order+by+run_id+limit+1")
    address = f"/series/{asked['series']}"
    page = wait_until(lambda: _drawn(pages.get(address)), "the series is drawn")
    assert page is not None
    assert page.text.count("<svg") == 2
    assert "decode_tokens_per_second of 4 runs" in page.text
    assert "torch_version 2.12.0" in page.text.replace("&gt;", ">") or "changes of the environment: 1" in page.text
    assert pages.get(f"/series/{asked['series']}?figure=latency_seconds").status_code == 200
    assert pages.get(f"/series/{asked['series']}?figure=nothing").status_code == 400


def _drawn(page: TestResponse) -> TestResponse | None:
    assert page.status_code == 200
    return None if "is being drawn" in page.text else page


def test_a_name_from_the_history_is_text_everywhere(pages: FlaskClient) -> None:
    for address in ("/runs", "/runs/5", "/batches", "/batches/5", "/jobs", "/sql?statement=select+model+from+history"):
        page = pages.get(address).text
        assert "<script" not in page
        assert not {"\u202e", "\x1b"} & set(page)
    assert "&lt;script&gt;alert" in pages.get("/runs/5").text
    assert rows(pages, "/runs.json?run_id=5")[0]["model"] == EVIL


@pytest.mark.parametrize(
    "address",
    [
        "/runs?model=%1b[31m%e2%80%ae",
        "/runs?%1b[31m=1",
        "/runs?sort=%1b[31m",
        "/runs.json?%1b[31m=1",
        "/%1b[31m",
        "/sql?statement=%1b[31m",
        "/series/%1b[31m",
    ],
)
def test_an_address_is_echoed_without_what_commands_a_terminal(pages: FlaskClient, address: str) -> None:
    assert not {"\x1b", "\u202e"} & set(pages.get(address).text)


def test_a_statement_is_answered_as_a_page_and_as_files(pages: FlaskClient) -> None:
    asked = "select run_id, model from history where run_id < 3 order by run_id"
    assert "smollm2-135m" in pages.get("/sql", query_string={"statement": asked}).text
    assert [row["run_id"] for row in json.loads(pages.get("/sql.json", query_string={"statement": asked}).text)] == [
        1,
        2,
    ]
    assert pages.get("/sql.csv", query_string={"statement": asked}).text.startswith("run_id,model\r\n1,")


@pytest.mark.parametrize(
    "statement", ["delete from run", "select * from run", "select 1; select 2", "selct", "select :x"]
)
def test_a_statement_that_is_refused_says_why(pages: FlaskClient, statement: str) -> None:
    for address in ("/sql", "/sql.json"):
        answer = pages.get(address, query_string={"statement": statement})
        assert answer.status_code == 400
        assert "Traceback" not in answer.text


def test_an_empty_history_says_what_to_do(database_url: str, browse: Open) -> None:
    client = browse(database_url)
    assert "benchbeat run" in client.get("/runs").text
    assert "benchbeat schedule add" in client.get("/schedules").text
    for address in ("/batches", "/changes", "/jobs", "/series", "/sql"):
        assert client.get(address).status_code == 200


def test_the_report_is_made_in_the_background(pages: FlaskClient) -> None:
    report: LiveReport = pages.application.extensions["benchbeat_report"]
    pages.get("/")
    report.wait(20)
    assert "Made up" in pages.get("/").text


def test_the_real_report_is_shown_with_the_way_to_the_other_pages(web_sqlite: str) -> None:
    database = Database(web_sqlite)
    with database.read() as connection:
        page = render_report(connection)
    database.dispose()
    html5lib.HTMLParser(strict=True).parse(page)
    assert {"/", "/runs", "/sql"} <= set(links(page))


def test_the_style_has_the_report_s_colours() -> None:
    style = stylesheet()
    assert style.count("--ink:") == 2
    assert all(f"{name}:" in style for name in re.findall(r"var\((--[\w-]+)", style))


def test_a_database_that_is_away_is_said(tmp_path: Path, web_sqlite: str, browse: Open) -> None:
    copy = tmp_path / "history.db"
    copy.write_bytes(Path(web_sqlite.removeprefix("sqlite:///")).read_bytes())
    client = browse(f"sqlite:///{copy}")
    copy.unlink()
    for address in ("/runs", "/runs/1", "/runs.csv"):
        answer = client.get(address)
        assert answer.status_code == 503
        assert "can't be read now" in answer.text.replace("&#39;", "'")
