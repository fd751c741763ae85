"""`report`: files whole or not at all, bad input in a sentence, an empty history that says what to do."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from db.engine import Database
from tests.cli.conftest import Command


def test_without_a_file_it_prints_markdown(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("report")
    assert done.code == 0, done.err
    assert done.out.startswith("# Model Benchmark Analysis and Optimisation Report\n")
    assert "## Executive Summary" in done.out
    assert "**Hardware**: Test CPU" in done.out


def test_files_are_written_with_nothing_left_beside_them(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("report", "--markdown", "report.md", "--json", "report.json", "--models", "smollm2-135m")
    assert (done.code, done.out) == (0, "")
    assert sorted(path.name for path in Path().iterdir()) == ["report.json", "report.md"]
    document = json.loads(Path("report.json").read_text())
    assert document["type"] == "document"
    assert "qwen2.5-1.5b" not in json.dumps(document["sections"])


def test_a_dash_is_standard_output(benchbeat: Command, nights: Database) -> None:
    assert json.loads(benchbeat("report", "--json", "-").out)["type"] == "document"


def test_standard_output_takes_one_of_them(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("report", "--json", "-", "--markdown", "-")
    assert (done.code, done.out) == (2, "")
    assert "only one of --html, --markdown and --json can go to standard output" in done.err
    done = benchbeat("report", "--html", "same.x", "--json", "./same.x")
    assert done.code == 2
    assert "two of them name the same" in done.err


def test_a_file_without_a_name_is_refused(benchbeat: Command) -> None:
    done = benchbeat("report", "--html", "")
    assert done.code == 2
    assert "need a file's name" in done.err


def test_a_missing_extra_is_told_before_the_history_is_read(
    benchbeat: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = benchbeat("report", "--html", "report.html")
    assert done.code == 2
    assert "an HTML report needs jinja2; run `pip install 'benchbeat[report]'`" in done.err
    assert not Path("report.html").exists()


def test_an_empty_history_says_what_to_do(benchbeat: Command, history: Database) -> None:
    done = benchbeat("report")
    assert (done.code, done.out) == (4, "")
    assert done.err == "nothing was measured yet; begin with `benchbeat run`\n"
    done = benchbeat("report", "--markdown", "report.md")
    assert done.code == 4
    assert "Nothing was measured yet. Begin with `benchbeat run" in Path("report.md").read_text().replace("\\", "")


def test_no_run_in_the_span(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("report", "--since", "2031-01-01")
    assert (done.code, done.err) == (4, "no run matches\n")
    done = benchbeat("report", "--machine", "nope")
    assert done.code == 4
    assert done.err.startswith("no run matches: there is no machine 'nope' in the history")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "2026-05-02", "--until", "2026-05-01"), "--since: '2026-05-02' lies after --until '2026-05-01'"),
        (("--since", "soonish"), "--since: 'soonish' is no time"),
        (("--model", "qwen2.5-1.5"), "--model: there is no model 'qwen2.5-1.5'; did you mean 'qwen2.5-1.5b'?"),
        (("--models", ""), "--model: names nothing; leave it out for all"),
        (("--html", "nowhere/report.html"), "nowhere/report.html can't be written: there is no folder"),
        (("--markdown", "."), ". is a folder; name a file in it"),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    arguments: tuple[str, ...], said: str, benchbeat: Command, nights: Database
) -> None:
    done = benchbeat("report", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: {said}")
    assert done.err.count("\n") == 1
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_told_before_the_history_is_read(benchbeat: Command, nights: Database) -> None:
    folder = Path("locked")
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    done = benchbeat("report", "--markdown", "locked/report.md")
    assert done.code == 2
    assert "its rights don't allow it" in done.err
