"""`db`: making, checking, upgrading and backing up."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from db.engine import Database
from db.schema import HEAD
from tests.cli.conftest import Command
from tests.db.builders import add_jobs
from tests.db.test_prune import add_runs


def set_revision(home: Path, revision: str) -> None:
    """Let the schema be another version's."""
    with closing(sqlite3.connect(home / "history.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()


def test_upgrading_makes_a_database_that_checks(benchbeat: Command, home: Path) -> None:
    done = benchbeat("db", "upgrade")
    assert (done.code, done.out) == (0, f"sqlite:///{home}/history.db has schema {HEAD}\n")
    assert benchbeat("db", "upgrade").out == done.out
    assert benchbeat("db", "check").out == f"sqlite:///{home}/history.db answers and has schema {HEAD}\n"


def test_a_database_without_tables_is_said(benchbeat: Command, home: Path) -> None:
    sqlite3.connect(home / "history.db").close()
    done = benchbeat("db", "check")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"Error: The database sqlite:///{home}/history.db has no benchbeat tables; run `benchbeat db upgrade`\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [("submit", "--model", "smollm2-135m", "--workload", "facts"), ("status",), ("sql", "select 1"), ("db", "check")],
)
@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("0000", "has the older schema 0000, this benchbeat needs HEAD; run `benchbeat db upgrade`"),
        ("9999", "has the newer schema 9999, this benchbeat knows HEAD; install the newer benchbeat here too"),
    ],
)
def test_another_versions_schema_is_refused_with_the_remedy(
    benchbeat: Command, history: Database, home: Path, arguments: tuple[str, ...], revision: str, said: str
) -> None:
    set_revision(home, revision)
    done = benchbeat(*arguments)
    said = said.replace("HEAD", HEAD)
    assert (done.code, done.out, done.err) == (2, "", f"Error: The database sqlite:///{home}/history.db {said}\n")


def test_a_newer_schema_is_not_downgraded(benchbeat: Command, history: Database, home: Path) -> None:
    set_revision(home, "9999")
    done = benchbeat("db", "upgrade")
    assert (done.code, done.out) == (2, "")
    assert "has the newer schema 9999" in done.err


def test_a_backup_holds_what_the_database_holds(benchbeat: Command, history: Database, tmp_path: Path) -> None:
    add_jobs(history, 2)
    copy = tmp_path / "copy.db"
    assert benchbeat("db", "backup", str(copy)).out == f"copied to {copy}\n"
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM job").fetchone() == (2,)


def test_a_backup_replaces_nothing_unless_it_is_told_to(benchbeat: Command, history: Database, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    done = benchbeat("db", "backup", str(copy))
    assert (done.code, done.err) == (
        2,
        f"Error: {copy}: is there already; choose another name, or replace it with --force\n",
    )
    assert copy.read_text() == "mine"
    assert benchbeat("db", "backup", str(copy), "--force").code == 0


def test_a_backup_of_nothing_is_an_error(benchbeat: Command, home: Path, tmp_path: Path) -> None:
    done = benchbeat("db", "backup", str(tmp_path / "copy.db"))
    assert (done.code, done.err) == (2, f"Error: There is no database {home}/history.db to back up\n")


def test_a_backup_into_a_folder_that_is_not_there_is_an_error(
    benchbeat: Command, history: Database, tmp_path: Path
) -> None:
    done = benchbeat("db", "backup", str(tmp_path / "gone" / "copy.db"))
    assert done.code == 2
    assert done.err.startswith(f"Error: The copy {tmp_path}/gone/copy.db can't be written (")


def test_samples_are_thinned(benchbeat: Command, history: Database) -> None:
    add_runs(history, [400, 1])
    dry = benchbeat("db", "prune", "--keep-samples", "90d", "--dry-run")
    assert dry.out == "3 samples of 1 run would be removed; the runs stay\n"
    done = benchbeat("db", "prune", "--keep-samples", "90d")
    assert done.out.startswith("3 samples of 1 run were removed; the runs stay\n")
    (row,) = json.loads(benchbeat("db", "prune", "--keep-samples", "12h", "-o", "json").out)
    assert row == {"runs": 1, "samples": 3, "traces": 0, "removed": True}
    assert len(json.loads(benchbeat("sql", "select run_id from history", "-o", "json").out)) == 2


@pytest.mark.parametrize(("given", "said"), [((), "--keep-samples"), (("--keep-samples", "90"), "is no duration")])
def test_what_is_kept_has_to_be_said(benchbeat: Command, history: Database, given: tuple[str, ...], said: str) -> None:
    done = benchbeat("db", "prune", *given)
    assert done.code == 2
    assert said in done.err
