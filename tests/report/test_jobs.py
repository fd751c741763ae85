"""Job specifications, printed; and their ids in words."""

import csv
import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.spec import JobSpec, StopRule
from report.jobs import print_specs, ranges
from tests.report.conftest import Terminal

QUALITY = JobSpec(model="m", workload="facts", strategy="direct", temperature=0.0, top_p=1.0, batch_size=16)
SPEED = JobSpec(model="m", workload="speed", prompt_tokens=128, new_tokens=64, stop=StopRule())


def printed(*specs: JobSpec) -> list[list[str]]:
    """Return the rows of specifications, with the header."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        print_specs(specs, "csv")
    return list(csv.reader(io.StringIO(out.getvalue())))


def test_a_field_that_no_job_has_is_not_shown() -> None:
    assert printed(QUALITY) == [
        ["model", "workload", "strategy", "temperature", "precision"],
        ["m", "facts", "direct", "0.0", "float32"],
    ]


def test_a_field_that_tells_jobs_apart_is_shown() -> None:
    header, *rows = printed(QUALITY, QUALITY.model_copy(update={"seed": 7}))
    assert header[-1] == "seed"
    assert [row[-1] for row in rows] == ["0", "7"]


def test_jobs_of_two_kinds_stand_in_one_table() -> None:
    header, quality, speed = printed(QUALITY, SPEED)
    assert header == [
        "model",
        "workload",
        "strategy",
        "temperature",
        "prompt_tokens",
        "new_tokens",
        "precision",
        "batch_size",
    ]
    assert quality == ["m", "facts", "direct", "0.0", "", "", "float32", "16"]
    assert speed == ["m", "speed", "", "", "128", "64", "float32", "1"]


def test_stop_rules_are_told_apart() -> None:
    header, *rows = printed(SPEED, SPEED.model_copy(update={"stop": StopRule(target=0.1)}))
    assert header[-1] == "stop"
    assert '"target":0.1' in rows[1][-1]


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_gets_a_table_of_its_width(terminal: Callable[[int], Terminal], width: int) -> None:
    out = terminal(width)
    long = {"model": "deepseek-r1-distill-qwen-1.5b", "strategy": "chain_of_thought", "workload": "arithmetic"}
    other = {"seed": 3, "precision": "bfloat16", "top_p": 0.9, "temperature": 0.75, "stop": StopRule(target=0.1)}
    print_specs([QUALITY, QUALITY.model_copy(update={**long, **other}), SPEED], "table")
    assert max(map(len, out.lines)) <= width
    assert any("chain_of_thought" in line for line in out.lines)


def test_ids_that_follow_each_other_are_one_range() -> None:
    assert ranges([]) == ""
    assert ranges([7]) == "7"
    assert ranges([3, 7, 8, 9, 12]) == "3, 7 to 9, 12"


@given(st.sets(st.integers(1, 40)))
def test_ranges_name_every_id(ids: set[int]) -> None:
    named: set[int] = set()
    for part in filter(None, ranges(list(ids)).split(", ")):
        first, _, last = part.partition(" to ")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == ids
