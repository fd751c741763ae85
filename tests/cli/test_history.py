"""`history`: filters, columns, sorting, groups, the best, gains; in every format."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from db.columns import KINDS
from db.engine import Database
from db.gains import Gain
from db.history import COLUMNS
from tests.cli.conftest import Command


def rows(benchbeat: Command, *arguments: str) -> list[dict[str, Any]]:
    """Return what `history ARGUMENTS` finds."""
    done = benchbeat("history", *arguments, "-o", "json")
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def test_the_last_fifty_runs_are_shown_oldest_first(benchbeat: Command, nights: Database) -> None:
    found = rows(benchbeat)
    assert [row["run_id"] for row in found] == list(range(4, 54))
    assert tuple(found[0]) == COLUMNS
    assert [row["run_id"] for row in rows(benchbeat, "--limit", "2")] == [52, 53]
    assert len(rows(benchbeat, "--limit", "1000")) == 53


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--model", "smollm2-135m"), 21),
        (("--model", "smollm2-135m,deepseek-r1-distill-qwen-1.5b"), 24),
        (("--model", "smollm2-135m", "--model", "deepseek-r1-distill-qwen-1.5b"), 24),
        (("--workload", "writing", "--strategy", "direct"), 6),
        (("--machine", "lab-b"), 21),
        (("--device", "cpu"), 21),
        (("--precision", "float16"), 3),
        (("--batch", "1", "--batch", "2"), 2),
        (("--where", "accuracy>=0.5"), 35),
        (("--where", "accuracy>=0.5", "--where", "workload=arithmetic"), 13),
        (("--where", "torch_version~2.12"), 17),
        (("--where", "contaminated=true"), 1),
        (("--label", "purpose=nightly"), 53),
        (("--since", "2026-05-05", "--until", "2026-05-05"), 19),
        (("--until", "2026-05-03"), 17),
    ],
    ids=str,
)
def test_runs_are_filtered(
    benchbeat: Command, nights: Database, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], count: int
) -> None:
    assert len(rows(benchbeat, *arguments, "--limit", "1000")) == count


def test_a_series_is_followed(benchbeat: Command, nights: Database) -> None:
    (last,) = rows(benchbeat, "--columns", "series", "--where", "run_id=46")
    followed = rows(benchbeat, "--series", last["series"], "--columns", "run_id,strategy,workload")
    assert {(row["strategy"], row["workload"]) for row in followed} == {("chain_of_thought", "arithmetic")}
    # A newer torch begins a new series.
    assert [row["run_id"] for row in followed] == sorted(row["run_id"] for row in followed)


@pytest.mark.parametrize("arguments", [("--where", "model~gone"), ("--label", "purpose=daily"), ("--since", "now")])
def test_filters_that_match_nothing_are_exit_code_4(
    benchbeat: Command, nights: Database, arguments: tuple[str, ...]
) -> None:
    done = benchbeat("history", *arguments)
    assert (done.code, done.out, done.err) == (4, "", "no run matches\n")
    for output, nothing in (("json", "[]\n"), ("jsonl", "")):
        done = benchbeat("history", *arguments, "-o", output)
        assert (done.code, done.out, done.err) == (4, nothing, "no run matches\n")
    assert benchbeat("history", *arguments, "-o", "csv").out == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "qwen2.5-1.5"), "there is no model 'qwen2.5-1.5' in the history; did you mean 'qwen2.5-1.5b'?"),
        (
            ("--workload", "arithmetc"),
            "there is no workload 'arithmetc' in the history; did you mean 'arithmetic'?",
        ),
        (("--strategy", "dirct", "--trend"), "there is no strategy 'dirct' in the history; did you mean 'direct'?"),
        (("--machine", "nope"), "there is no machine 'nope' in the history"),
    ],
)
def test_a_name_that_is_in_no_run_is_told_with_near_matches(
    benchbeat: Command, nights: Database, arguments: tuple[str, ...], said: str
) -> None:
    done = benchbeat("history", *arguments)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith(f"no run matches: {said}")


@pytest.mark.parametrize("command", ["history", "regressions", "compare"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "2026-05-02", "--until", "2026-05-01"), "--since: '2026-05-02' lies after --until '2026-05-01'"),
        (("--model", ""), "--model: names nothing; leave it out for all"),
        (("--machine", " , "), "--machine: names nothing; leave it out for all"),
    ],
)
def test_a_filter_that_can_match_nothing_is_bad_input(
    benchbeat: Command, nights: Database, command: str, arguments: tuple[str, ...], said: str
) -> None:
    done = benchbeat(command, *(("--by", "precision") if command == "compare" else ()), *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_columns_are_chosen_sorted_by_and_limited(benchbeat: Command, nights: Database) -> None:
    chosen = ("--columns", "run_id, accuracy,labels.who", "--sort", "-accuracy,-run_id", "--limit", "3")
    found = rows(benchbeat, *chosen)
    assert [list(row) for row in found] == [["run_id", "accuracy", "labels.who"]] * 3
    assert [(row["run_id"], row["labels.who"]) for row in found] == [(46, "lab"), (29, "lab"), (12, "lab")]


def test_every_column_can_be_had(benchbeat: Command, nights: Database) -> None:
    (row,) = rows(benchbeat, "--columns", "all", "--where", "run_id=53")
    assert list(row) == list(KINDS["history"])
    assert json.loads(row["labels"]) == {"purpose": "nightly", "who": "lab"}


def test_chosen_columns_stay_though_nothing_is_in_them(benchbeat: Command, nights: Database) -> None:
    assert benchbeat("history", "--columns", "model,word_error_rate", "--limit", "1").out.splitlines() == [
        "model         word_error_rate",
        "------------  ---------------",
        "qwen2.5-1.5b  -",
    ]


def test_groups_have_a_count_and_medians(benchbeat: Command, nights: Database) -> None:
    grouped = ("--group-by", "model,strategy", "--workload", "arithmetic", "--columns", "accuracy")
    found = rows(benchbeat, *grouped, "--sort", "-accuracy", "--limit", "2")
    assert [list(row) for row in found] == [["model", "strategy", "n", "accuracy"]] * 2
    assert found[0] == {
        "model": "qwen2.5-1.5b",
        "strategy": "chain_of_thought",
        "n": 3,
        "accuracy": pytest.approx(2 / 3),
    }


def test_the_best_of_each_model_and_workload(benchbeat: Command, nights: Database) -> None:
    found = {(row["model"], row["workload"]): row for row in rows(benchbeat, "--best-by", "accuracy")}
    best = found["smollm2-135m", "arithmetic"]
    assert (best["strategy"], best["accuracy"], best["n"], best["runs"]) == ("chain_of_thought", 0.5, 6, 9)
    fastest = rows(benchbeat, "--best-by", "latency_seconds", "--workload", "speed")
    # Small is good, and the disturbed run does not compete.
    assert [(row["precision"], row["runs"]) for row in fastest] == [("float16", 6)]


def test_gains_are_shown_with_their_interval_and_the_method(benchbeat: Command, nights: Database) -> None:
    shown = benchbeat("history", "--gain", "--model", "smollm2-135m", "--workload", "arithmetic")
    assert shown.code == 0
    header, _, first, second, method = shown.out.splitlines()
    assert header.split()[-6:] == ["gain", "95", "%", "interval", "p_value", "verdict"]
    assert first.split()[:3] == ["smollm2-135m", "arithmetic", "chain_of_thought"]
    assert first.endswith("0.333   0.500     +0.167  -0.222 to +0.485  1.000    no difference shown")
    assert second.split()[2] == "few_shot"
    assert method == "Paired by item. Scores of 0 and 1: Newcombe's interval, p of McNemar's exact test."


def test_gains_for_programs(benchbeat: Command, nights: Database) -> None:
    found = rows(benchbeat, "--gain", "readability", "--model", "smollm2-135m", "--limit", "1")
    assert [(row["strategy"], row["gain"], row["method"], row["verdict"]) for row in found] == [
        ("chain_of_thought", 20.0, "bootstrap", "too few items")
    ]
    assert (found[0]["metric"], found[0]["items"], found[0]["p_value"]) == ("readability", 6, None)


def test_gains_are_not_cut_at_fifty(benchbeat: Command, nights: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows(benchbeat, "--gain")
    monkeypatch.setattr("db.gains.gains", lambda *_: gains_like(found) * 60)
    assert len(rows(benchbeat, "--gain")) == 60


def gains_like(found: list[dict[str, object]]) -> list[Gain]:
    """Return the first of the rows as a gain."""
    return [Gain(**{name: found[0][name] for name in Gain.__dataclass_fields__})]  # type: ignore[arg-type]


def test_without_a_strategy_beside_direct_there_is_no_gain(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("history", "--gain", "--workload", "multilingual")
    assert (done.code, done.out) == (4, "")
    assert done.err == "no strategy was measured beside `direct` on the same items yet\n"
    assert benchbeat("history", "--gain", "--workload", "multilingual", "-o", "json").out == "[]\n"


@pytest.mark.parametrize("view", [(), ("--group-by", "model"), ("--best-by", "accuracy"), ("--gain",)], ids=str)
@pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv", "md"])
def test_every_view_comes_in_every_format(
    benchbeat: Command, nights: Database, view: tuple[str, ...], output: str
) -> None:
    done = benchbeat("history", *view, "-o", output)
    assert (done.code, done.err) == (0, "")
    expected = rows(benchbeat, *view)
    match output:
        case "json":
            assert json.loads(done.out) == expected
        case "jsonl":
            assert [json.loads(line) for line in done.out.splitlines()] == expected
        case "csv":
            header, *found = csv.reader(io.StringIO(done.out))
            assert header == list(expected[0])
            assert [row[0] for row in found] == [str(next(iter(row.values()))) for row in expected]
        case "md":
            assert len(done.out.splitlines()) == len(expected) + 2
            assert done.out.startswith("| ")
        case "table":
            assert len(done.out.splitlines()) >= len(expected) + 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--where", "acuracy>=0.5"), "history has no column 'acuracy'; did you mean 'accuracy'?"),
        (("--where", "accuracy>=high"), "accuracy>=high: accuracy is a number, not 'high'"),
        (
            ("--where", "accuracy"),
            "'accuracy' is no condition; write COLUMN, one of != >= <= = > < ~ and a value, as in 'accuracy>=0.5'",
        ),
        (("--where", "accuracy~5"), "accuracy~5: accuracy is no text, so nothing is contained in it; use =, >, <"),
        (("--columns", "modle"), "history has no column 'modle'; did you mean 'model'?"),
        (("--sort", "-modle"), "history has no column 'modle'; did you mean 'model'?"),
        (("--group-by", "modle"), "history has no column 'modle'; did you mean 'model'?"),
        (
            ("--group-by", "model", "--sort", "acuracy"),
            "--sort: there is no column 'acuracy' to sort by; did you mean 'accuracy'?",
        ),
        (
            ("--group-by", "model", "--columns", "device"),
            "device has no median; group by it, or leave it out of the columns",
        ),
        (("--best-by", "acuracy"), "'acuracy' is no figure that can be the best; did you mean 'accuracy'?"),
        (("--best-by", "accuracy", "--group-by", "model"), "--group-by and --best-by can't be asked for at once"),
        (("--gain", "acuracy"), "'acuracy' is nothing that a strategy gains; did you mean 'accuracy'?"),
        (("--gain", "--best-by", "accuracy"), "--gain: goes without --group-by, --best-by, --columns and --sort"),
        (("--gain", "--group-by", "model"), "--gain: goes without --group-by, --best-by, --columns and --sort"),
        (("--label", "purpose"), "--label: write it as key=value (it is 'purpose')"),
        (
            ("--label", "2 words=x"),
            "--label: the label '2 words' must be a word: a letter, then up to 63 letters, digits, _ or -",
        ),
        (
            ("--since", "last year"),
            '--since: \'last year\' is no time; a time is a date ("2026-05-01", "2026-05-01 14:30"), '
            'an age ("7d", "12h") or a day ("yesterday", "monday")',
        ),
    ],
    ids=str,
)
def test_what_can_t_be_asked_is_explained(
    benchbeat: Command, history: Database, arguments: tuple[str, ...], said: str
) -> None:
    done = benchbeat("history", *arguments)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")


def test_a_question_about_nothing_makes_a_home_and_says_how_to_begin(benchbeat: Command, home: Path) -> None:
    done = benchbeat("history", "--gain")
    assert (done.code, done.out) == (4, "")


def test_trends_are_shown_and_their_values_given(benchbeat: Command, nights: Database) -> None:
    shown = benchbeat("history", "--trend", "--workload", "speed")
    assert (shown.code, shown.err) == (0, "")
    assert "last change" in shown.out
    found = rows(benchbeat, "--trend", "latency_seconds", "--workload", "speed", "--precision", "float32")
    assert [(row["figure"], row["n"]) for row in found] == [("latency_seconds", 3)]
    assert found[0]["values"] == pytest.approx([2.0, 2.1, 2.2])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--trend", "--gain"), 2, "Error: --trend: goes without --gain, --group-by"),
        (("--trend", "--columns", "model"), 2, "Error: --trend: goes without"),
        (
            ("--trend", "acuracy"),
            2,
            "Error: --trend: 'acuracy' is no figure that has a trend; did you",
        ),
        (("--trend", "--model", "gone"), 4, "no run matches"),
    ],
    ids=str,
)
def test_trends_that_can_t_be_had_are_explained(
    benchbeat: Command, nights: Database, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = benchbeat("history", *arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(said)
