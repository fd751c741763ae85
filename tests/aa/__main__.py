"""A/A: the same jobs measured again and again, and judged as if they might differ.

`python -m tests.aa measure FILE --sessions 200`, then `python -m tests.aa judge FILE`.
"""

import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from db.engine import Database
from db.schema import upgrade
from tests.aa.judging import called_any, called_as_measured, called_by_readings, deviations, share_found
from tests.aa.recorded import Recorded, pairs_of, read

_CHANGES = (0.0, 0.02, 0.05, 0.1, 0.5)
_RUNS = (1, 2, 5, 20)
_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group()
def main() -> None:
    """Measure and judge runs of the same jobs."""


@main.command()
@_FILE
@click.option("--sessions", default=200, show_default=True, help="Processes to start; each measures four runs.")
def measure(file: Path, sessions: int) -> None:
    """Add runs to FILE, a line of JSON each."""
    from tests.aa.collect import collect

    with tempfile.TemporaryDirectory() as folder:
        for number in collect(file, Path(folder), sessions):
            click.echo(f"session {number} of {sessions}", err=True)


@main.command()
@_FILE
def judge(file: Path) -> None:
    """Say how often runs of FILE are called different; exit code 1 where that is more than 2 % of them."""
    runs = read(file)
    pairs = pairs_of(runs)
    with tempfile.TemporaryDirectory() as name:
        template = Path(name) / "template.db"
        upgrade(f"sqlite:///{template}")
        with _new(template) as database:
            as_measured = called_as_measured(database, pairs)
        with _new(template) as database:
            of_any = called_any(database, runs, len(pairs))
        shares = {
            "by their readings alone": _share(called_by_readings(pairs)),
            "by compare, each as it was measured": _share(as_measured),
            "by compare, each in a history of its own": _share(_apart(template, pairs)),
            "by compare, any two with all of the history": _share(of_any),
        }
    for how, share in shares.items():
        click.echo(f"{len(pairs)} pairs of the same job called different {how}: {share:.1%}")
    by_job: dict[str, list[Recorded]] = defaultdict(list)
    for run in runs:
        by_job[run.job].append(run)
    for job, found in by_job.items():
        _print_power(job, [run.log_rate for run in found])
    sys.exit(max(list(shares.values())[1:]) > 0.02)


@contextmanager
def _new(template: Path) -> Iterator[Database]:
    """Give an empty database that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        path = Path(folder) / "history.db"
        shutil.copyfile(template, path)
        database = Database(f"sqlite:///{path}")
        yield database
        database.dispose()


def _apart(template: Path, pairs: list[tuple[Recorded, Recorded]]) -> list[bool]:
    called = []
    for pair in pairs:
        with _new(template) as database:
            called += called_as_measured(database, [pair])
    return called


def _share(called: list[bool]) -> float:
    return sum(called) / len(called)


def _print_power(job: str, logs: list[float]) -> None:
    if len(logs) < 90:
        return
    apart, in_turn = deviations(logs)
    click.echo(f"\n{job}: {len(logs)} runs, standard deviation {apart:.1%}, of neighbours {in_turn:.1%}")
    click.echo("found, of a change of".ljust(44) + "".join(f"{change:>8.0%}" for change in _CHANGES))
    for noise, said in ((None, "the machine's noise"), (0.02, "scaled to 2 %"), (0.01, "scaled to 1 %")):
        for runs in _RUNS:
            found = (share_found(logs, runs, change, deviation=noise) for change in _CHANGES)
            line = f"  {said}, {runs} {'run' if runs == 1 else 'runs'} a side"
            click.echo(line.ljust(44) + "".join(f"{share:>8.0%}" for share in found))


main()
