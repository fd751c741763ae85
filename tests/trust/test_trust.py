"""A small part of `make trust`: that the detector, watched point by point, does what docs/regressions.md says."""

import pytest
from click.testing import CliRunner

from tests.trust.__main__ import main
from tests.trust.simulation import Case, summarise, watch_series


@pytest.mark.parametrize(
    ("case", "finds"),
    [
        (Case("white", 0.01), False),
        (Case("contaminated", 0.01), False),
        (Case("correlated", 0.01), False),
        (Case("white", 0.01, -0.05), True),
        (Case("white", 0.01, 0.05), True),
    ],
)
def test_a_step_is_found_and_noise_is_not(case: Case, finds: bool) -> None:
    row = summarise(case, 1, [watch_series(case, 1, number, points=48, changes_at=30) for number in range(8)])
    assert row.alarmed == 0
    assert row.found == (8 if finds else None)


def test_the_table_says_what_was_missed() -> None:
    done = CliRunner().invoke(main, ["--series", "1", "--seeds", "4"])
    assert done.exit_code in (0, 1)
    assert "seeds 4" in done.output
    assert "goals missed" in done.output
