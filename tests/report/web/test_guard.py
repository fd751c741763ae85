"""Who is let in, and what strangers try."""

import pytest
from flask.testing import FlaskClient

from bench.errors import InputError
from report.web.guard import check_token, is_loopback
from tests.report.web.conftest import Open
from tests.report.web.test_pages import rows

TOKEN = "a-token-of-24-characters"


@pytest.fixture
def local(web_sqlite: str, browse: Open) -> FlaskClient:
    """Give pages that this machine alone may read."""
    return browse(web_sqlite)


@pytest.fixture
def locked(web_sqlite: str, browse: Open) -> FlaskClient:
    """Give pages behind a token."""
    return browse(web_sqlite, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST."])
def test_this_machine_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    check_token(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.com", "", "127.0.0.1.example.com"])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(InputError, match="BENCHBEAT_WEB_TOKEN"):
        check_token(host, None)
    check_token(host, TOKEN)


@pytest.mark.parametrize("token", ["", "short", "fifteen-letters", "\n" * 20, "ä" * 20])
def test_a_token_that_can_be_guessed_is_refused(token: str) -> None:
    with pytest.raises(InputError, match="16 printable"):
        check_token("127.0.0.1", token)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", "", "[", "0.0.0.0"])
def test_another_name_for_this_machine_is_refused(local: FlaskClient, host: str) -> None:
    answer = local.get("/runs", headers={"Host": host})
    assert answer.status_code in (400, 421)
    assert "smollm2" not in answer.text


@pytest.mark.parametrize("host", ["localhost:99", "127.0.0.1", "[::1]:8321"])
def test_its_own_names_are_served(local: FlaskClient, host: str) -> None:
    assert local.get("/runs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_nothing_but_reading_is_answered(local: FlaskClient, method: str) -> None:
    assert local.open("/sql", method=method, data="statement=select 1").status_code == 405


def test_another_sites_page_cannot_read(local: FlaskClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert local.get("/runs.json", headers=headers).status_code == 403


@pytest.mark.parametrize("address", ["/runs", "/nothing", "/runs.csv", "/style.css", "/sql?statement=x"])
def test_a_browser_is_told_to_do_nothing_but_show(local: FlaskClient, address: str) -> None:
    headers = local.get(address).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "script-src" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "address", ["/", "/runs", "/runs.json", "/sql", "/nothing", "/style.css/", "/runs?token=wrong"]
)
def test_without_the_token_nothing_is_told(locked: FlaskClient, address: str) -> None:
    answer = locked.get(address)
    assert answer.status_code == 401
    assert "smollm2" not in answer.text
    assert TOKEN not in answer.text


def test_the_token_is_given_once_and_then_a_cookie_is_enough(locked: FlaskClient) -> None:
    answer = locked.get("/runs", query_string={"token": TOKEN, "model": "smollm2-135m"})
    assert answer.status_code == 200
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie + answer.text
    assert 'url=/runs?model=smollm2-135m"' in answer.text
    assert locked.get("/runs").status_code == 200


def test_entering_leads_to_these_pages_only(locked: FlaskClient) -> None:
    answer = locked.get("//evil.example/x", query_string={"token": TOKEN})
    assert "//evil" not in answer.text


def test_programs_give_the_token_in_a_header(locked: FlaskClient) -> None:
    assert locked.get("/runs.json", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    for wrong in (f"Basic {TOKEN}", "Bearer ", "Bearer wrong", "Bearer ÿ"):
        assert locked.get("/runs.json", headers={"Authorization": wrong}).status_code == 401


@pytest.mark.parametrize("cookie", ["", "x", TOKEN, "0" * 64, "\xff"])
def test_a_made_up_cookie_is_not_enough(locked: FlaskClient, cookie: str) -> None:
    locked.set_cookie("benchbeat_web_0", cookie, domain="127.0.0.1")
    assert locked.get("/runs").status_code == 401


@pytest.mark.parametrize(
    "text",
    ["' or 1=1 --", "'; drop table run; --", '" or ""="', "%' or '1'='1", "x\0y", "\\", ":c0", "%(c0)s"],
)
def test_sql_in_a_filter_is_a_text_to_look_for(pages: FlaskClient, text: str) -> None:
    answer = pages.get("/runs", query_string={"where": [f"model={text}", f"workload~{text}"]})
    assert answer.status_code == 200
    assert "No row matches" in answer.text


@pytest.mark.parametrize(
    "name", ["run_id; drop table run", 'run_id" desc --', "(select 1)", "labels.x'", 'labels.a"b', "1"]
)
def test_sql_in_the_name_of_a_column_is_refused(pages: FlaskClient, name: str) -> None:
    for given in ({"sort": name}, {"columns": name}, {name: "x"}, {"where": f"{name}=1"}, {"sort": f"-{name}"}):
        assert pages.get("/runs", query_string=given).status_code == 400
    assert rows(pages, "/runs.json?columns=run_id")


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/runs/..%2f..%2fetc",
        "/templates/base.html",
        "/style.css/../app.py",
        "/static/x",
        "/runs.csv.py",
    ],
)
def test_no_path_leads_to_a_file(local: FlaskClient, path: str) -> None:
    assert local.get(path).status_code == 404
