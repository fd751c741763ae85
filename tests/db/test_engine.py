"""The connection: transactions, the database's clock, no lost updates, and errors in words."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import exc, select, text

from bench.errors import UnavailableError
from db.engine import Database, now, sqlite_path
from tests.db.builders import add_jobs, job_row
from tests.services import PostgreSQLServer
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PROCESSES, UPDATES = 4, 50

#: reads, computes in Python and writes, which only a lock taken before the reading makes safe
COUNTING = f"""
import sys
from sqlalchemy import text
from db.engine import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range({UPDATES}):
    with database.write() as connection:
        value = connection.execute(text("SELECT priority FROM job")).scalar_one()
        connection.execute(text("UPDATE job SET priority = :next"), {{"next": value + 1}})
"""


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """Give a database that is closed at the end."""
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()


def complaint(url: str) -> str:
    """Return what is said about a database that can't be read."""
    with opened(url) as database, pytest.raises(UnavailableError) as caught, database.read() as connection:
        connection.execute(text("SELECT 1 FROM job"))
    return str(caught.value)


def test_a_transaction_is_kept_at_its_end(database: Database) -> None:
    (job_id,) = add_jobs(database)
    assert job_row(database, job_id).state == "queued"


def test_an_exception_undoes_the_transaction(database: Database) -> None:
    (job_id,) = add_jobs(database)

    def stumble() -> None:
        with database.write() as connection:
            connection.execute(text("UPDATE job SET priority = 9"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    assert job_row(database, job_id).priority == 0


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    (job_id,) = add_jobs(database)
    with database.write() as connection:
        connection.execute(text("UPDATE job SET priority = 9"))
        assert job_row(database, job_id).priority == 0
    assert job_row(database, job_id).priority == 9


def test_a_read_transaction_sees_one_state_on_sqlite(sqlite_url: str) -> None:
    with opened(sqlite_url) as database:
        add_jobs(database)
        with database.read() as connection:
            before = connection.execute(text("SELECT count(*) FROM job")).scalar_one()
            add_jobs(database)
            assert connection.execute(text("SELECT count(*) FROM job")).scalar_one() == before == 1


def test_the_clock_is_the_epoch_s_and_goes_on(database: Database) -> None:
    with database.read() as connection:
        started = connection.execute(select(now())).scalar_one()
        later = wait_until(
            lambda: (seen := connection.execute(select(now())).scalar_one()) > started and seen,
            "the clock goes on within a transaction",
        )
    assert isinstance(started, float)
    # both databases run on this machine, so its clock is theirs
    assert started == pytest.approx(time.time(), abs=30)
    assert later - started < 30


def test_references_are_held(database: Database) -> None:
    add_jobs(database)
    with pytest.raises(exc.IntegrityError), database.write() as connection:
        connection.execute(text("DELETE FROM batch"))


def test_sqlite_is_set_up_to_lose_nothing(sqlite_url: str) -> None:
    with opened(sqlite_url) as database:
        hasty = partial(database.write, durable=False)
        for transaction, synchronous in ((database.write, 2), (database.read, 2), (hasty, 1)):
            with transaction() as connection:
                pragmas = {
                    name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
                    for name in ("journal_mode", "synchronous", "fullfsync", "foreign_keys", "busy_timeout")
                }
            assert pragmas == {
                "journal_mode": "wal",
                "synchronous": synchronous,
                "fullfsync": 1,
                "foreign_keys": 1,
                "busy_timeout": 30_000,
            }


def test_sqlite_takes_the_write_lock_before_it_reads(sqlite_url: str) -> None:
    path = sqlite_path(sqlite_url)
    assert path is not None
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other, opened(sqlite_url) as database:
        with database.write(), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        with database.read():
            other.execute("BEGIN IMMEDIATE")


def test_no_update_of_several_processes_is_lost_on_sqlite(sqlite_url: str) -> None:
    with opened(sqlite_url) as database:
        (job_id,) = add_jobs(database)
        arguments = [sys.executable, "-c", COUNTING, sqlite_url]
        processes = [
            subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(PROCESSES)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        for process in processes:
            process.communicate()
        assert [process.returncode for process in processes] == [0] * PROCESSES
        assert job_row(database, job_id).priority == PROCESSES * UPDATES


def test_a_new_file_that_another_process_fills_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other, opened(f"sqlite:///{path}") as database:
        # a writer in the journal mode of a new file, at whose sight SQLite refuses to change that mode at once
        other.execute("CREATE TABLE note (text)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO note VALUES ('filled')")
        waits: list[float] = []

        def other_goes_on(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                other.execute("COMMIT")

        monkeypatch.setattr("time.sleep", other_goes_on)
        with database.read() as connection:
            assert connection.execute(text("SELECT text FROM note")).scalar_one() == "filled"
        assert len(waits) == 3


def test_opening_connects_to_nothing(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'nowhere' / 'history.db'}"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "history.db"
    said = complaint(f"sqlite:///{path}")
    assert said == (
        f"The database {path} can't be used (unable to open database file); "
        "check the folder, its rights and the disk's space"
    )


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_text("These are my notes.\n" * 100)
    assert f"The database {path} can't be used (file is not a database)" in complaint(f"sqlite:///{path}")


def test_a_damaged_file_is_said(sqlite_url: str) -> None:
    path = sqlite_path(sqlite_url)
    assert path is not None
    damaged = path.read_bytes()
    path.write_bytes(damaged[:4096] + b"\xff" * (len(damaged) - 4096))
    assert f"The database {path} can't be used (database disk image is malformed)" in complaint(sqlite_url)


def test_missing_tables_are_said(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    said = complaint(f"sqlite:///{path}")
    assert said == f"The database {path} has no benchbeat tables (no such table: job); run `benchbeat db upgrade`"


def test_a_missing_server_is_said_without_the_password(tmp_path: Path) -> None:
    said = complaint(f"postgresql+psycopg://me:secret-word@/history?host={tmp_path}")
    assert "secret-word" not in said
    assert said.startswith("The database postgresql+psycopg://me:***@/history")
    assert said.endswith("start PostgreSQL there, or unset BENCHBEAT_DATABASE_URL to use SQLite")
    assert "\n" not in said


def test_a_missing_database_of_a_server_is_said(postgresql_server: PostgreSQLServer) -> None:
    assert 'database "nowhere" does not exist' in complaint(postgresql_server.url("nowhere"))


def test_a_server_that_only_reads_is_said(postgresql_url: str) -> None:
    only_reads = "EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database())"
    with opened(postgresql_url) as database, database.write() as connection:
        connection.execute(text(f"DO $$ BEGIN {only_reads}; END $$"))
    with opened(postgresql_url) as database, pytest.raises(UnavailableError, match="read-only transaction"):
        add_jobs(database)


def test_a_fault_of_a_statement_is_not_called_a_missing_database(database: Database) -> None:
    add_jobs(database)
    with pytest.raises(exc.IntegrityError), database.write() as connection:
        connection.execute(text("UPDATE job SET state = 'asleep'"))


def test_a_lost_connection_is_replaced_by_the_next_transaction(postgresql_url: str) -> None:
    with opened(postgresql_url) as database, opened(postgresql_url) as other:
        with database.read() as connection:
            backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with other.write() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})
        assert len(add_jobs(database)) == 1


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////data/history.db", Path("/data/history.db")),
        ("sqlite:///history.db", Path("history.db")),
        ("postgresql+psycopg://me@host/history", None),
    ],
)
def test_the_file_of_a_url(url: str, path: Path | None) -> None:
    assert sqlite_path(url) == path


def test_the_safe_url_leaves_out_a_password_among_the_parameters() -> None:
    database = Database("postgresql+psycopg://me@host/history?password=sesame&sslmode=require")
    assert database.safe_url == "postgresql+psycopg://me@host/history?sslmode=require"
    database.dispose()


def test_the_safe_url_hides_the_password() -> None:
    with opened("postgresql+psycopg://me:secret-word@host/history") as database:
        assert database.safe_url == "postgresql+psycopg://me:***@host/history"
