"""The plan of a sweep: lengths of time, and what is known of them."""

import pytest

from bench.spec import JobSpec
from db.estimates import Estimate
from report.plan import duration_in_words, print_plan

SPECS = [JobSpec(model="m", workload="facts", strategy="direct", temperature=0.5, seed=seed) for seed in range(30)]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "1 s"),
        (45.4, "45 s"),
        (59.6, "1 min"),
        (200.0, "3 min 20 s"),
        (3600.0, "1 h"),
        (7500.0, "2 h 5 min"),
        (86_400.0 * 3 + 3600 * 4 + 59, "3 d 4 h"),
    ],
)
def test_a_length_of_time_has_two_units(seconds: float, said: str) -> None:
    assert duration_in_words(seconds) == said


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (None, "How long it will take is not known yet: no such job was measured before."),
        (Estimate(0.0, 0, 30), "How long it will take is not known yet: no such job was measured before."),
        (Estimate(7500.0, 30, 0), "It will take about 2 h 5 min on one machine, going by earlier runs."),
        (
            Estimate(60.0, 20, 10),
            "It will take about 1 min on one machine, going by earlier runs; "
            "10 of the 30 jobs have none to go by and come on top.",
        ),
    ],
)
def test_what_is_known_of_the_time_is_said(
    capsys: pytest.CaptureFixture[str], estimate: Estimate | None, said: str
) -> None:
    print_plan(SPECS, "x: 30 jobs", estimate)
    assert capsys.readouterr().err.splitlines() == ["x: 30 jobs; nothing was stored", said]


def test_many_jobs_are_shown_in_part_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(SPECS, "x", None)
    assert "... and 18 more (--verbose or -o csv shows them)" in capsys.readouterr().out
    print_plan(SPECS, "x", None, with_every_job=True)
    out = capsys.readouterr().out
    assert "more (--verbose" not in out
    assert len(out.split("\n\n")[1].splitlines()) == 32
