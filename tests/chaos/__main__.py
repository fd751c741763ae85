"""The fault suite: `make chaos`, or `python -m tests.chaos --help`."""

import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import cast

import click

from tests.chaos.counting import Counts
from tests.chaos.databases import DatabaseKind, Databases
from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.chaos.site import site
from tests.chaos.storm import naive_storm, storm
from tests.services import no_process_left

COLUMNS = ("jobs", "faults", "lost", "doubled", "recomputed", "overlapping", "seconds")
_NAME = 54


class Suite:
    """Runs trials, each in a folder of its own, and prints a line about each."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self._folder, self._databases = folder, databases
        self._numbers = count(1)
        self.failed = 0
        self.totals: dict[str, Counts] = {}

    def scenario(self, scenario: Scenario, kind: DatabaseKind) -> None:
        """Run a named fault."""
        folder = self._new_folder()
        url, away = self._databases.new(kind, folder)

        def run() -> Counts:
            with site(folder / "site", url, away) as it:
                it.read_only = lambda: self._databases.read_only(url)
                it.faults = 1
                try:
                    scenario.strike(it)
                except AssertionError as error:
                    counts = it.counts()
                    counts.broken.append(str(error).partition("\n")[0] or _place(error))
                    return counts
                return it.counts()

        self._tell(f"{scenario.name} ({kind})", f"benchbeat, {kind}, one fault at a time", run, folder)

    def storm(self, kind: DatabaseKind, seed: int, jobs: int, strikes: int) -> None:
        """Run a storm of faults."""
        folder = self._new_folder()
        url, away = self._databases.new(kind, folder)
        self._tell(
            f"storm, seed {seed} ({kind})",
            f"benchbeat, {kind}, storms",
            lambda: storm(folder / "site", url, away, seed=seed, jobs=jobs, strikes=strikes),
            folder,
        )

    def naive(self, seed: int, jobs: int, strikes: int) -> None:
        """Run the same storm over a naive worker; what it loses is no failure of ours."""
        folder = self._new_folder()
        self._tell(
            f"storm, seed {seed} (naive acks_late worker)",
            "a naive acks_late worker, storms",
            lambda: naive_storm(folder / "site", seed=seed, jobs=jobs, strikes=strikes),
            folder,
            ours=False,
        )

    def _new_folder(self) -> Path:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    def _tell(self, name: str, total: str, run: Callable[[], Counts], folder: Path, *, ours: bool = True) -> None:
        click.echo(f"{name:<{_NAME}}", nl=False)
        counts = run()
        _print_figures(counts)
        if ours and counts.bad:
            self.failed += 1
            for each in counts.broken:
                click.echo(f"    {each}")
            click.echo(f"    kept: {folder}")
        _add(self.totals.setdefault(total, Counts()), counts)


def _place(error: AssertionError) -> str:
    """Return which bare assertion it was that did not hold."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.name}, line {last.lineno}: {last.line}"


def _add(total: Counts, counts: Counts) -> None:
    for name in COLUMNS:
        setattr(total, name, getattr(total, name) + getattr(counts, name))


def _print_figures(counts: Counts) -> None:
    figures = [getattr(counts, name) for name in COLUMNS]
    texts = [f"{figure:.0f}" for figure in figures]
    click.echo("".join(f"{text:>{len(name) + 2}}" for text, name in zip(texts, COLUMNS, strict=True)))


def _head(name: str) -> None:
    click.echo(f"{name:<{_NAME}}" + "".join(f"  {each}" for each in COLUMNS))


def _kinds(text: str) -> Iterator[DatabaseKind]:
    for each in text.split(","):
        if each not in ("sqlite", "postgresql"):
            raise click.UsageError(f"there is no database {each!r}; there are sqlite and postgresql")
        yield cast(DatabaseKind, each)


@click.command()
@click.option("--seeds", default="1,2,3", show_default=True, help="Seeds of the storms.")
@click.option("--databases", default="sqlite,postgresql", show_default=True)
@click.option("--jobs", default=60, show_default=True, help="Jobs of a storm.")
@click.option("--faults", default=20, show_default=True, help="Faults of a storm.")
@click.option("--only", help="Scenarios with this in their name; `storm` for the storms alone.")
def main(seeds: str, databases: str, jobs: int, faults: int, only: str | None) -> None:
    """Strike benchbeat with faults, one at a time and at random, and count what was lost, doubled or overlapping.

    The same storms strike a naive acks_late worker beside it. Exits 1 where benchbeat lost, doubled or overlapped.
    """
    kinds = list(_kinds(databases))
    numbers = [int(each) for each in seeds.split(",")]
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="benchbeat-chaos-"))
    with ExitStack() as stack, no_process_left(folder):
        suite = Suite(folder, Databases(stack))
        _head("fault")
        for scenario in SCENARIOS:
            for kind in kinds:
                if (only is None or only in scenario.name) and (not scenario.only or kind in scenario.only):
                    suite.scenario(scenario, kind)
        if only in (None, "storm"):
            click.echo(f"\nstorms of {faults} faults over {jobs} jobs, seeds {seeds}")
            for seed in numbers:
                for kind in kinds:
                    suite.storm(kind, seed, jobs, faults)
                suite.naive(seed, jobs, faults)
    click.echo()
    _head("in total")
    for name, counts in suite.totals.items():
        click.echo(f"{name:<{_NAME}}", nl=False)
        _print_figures(counts)
    minutes = (time.monotonic() - began) / 60
    verdict = "nothing lost, nothing doubled" if not suite.failed else f"{suite.failed} trials FAILED"
    click.echo(f"\nbenchbeat: {verdict} ({minutes:.0f} min)")
    if not suite.failed:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if suite.failed else 0)


if __name__ == "__main__":
    main()
