"""A page over a long history looks at a part of it, says which, and leads on to every row once."""

import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from db.conditions import Condition
from report.web import finding
from report.web.finding import Looked
from report.web.listing import Listing
from report.web.statements import rows_statement
from tests.report.web.conftest import Open
from tests.report.web.test_pages import links, rows


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch, web_url: str, browse: Open) -> FlaskClient:
    """Give the pages over a history that counts as long: sorted are 20 runs, looked at is one part of 5."""
    monkeypatch.setattr(finding, "_SORTED", dict.fromkeys(finding._SORTED, 20))
    monkeypatch.setattr(finding, "_PARTS", 4)
    monkeypatch.setattr(finding, "LOOK_SECONDS", 1e-9)
    return browse(web_url)


def _told(page: str) -> tuple[int, int] | None:
    found = re.search(r"among <code>\w+</code> ([\d,]+) to ([\d,]+) alone", page)
    return None if found is None else (int(found[1].replace(",", "")), int(found[2].replace(",", "")))


def _numbers(page: str, start: str = "/runs/") -> list[int]:
    return [int(each.removeprefix(start)) for each in links(page) if re.fullmatch(f"{start}\\d+", each)]


def _link(page: str, words: str) -> str | None:
    found = re.search(rf'<a[^>]*href="([^"]*)"[^>]*>{words}</a>', page)
    return None if found is None else found[1].replace("&amp;", "&")


def _last_run(client: FlaskClient) -> int:
    last: int = rows(client, "/sql.json?statement=select+max(run_id)+as+id+from+history")[0]["id"]
    return last


@pytest.mark.parametrize("sort", ["-accuracy", "accuracy", "model", "-started_at"])
def test_runs_are_sorted_among_the_newest_which_are_named(long: FlaskClient, sort: str) -> None:
    last = _last_run(long)
    page = long.get(f"/runs?sort={sort}").text
    assert _told(page) == (last - 19, last)
    column = sort.removeprefix("-")
    wanted = rows(long, f"/runs.json?sort={sort}&columns=run_id,{column}&where=run_id>{last - 20}")
    assert _numbers(page) == [row["run_id"] for row in wanted]


def test_sorted_parts_lead_on_to_every_run_once(long: FlaskClient) -> None:
    address: str | None = "/runs?sort=-accuracy"
    found: list[int] = []
    while address:
        page = long.get(address).text
        found += _numbers(page)
        address = _link(page, "Those before")
    assert sorted(found) == list(range(1, _last_run(long) + 1))


def test_pages_of_a_sorted_part_stay_in_it_when_runs_are_added(
    long: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_SORTED", dict.fromkeys(finding._SORTED, 52))
    last = _last_run(long)
    first = long.get("/runs?sort=-accuracy").text
    more = _link(first, "Next rows")
    assert more is not None
    assert f"run_id%3E%3D{last - 51}" in more
    assert f"run_id%3C%3D{last}" in more
    second = long.get(more).text
    assert sorted(_numbers(first) + _numbers(second)) == list(range(last - 51, last + 1))


@pytest.mark.parametrize("sort", ["", "&sort=run_id"])
def test_a_filter_looks_at_one_part_after_the_other(long: FlaskClient, sort: str) -> None:
    wanted = [row["run_id"] for row in rows(long, f"/runs.json?strategy=few_shot{sort}")]
    address: str | None = f"/runs?strategy=few_shot{sort}"
    found: list[int] = []
    parts = 0
    while address:
        page = long.get(address).text
        found += _numbers(page)
        parts += 1
        address = _link(page, "Those after" if sort else "Those before")
    assert found == wanted
    assert parts == -(-_last_run(long) // 5)


@pytest.mark.parametrize(("quick_seconds", "growth"), [(0.0, 1), (60.0, 2)])
def test_a_part_is_larger_than_the_one_before_it_only_where_that_was_quick(
    long: FlaskClient, monkeypatch: pytest.MonkeyPatch, quick_seconds: float, growth: int
) -> None:
    # The first part that no cache holds takes fifty times as long: one of half the history took seconds.
    parts: list[tuple[int, int]] = []

    def noting(*arguments: Any, within: tuple[int, int] | None = None, **others: Any) -> Any:
        parts.extend([within] if within else [])
        return rows_statement(*arguments, within=within, **others)

    monkeypatch.setattr(finding, "rows_statement", noting)
    monkeypatch.setattr(finding, "LOOK_SECONDS", 60.0)
    monkeypatch.setattr(finding, "_QUICK_SECONDS", quick_seconds)
    assert "No row matches." in long.get("/runs?model=nobody").text
    widths = [below - first for first, below in parts]
    assert widths[:-1] == [5 * growth**number for number in range(len(widths) - 1)]
    assert sum(widths) == _last_run(long)


def test_what_no_row_of_a_part_meets_is_not_said_of_all(long: FlaskClient) -> None:
    page = long.get("/runs?model=nobody").text
    assert "No row among these matches." in page
    every = _link(page, "All of them")
    assert every is not None
    assert "No row matches." in long.get(every).text
    assert _told(long.get(every).text) is None


@pytest.mark.parametrize(
    "query", ["", "?batch=3&sort=-accuracy", "?run_id=5", "?sort=-accuracy&look=all", "?sort=run_id"]
)
def test_where_an_index_leads_to_the_rows_all_are_looked_at(long: FlaskClient, query: str) -> None:
    page = long.get(f"/runs{query}").text
    assert _told(page) is None
    wanted = [row["run_id"] for row in rows(long, f"/runs.json{query}")]
    # The file goes by the same order, and a page holds fifty.
    assert _numbers(page) == wanted[:50]


def test_the_runs_of_a_series_are_sorted_wherever_they_lie(long: FlaskClient) -> None:
    (asked,) = rows(long, "/sql.json?statement=select+series+from+history+where+new_tokens=64+order+by+run_id+limit+1")
    page = long.get(f"/runs?series={asked['series']}&sort=-latency_seconds").text
    assert _told(page) is None
    wanted = rows(long, f"/runs.json?series={asked['series']}&sort=-latency_seconds")
    assert _numbers(page) == [row["run_id"] for row in wanted]
    assert len(wanted) == 4
    assert "No row matches" in long.get("/runs?series=0123456789abcdef").text


@pytest.mark.parametrize("view", ["jobs", "attempts", "samples", "answers", "surroundings", "breakdowns", "batches"])
def test_every_view_leads_on_to_every_row_once(long: FlaskClient, view: str) -> None:
    key = Listing(view).key
    address: str | None = f"/{view}?where={key}>0&columns={key}"
    found: list[str] = []
    while address:
        page = long.get(address).text
        found += re.findall(r"<td[^>]*>.*?<bdi>(\d+)</bdi>", page)
        address = _link(page, "Next rows") or _link(page, "Those before")
    assert [int(each) for each in found] == [row[key] for row in rows(long, f"/{view}.json?columns={key}")]


def test_series_are_listed_as_the_view_has_them(long: FlaskClient) -> None:
    wanted = rows(long, "/series.json?columns=series,model,runs,contaminated_runs,first_run_at")
    page = long.get("/series?columns=series,model,runs,contaminated_runs,first_run_at").text
    shown = [each.removeprefix("/series/") for each in links(page) if re.fullmatch(r"/series/[0-9a-f]{16}", each)]
    assert shown == [row["series"] for row in wanted][:50] == sorted(shown)
    by_runs = rows(long, "/series.json?sort=-runs&columns=series,runs")
    page = long.get("/series?sort=-runs").text
    shown = [each.removeprefix("/series/") for each in links(page) if re.fullmatch(r"/series/[0-9a-f]{16}", each)]
    assert shown == [row["series"] for row in by_runs][:50]


def test_a_look_that_is_none_is_refused(long: FlaskClient) -> None:
    answer = long.get("/runs.json?look=some")
    assert answer.status_code == 400
    assert "look=all" in json.loads(answer.text)["error"]


def test_own_bounds_are_kept_on_the_way() -> None:
    conditions = (Condition("run_id", ">", "5"), Condition("run_id", "<", "90"), Condition("model", "=", "x"))
    listing = Listing("history", conditions)
    newest_first = Looked("run_id", 40, 89, is_descending=True)
    assert list(map(str, newest_first.onward(listing))) == ["run_id>5", "model=x", "run_id<40"]
    assert list(map(str, newest_first.here(listing))) == ["model=x", "run_id>=40", "run_id<=89"]
    oldest_first = Looked("run_id", 6, 50, is_descending=False)
    assert list(map(str, oldest_first.onward(listing))) == ["run_id<90", "model=x", "run_id>50"]
