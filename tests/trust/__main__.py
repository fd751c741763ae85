"""The proof of the watched history: `make trust`, or `python -m tests.trust --help`."""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import click

from report.printing import print_rows
from tests.trust.simulation import Case, Row, summarise, watch_series

#: each with what it has to reach: series with a false alarm, found, median delay, extra runs; None: nothing is asked
CASES: dict[Case, tuple[int | None, int | None, float | None, float | None]] = {
    Case("white", 0.01): (0, None, None, 1.0),
    Case("white", 0.02): (1, None, None, 1.0),
    Case("contaminated", 0.01): (3, None, None, 8.0),
    Case("correlated", 0.01): (3, None, None, None),
    Case("white", 0.01, -0.05): (0, 58, 2.0, None),
    Case("white", 0.02, -0.05): (1, 58, 2.0, None),
    Case("contaminated", 0.01, -0.05): (3, 58, 2.0, None),
    Case("correlated", 0.01, -0.05): (3, 58, 2.0, None),
    Case("white", 0.01, -0.02): (0, None, None, None),
    Case("white", 0.02, -0.02): (1, None, None, None),
    Case("white", 0.01, -0.10): (0, 58, 2.0, None),
    Case("white", 0.02, -0.10): (1, 58, 2.0, None),
    Case("white", 0.01, -0.05, is_drift=True): (0, None, None, None),
}
#: 40 and 60 series, a drop of 5 % at point 60 of 120: what others reach, from the measurements that this was built on
_OTHERS = (
    ("Otava, default", "10 of 40 at CV 1 %, 13 at 2 %", "40, 39", "1, 2", "0"),
    (
        "Otava, p = 1e-4, 2 % at least",
        "0 of 40 at CV 1 %, 4 at 2 %, 13 at AR(1), 39 contaminated",
        "39, 38",
        "1, 3",
        "0",
    ),
    ("t-test at 99 %", "24 of 40 at CV 1 %, 29 at 2 %", "40, 40", "1, 1", "0"),
    ("z = 5 over 100", "0 of 40, 0", "29, 1", "1, 1", "0"),
    ("steps of 2 %", "0 of 40, 0", "30, 1", "4, 5", "0"),
    (
        "Otava, two re-runs, median of three",
        "0 of 60 at CV 1 %, 1 at 2 %, 19 contaminated",
        "all",
        "-",
        "0.4, 0.8, 9.8",
    ),
)


@click.command()
@click.option("--seeds", default="1,2,3", show_default=True, help="Seeds of the series.")
@click.option("--series", default=60, show_default=True, help="Series of each kind and seed.")
def main(seeds: str, series: int) -> None:
    """Watch simulated series of 120 points through the real detector, with the re-runs that it asks for.

    Ends with 1 where a figure is missed.
    """
    numbers = [int(each) for each in seeds.split(",")]
    started = time.monotonic()
    click.echo(f"{series} series of 120 points each, seeds {seeds}; a change begins at point 60")
    missed = 0
    rows = []
    with ProcessPoolExecutor() as pool:
        for case, goal in CASES.items():
            for seed in numbers:
                watched = list(pool.map(partial(watch_series, case, seed), range(series), chunksize=5))
                row = summarise(case, seed, watched)
                is_met = _is_met(row, goal)
                missed += not is_met
                rows.append(
                    [case.name, seed, row.alarmed, row.found, row.delay, round(row.extra_runs, 2), _said(is_met)]
                )
    columns = ["series", "seed", "false_alarms", "found", "median_delay", "extra_runs", "goal"]
    print_rows(columns, rows, "table")
    click.echo("\nWhat others reach:")
    print_rows(["detector", "false_alarms", "found", "median_delay", "extra_runs"], _OTHERS, "table")
    click.echo(f"\n{missed} of {len(rows)} goals missed; {time.monotonic() - started:.0f} s")
    sys.exit(1 if missed else 0)


def _is_met(row: Row, goal: tuple[int | None, int | None, float | None, float | None]) -> bool:
    alarmed, found, delay, extra = goal
    share = row.series / 60
    return (
        (alarmed is None or row.alarmed <= alarmed * share)
        and (found is None or (row.found or 0) >= found * share)
        and (delay is None or (row.delay is not None and row.delay <= delay))
        and (extra is None or row.extra_runs <= extra)
    )


def _said(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


if __name__ == "__main__":
    main()
