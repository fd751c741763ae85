import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from bench.errors import QueryError
from db.readonly import select
from db.schema import upgrade
from tests.db.asking import ENDLESS, LONG, ask, fill, refusal
from tests.services import PostgreSQLServer
from tests.waiting import wait_until

# What is allowed


def test_the_views_can_be_read(history_url: str) -> None:
    with select(history_url, "select batch, name, jobs from batches;") as rows:
        assert rows.columns == ["batch", "name", "jobs"]
        assert list(rows) == [(1, "first", 0)]


@pytest.mark.parametrize("view", ["history", "latest", "series", "samples", "answers", "jobs", "attempts", "batches"])
def test_every_view_can_be_read_whole_joined_and_counted(history_url: str, view: str) -> None:
    expected = 1 if view == "batches" else 0
    assert len(ask(history_url, f"select * from {view}")) == expected
    assert ask(history_url, f"select count(*) from {view}") == [(expected,)]
    assert ask(history_url, f"with x as (select * from {view}) select count(*) from x, {view}") == [(expected,)]


def test_equal_column_names_a_percent_sign_and_comments_are_no_trouble(history_url: str) -> None:
    with select(history_url, "select 1 as a, 2 as a, '100 %s {}' as b -- the end") as rows:
        assert rows.columns == ["a", "a", "b"]
        assert list(rows) == [(1, 2, "100 %s {}")]


def test_functions_json_and_the_schema_can_be_used_on_sqlite(sqlite_history: str) -> None:
    assert ask(sqlite_history, "select value from json_each('[1, 2]')") == [(1,), (2,)]
    assert ("history",) in ask(sqlite_history, "select name from sqlite_master where type = 'view'")
    assert ask(sqlite_history, "select cast(x'ff41' as text)") == [("\N{REPLACEMENT CHARACTER}A",)]


def test_points_in_time_and_json_come_from_postgresql_as_they_do_from_sqlite(postgresql_history: str) -> None:
    statement = "select created_at, '{\"a\": 1}'::jsonb, 'infinity'::timestamptz from batches"
    assert ask(postgresql_history, statement) == [("2017-07-14 02:40:00", '{"a": 1}', "infinity")]


def test_rows_are_read_lazily(history_url: str) -> None:
    with select(history_url, ENDLESS) as rows:
        first = [row for row, _ in zip(rows, range(2500), strict=False)]
    assert first[-1] == (2500,)


def test_many_large_values_are_not_read_ahead(history_url: str) -> None:
    large = "hex(zeroblob(5000000))" if history_url.startswith("sqlite") else "repeat('0', 10000000)"
    endless = f"with recursive c(x) as (select 1 union all select x + 1 from c) select {large} from c"
    with select(history_url, endless) as rows:
        first = [len(str(row[0])) for row, _ in zip(rows, range(5), strict=False)]
    assert first == [10_000_000] * 5


def test_the_time_counts_only_while_the_database_works(history_url: str) -> None:
    seconds = 1.0
    with select(history_url, ENDLESS, timeout_seconds=seconds) as rows:
        source = iter(rows)
        assert next(source) == (1,)
        started = time.monotonic()
        wait_until(lambda: time.monotonic() > started + seconds + 0.1, "the caller was busy for longer than that")
        assert [row for row, _ in zip(source, range(3000), strict=False)][-1] == (3001,)


def test_what_is_written_in_the_meantime_is_seen_by_the_next_query(database_url: str) -> None:
    assert ask(database_url, "select count(*) from batches") == [(0,)]
    fill(database_url)
    assert ask(database_url, "select count(*) from batches") == [(1,)]


def test_closing_early_and_twice_leaves_nothing_behind(history_url: str) -> None:
    rows = select(history_url, ENDLESS)
    rows.close()
    rows.close()
    if history_url.startswith("sqlite"):
        wait_until(lambda: not [t for t in threading.enumerate() if t.name == "sql"], "the thread has ended")
    else:
        count = "select count(*) from pg_stat_activity where usename = current_user and pid <> pg_backend_pid()"
        wait_until(lambda: ask(history_url, count) == [(0,)], "the connection is closed")


# What is refused


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(history_url: str, seconds: float) -> None:
    assert "more than 0 seconds" in refusal(history_url, "select 1", timeout_seconds=seconds)


def test_ctrl_c_reaches_the_caller_at_once(history_url: str) -> None:
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ask(history_url, LONG, timeout_seconds=60)
    timer.join()
    assert time.monotonic() - started < 8


# Sentences


def test_an_unknown_view_or_column_is_answered_with_near_matches(history_url: str) -> None:
    assert "did you mean 'history'" in refusal(history_url, "select * from histroy")
    assert "; the views are alerts, answers, attempts, " in refusal(history_url, "select * from wombats")
    assert "did you mean 'accuracy'" in refusal(history_url, "select acuracy from history")
    assert "'word_error_rate'" in refusal(history_url, "select h.word_eror_rate from latest h")


def test_a_syntax_error_names_its_place(history_url: str) -> None:
    assert "syntax error" in refusal(history_url, "select model\nform history h x")


def test_postgresql_counts_lines_and_columns_in_the_users_own_text(postgresql_history: str) -> None:
    message = refusal(postgresql_history, "-- first\nselect model\nfrom history h nonsense x")
    assert message == 'The query fails: syntax error at or near "nonsense" (line 3, column 16)'
    assert "at the end of the statement" in refusal(postgresql_history, "select model from")


def test_a_parameter_has_no_value(history_url: str) -> None:
    assert "parameter" in refusal(history_url, "select $1" if "postgresql" in history_url else "select ?")


# The databases themselves


@pytest.mark.parametrize("name", ["a b.db", "50%41.db", "que?ry.db", "#hash.db", "mode=rwc&x.db", "ünï.db", "a'b\".db"])
def test_a_path_may_have_any_name(sqlite_template: Path, tmp_path: Path, name: str) -> None:
    shutil.copyfile(sqlite_template, tmp_path / name)
    assert ask("sqlite:///" + quote(str(tmp_path / name)), "select count(*) from history") == [(0,)]


def test_a_history_whose_writer_was_killed_can_be_read(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    writer = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA journal_mode = WAL');"
        "c.execute(\"INSERT INTO batch (name, sweep_hash, priority, created_at) VALUES ('x', 'x', 1, 1)\");"
        "c.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", writer, str(path)], check=True)
    assert path.with_name("history.db-wal").stat().st_size > 0
    assert ask(sqlite_url, "select name from batches") == [("x",)]


def test_a_missing_empty_or_foreign_file_is_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    assert "There is no database" in refusal(url, "select 1")
    assert not list(tmp_path.iterdir())
    (tmp_path / "history.db").touch()
    assert "db upgrade" in refusal(url, "select 1")
    (tmp_path / "history.db").write_bytes(b"This is a letter, not a database. " * 100)
    assert "not a database" in refusal(url, "select 1")
    assert "There is no database" in refusal(f"sqlite:///{tmp_path}", "select 1")
    assert "in memory" in refusal("sqlite://", "select 1")
    assert "postgresql://" in refusal("mysql://root@localhost/x", "select 1")


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    message = refusal("postgresql+psycopg://owner:sec/ret@127.0.0.1:1/bench", "select 1")
    assert "127.0.0.1" in message
    assert "start PostgreSQL" in message
    assert "sec" not in message.replace("seconds", "")


def test_a_login_that_may_more_than_read_is_refused(postgresql_history: str) -> None:
    with pytest.raises(QueryError, match=r"may act as .*BENCHBEAT_READER_URL"):
        select(postgresql_history, "select 1", reader_url=postgresql_history)


def test_a_database_without_views_asks_for_an_upgrade(postgresql_server: PostgreSQLServer) -> None:
    postgresql_server.execute("CREATE DATABASE {name}", name="bare")
    url = postgresql_server.url("bare")
    try:
        assert "does not exist" in refusal(url, "select * from history")
        upgrade(url)
        assert ask(url, "select * from history") == []
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("REVOKE ALL ON history FROM benchbeat_reader")
        assert "run `benchbeat db upgrade`" in refusal(url, "select * from history")
        upgrade(url)
        assert ask(url, "select * from history") == []
    finally:
        postgresql_server.execute("DROP DATABASE {name} WITH (FORCE)", name="bare")


def test_asking_starts_without_sqlalchemy_and_the_other_driver(sqlite_history: str) -> None:
    program = (
        "import sys; from db.readonly import select\n"
        f"with select({sqlite_history!r}, 'select 1') as rows: assert list(rows) == [(1,)]\n"
        "print([name for name in ('sqlalchemy', 'psycopg', 'rich') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
