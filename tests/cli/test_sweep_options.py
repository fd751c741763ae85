"""What goes into a sweep beside its axes: ranges, --set, labels, recommended settings, notes; and the plan of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database
from tests.cli.conftest import Command

SMALL = ("--model", "smollm2-135m", "--workload", "facts")
SWEEP = """
name = "two"
labels = { host = "lab", who = "me" }

[[sweep]]
model = "smollm2-135m"
workload = "facts"
temperature = [0, 0.5]
items = 12

[[sweep]]
model = "smollm2-135m"
workload = "speed"
prompt_tokens = 32
new_tokens = 8
"""


@pytest.fixture
def two(benchbeat: Command) -> str:
    """Give a sweep file of two blocks."""
    Path("two.toml").write_text(SWEEP)
    return "two.toml"


def planned(benchbeat: Command, *arguments: str) -> list[dict[str, Any]]:
    """Return the jobs of a dry run."""
    done = benchbeat("submit", *arguments, "--dry-run", "-o", "json")
    assert done.code == 0, done.err
    specs: list[dict[str, Any]] = json.loads(done.out)
    return specs


@pytest.mark.parametrize(
    ("option", "text", "values"),
    [
        ("temperature", "0.1..0.9+0.2", [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("items", "3..6", [3, 4, 5, 6]),
        ("items", "8..64*2,100", [8, 16, 32, 64, 100]),
        ("max-new-tokens", "128..512*2", [128, 256, 512]),
    ],
)
def test_ranges_are_written_out(benchbeat: Command, home: Path, option: str, text: str, values: list[float]) -> None:
    specs = planned(benchbeat, *SMALL, f"--{option}", text)
    assert [spec[option.replace("-", "_")] for spec in specs] == values


def test_set_replaces_axes_of_every_block(benchbeat: Command, home: Path, two: str) -> None:
    specs = planned(benchbeat, two, "--set", "temperature=0.1..0.3+0.1", "--set", "items=4,5")
    assert [(s["workload"], s["temperature"], s["items"]) for s in specs] == [
        *(("facts", t, n) for t in (0.1, 0.2, 0.3) for n in (4, 5)),
        ("speed", None, None),
    ]


def test_set_takes_an_axis_as_its_option_is_written(benchbeat: Command, home: Path, two: str) -> None:
    assert [s["prompt_tokens"] for s in planned(benchbeat, two, "--set", "prompt-tokens=16,64")][-2:] == [16, 64]
    specs = planned(benchbeat, two, "--set", "stop=target=0.1,max_iterations=9", "--set", "stop=target=0.2")
    assert [json.loads(s["stop"])["target"] for s in specs if s["workload"] == "speed"] == [0.1, 0.2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("items", "--set: write it as --set temperature=0,0.5 (it is 'items')"),
        ("=4", "--set: write it as --set temperature=0,0.5 (it is '=4')"),
        ("item=4", "--set item: unknown key; did you mean 'items'?"),
        ("items=", "--set items: an empty list leaves no job; give a value, or leave it out"),
        ("items=four", "--set items: must be a whole number (it is 'four')"),
        ("items=9..3", "--set items: the range '9..3' ends below its start"),
        ("strategy=few", "--set strategy: unknown strategy 'few'; did you mean 'few_shot'?"),
        ("stop=5", "--set stop: write it as target=0.02,max_iterations=30 (it is '5')"),
    ],
)
def test_a_wrong_set_is_explained(benchbeat: Command, home: Path, two: str, text: str, said: str) -> None:
    done = benchbeat("submit", two, "--set", text)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")
    assert not list(home.iterdir())


def test_set_without_a_file_is_explained(benchbeat: Command, home: Path) -> None:
    done = benchbeat("submit", *SMALL, "--set", "items=3")
    assert done.code == 2
    assert done.err == (
        "Error: --set: replaces an axis of a sweep file, and there is none; give the axis as an option\n"
    )


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("items", "9..3", "--items: the range '9..3' ends below its start"),
        (
            "items",
            "3..9+",
            "--items: '3..9+' is no range; write a range as 1..4, 0.1..0.9+0.2 or 128..512*2",
        ),
        (
            "temperature",
            "0.1..0.9*1",
            "--temperature: the range '0.1..0.9*1' would never end; write a range as 1..4, 0.1..0.9+0.2 or 128..512*2",
        ),
        (
            "settings",
            "recomended",
            "--settings: no model of this block has settings 'recomended'; did you mean 'recommended'?",
        ),
        ("label", "host", "--label: write it as key=value (it is 'host')"),
        (
            "label",
            "two words=x",
            "--label: the label 'two words' must be a word: a letter, then up to 63 letters, digits, _ or -",
        ),
        ("label", "host=", "--label: the label host must be a text of 1 to 200 characters on one line"),
    ],
)
def test_a_wrong_option_is_explained(benchbeat: Command, home: Path, option: str, text: str, said: str) -> None:
    done = benchbeat("submit", *SMALL, f"--{option}", text)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")
    assert not list(home.iterdir())


def test_a_label_with_two_values_is_refused(benchbeat: Command, home: Path) -> None:
    done = benchbeat("submit", *SMALL, "--label", "host=a", "--label", "host=b")
    assert (done.code, done.err) == (2, "Error: --label: host is both 'a' and 'b'\n")


def test_labels_of_the_file_and_of_the_options_are_in_the_views(
    benchbeat: Command, history: Database, redis: str, two: str
) -> None:
    assert benchbeat("submit", two, "--label", "who=you", "--label", "why=x=y").code == 0
    done = benchbeat("sql", "select labels from batches", "-o", "json")
    assert json.loads(json.loads(done.out)[0]["labels"]) == {"host": "lab", "who": "you", "why": "x=y"}
    assert benchbeat("export", "batches", "--label", "who=you", "--columns", "batch").out == "batch\r\n1\r\n"


def test_recommended_settings_fill_what_is_left_open(benchbeat: Command, home: Path) -> None:
    deepseek = ("--model", "deepseek-r1-distill-qwen-1.5b", "--workload", "facts", "--settings", "recommended")
    (spec,) = planned(benchbeat, *deepseek)
    assert spec["temperature"] == 0.8
    (spec,) = planned(benchbeat, *deepseek, "--temperature", "0.1")
    assert spec["temperature"] == 0.1


@pytest.mark.parametrize("name", ["submit", "run"])
def test_samples_at_temperature_0_are_noted_once_and_not_with_quiet(benchbeat: Command, home: Path, name: str) -> None:
    asked = (*SMALL, "--samples", "3", "--temperature", "0,0.5", "--strategy", "direct,few_shot")
    note = "Note: samples = 3 at temperature 0: each item is asked once, since greedy answers are all alike\n"
    # Nothing is stored, as there is no Redis.
    assert benchbeat(name, *asked).err.count(note) == 1
    assert "Note:" not in benchbeat(name, *asked, "-q").err
    assert [(s["temperature"], s["samples"]) for s in planned(benchbeat, *asked)] == [(0, 1), (0.5, 3)] * 2


def test_the_plan_shows_axes_the_first_jobs_and_what_is_known_of_the_time(benchbeat: Command, home: Path) -> None:
    done = benchbeat("submit", *SMALL, "--temperature", "0.5", "--seed", "1..20", "--strategy", "direct", "--dry-run")
    axes, jobs, rest = done.out.split("\n\n")
    assert [line.split() for line in axes.splitlines()[2:-1]] == [
        ["model", "smollm2-135m", "1"],
        ["workload", "facts", "1"],
    ]
    assert axes.splitlines()[-1] == "seed      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, ... 8 more  20"
    assert len(jobs.splitlines()) == 2 + 12 + 1
    assert jobs.endswith("\n... and 8 more (--verbose or -o csv shows them)")
    assert rest == ""
    assert done.err.splitlines() == [
        "options: 20 jobs (1 model, 1 workload); nothing was stored",
        "How long it will take is not known yet: no such job was measured before.",
    ]
    assert not list(home.iterdir())
    everything = benchbeat("submit", *SMALL, "--temperature", "0.5", "--seed", "1..20", "--dry-run", "--verbose")
    assert len(everything.out.split("\n\n")[1].splitlines()) == 2 + 20


def test_the_time_is_estimated_from_the_history(benchbeat: Command, nights: Database) -> None:
    known = ("--model", "qwen2.5-1.5b", "--workload", "speed", "--prompt-tokens", "128", "--new-tokens", "64")
    done = benchbeat("submit", *known, "--dry-run")
    assert done.err.splitlines()[-1].startswith("It will take about ")
    assert done.err.endswith(" on one machine, going by earlier runs.\n")
    both = benchbeat("submit", *known[2:], "--model", "qwen2.5-1.5b,llama-3.2-3b", "--dry-run")
    assert both.err.endswith("; 1 of the 2 jobs have none to go by and come on top.\n")
    unknown = benchbeat("submit", *SMALL[2:], "--model", "llama-3.2-3b", "--dry-run")
    assert unknown.err.endswith("is not known yet: no such job was measured before.\n")


def test_a_history_that_can_t_be_read_costs_the_estimate_only(benchbeat: Command, home: Path) -> None:
    (home / "history.db").write_text("no database at all, though long enough to have a header of its own" * 20)
    done = benchbeat("submit", *SMALL, "--dry-run")
    assert done.code == 0
    assert "Note: without an estimate of the time: " in done.err
    assert "Note:" not in benchbeat("submit", *SMALL, "--dry-run", "-q").err
