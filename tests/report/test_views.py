"""The views, for one who asks what there is to ask."""

import json
from collections.abc import Callable

import pytest

from db.engine import Database
from db.readonly import select
from db.views import VIEWS
from report.views import print_views
from tests.report.conftest import Terminal


def test_every_view_is_shown_with_its_columns_and_an_example(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    print_views(database, "table")
    shown = capsys.readouterr().out
    for name, (line, example) in VIEWS.items():
        assert f"{name}: {line}\n" in shown
        assert f'    benchbeat sql "{example}"\n' in shown
    assert "decode_tokens_per_second" in shown


def test_programs_get_the_views_as_rows(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    print_views(database, "json")
    rows = json.loads(capsys.readouterr().out)
    assert [row["view"] for row in rows] == list(VIEWS)
    assert "accuracy_stderr" in rows[0]["columns"].split(", ")


@pytest.mark.parametrize("name", VIEWS)
def test_every_example_can_be_asked(database: Database, name: str) -> None:
    with select(database.url, VIEWS[name][1], timeout_seconds=10) as rows:
        assert list(rows) == []


@pytest.mark.parametrize("width", [80, 200])
def test_the_columns_are_broken_to_the_terminals_width(
    database: Database, terminal: Callable[[int], Terminal], width: int
) -> None:
    out = terminal(width)
    print_views(database, "table")
    # An example is to be copied, and stays in one piece.
    assert max(len(line) for line in out.lines if "benchbeat sql" not in line) <= min(100, width)
