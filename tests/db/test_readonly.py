import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import insert
from sqlalchemy import select as sa_select

from bench.errors import QueryError
from db.engine import Database
from db.reader_role import reader_login_url
from db.readonly import select
from db.readonly_postgresql import PostgresqlReader
from db.readonly_sqlite import SqliteReader
from db.schema import upgrade
from db.statement import Statement
from db.tables import batch, metadata
from tests.services import PostgreSQLServer
from tests.waiting import wait_until

ENDLESS = "with recursive c(x) as (select 1 union all select x + 1 from c) select x from c"
LONG = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"

WRITES = [
    "DELETE FROM batch",
    "UPDATE batch SET name = 'x'",
    "INSERT INTO batch (name, sweep_hash, priority, created_at) VALUES ('x', 'x', 1, 1)",
    "DROP TABLE batch",
    "DROP VIEW history",
    "CREATE TABLE x (a integer)",
    "CREATE TEMP TABLE x (a integer)",
    "CREATE VIEW x AS SELECT 1",
    "CREATE TABLE x AS SELECT * FROM history",
    "ALTER TABLE batch ADD COLUMN x integer",
    "VACUUM",
    "ANALYZE",
    "REINDEX",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "WITH x AS (SELECT 1) DELETE FROM batch",
    "WITH x AS (DELETE FROM batch RETURNING id) SELECT * FROM x",
    "WITH x AS (UPDATE batch SET name = 'x' RETURNING id) SELECT * FROM x",
    "SELECT 1; DELETE FROM batch",
    "SELECT 1; COMMIT; DELETE FROM batch",
    "SELECT 1) q; DROP TABLE batch; --",
    "SELECT 1) q, (DELETE FROM batch RETURNING 1",
    "SELECT 1 /* ; */; DELETE FROM batch",
    "EXPLAIN DELETE FROM batch",
]
WRITES_SQLITE = [
    "REPLACE INTO batch (id, name, sweep_hash, priority, created_at) VALUES (1, 'x', 'x', 1, 1)",
    "PRAGMA query_only = 0",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 7",
    "ATTACH 'stolen.db' AS stolen",
    "VACUUM INTO 'stolen.db'",
    "DETACH main",
    "CREATE TRIGGER x AFTER INSERT ON batch BEGIN DELETE FROM job; END",
    "CREATE VIRTUAL TABLE x USING fts5(a)",
    "SELECT * FROM pragma_table_info('batch')",
    "SELECT * FROM dbstat",
    "SELECT load_extension('stolen')",
    "SELECT writefile('stolen.db', 'x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT fts3_tokenizer('simple', x'00')",
]
WRITES_POSTGRESQL = [
    "TRUNCATE batch CASCADE",
    "SELECT * INTO x FROM history",
    "SELECT * FROM samples FOR UPDATE",
    "SET ROLE postgres",
    "RESET ROLE",
    "SET TRANSACTION READ WRITE",
    "SET statement_timeout = 0",
    "COPY batch TO PROGRAM 'touch /tmp/stolen'",
    "COPY (SELECT 1) TO '/tmp/stolen'",
    "COPY batch FROM PROGRAM 'echo'",
    "GRANT ALL ON batch TO PUBLIC",
    "CREATE ROLE x",
    "CREATE EXTENSION dblink",
    "DO $$ BEGIN DELETE FROM batch; END $$",
    "CALL x()",
    "LISTEN x",
    "LOCK TABLE batch",
    "PREPARE x AS DELETE FROM batch",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT set_config('role', 'postgres', true)",
    "SELECT set_config('session_authorization', 'postgres', false)",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_create(4711)",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_from_bytea(4711, 'x')",
    "SELECT nextval('batch_id_seq')",
    "SELECT setval('batch_id_seq', 4711)",
    "SELECT * FROM dblink('dbname=postgres', 'DELETE FROM batch') AS x (a integer)",
    "SELECT query_to_xml('DELETE FROM batch', true, true, '')",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT rolpassword FROM pg_authid",
]
#: allowed by PostgreSQL, but without any effect that lasts
WITHOUT_EFFECT = [
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT set_config('default_transaction_read_only', 'off', false)",
    "SELECT pg_notify('x', 'y')",
    "SELECT pg_advisory_lock(7305921684)",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT pg_cancel_backend(pg_backend_pid())",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "SELECT txid_current()",
]
BOMBS = [
    LONG,
    "with recursive c(x) as (select 1 union all select x + 1 from c) select x from c order by x desc",
    "with recursive c(x) as (select 1 union select x + 1 from c) select max(x) from c",
    "select " + "(" * 400_000 + "1" + ")" * 400_000,
    "select count(*) from " + ", ".join(f"(values (1), (2), (3), (4), (5), (6), (7), (8)) t{i}" for i in range(12)),
]
BOMBS_SQLITE = [
    "select zeroblob(1000000000)",
    "select randomblob(1000000000)",
    "select hex(randomblob(30000000))",
    "select printf('%.*c', 1000000000, 'x')",
    "select replace(hex(zeroblob(10000000)), '00', 'xxxxxxxxxxxxxxxx')",
    "select " + ", ".join(["randomblob(32000000)"] * 60),
    "with recursive c(x) as (select 1 union all select x + 1 from c) select group_concat(x) from c",
    "with recursive c(x) as (select 1 union all select x + 1 from c) select group_concat(hex(randomblob(9999))) from c",
    # one step that can't be interrupted: half a minute
    "select instr(replace(hex(zeroblob(1000000)), '0', 'a'), replace(hex(zeroblob(500000)), '0', 'a') || 'b')",
    "select " + ", ".join("1" for _ in range(5000)),
]
BOMBS_POSTGRESQL = [
    "select pg_sleep(1000)",
    "select count(pg_sleep(0.1)) from generate_series(1, 1000000000000)",
    "select count(*) from generate_series(1, 1000000000000)",
    "select string_agg(repeat('x', 1000000), '') from generate_series(1, 1000000)",
    "select repeat('x', 100000000) from generate_series(1, 1000)",
    "select set_config('statement_timeout', '0', true), pg_sleep(1000)",
    # the timeout is switched off by the first thousand rows, and the rest takes for ever
    "select set_config('statement_timeout', '0', true), case when x > 1500 then pg_sleep(1000) end"
    " from generate_series(1, 3000) x",
    "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where sin(a) * cos(b) > 2",
]
SHADOWS = [
    "with history as (select * from batch) select * from history",
    "with HISTORY as (select * from batch) select * from history",
    'with "history" as (select * from batch) select * from history',
    "with 'history' as (select * from batch) select * from history",
    "with [history] as (select * from batch) select * from history",
    "with history(a) as (select 1 union all select name from batch) select * from history",
    "with a as (with history as materialized (select * from batch) select * from history) select * from a",
]
TABLES = [
    "select * from batch",
    "select count(*) from batch",
    "select id from batch",
    "select b.name from batch b",
    "select * from history, batch",
    "select (select name from batch)",
    "select 1 from batches where exists (select name from batch)",
    "with x as (select * from batch) select * from x",
    "select * from (select * from batch) as history",
    "select * from alembic_version",
]


def ask(url: str, statement: str, timeout_seconds: float = 20.0) -> list[tuple[object, ...]]:
    with select(url, statement, timeout_seconds=timeout_seconds) as rows:
        return list(rows)


def refusal(url: str, statement: str, timeout_seconds: float = 20.0) -> str:
    """Return the sentence with which a statement is refused."""
    with pytest.raises(QueryError) as caught:
        ask(url, statement, timeout_seconds)
    return sentence(caught.value)


def sentence(error: QueryError) -> str:
    message = str(error)
    assert message
    assert "\n" not in message
    assert len(message) < 400
    return message


def unread(text: str) -> Statement:
    return Statement(text, frozenset(), frozenset())


def fill(url: str) -> None:
    database = Database(url)
    with database.write() as connection:
        connection.execute(insert(batch).values(name="first", sweep_hash="x", priority=5, created_at=1.5e9))
    database.dispose()


def everything(url: str) -> list[object]:
    """Return what must not change: every row of every table, what there is besides, and the files beside the file."""
    database = Database(url)
    with database.read() as connection:
        found: list[object] = [connection.execute(sa_select(table)).all() for table in metadata.sorted_tables]
        if database.is_sqlite:
            found.append(connection.exec_driver_sql("SELECT * FROM sqlite_master").all())
            folder = Path(url.removeprefix("sqlite:///")).parent
            found.append(sorted(path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))))
        else:
            for catalog in (
                "pg_class",
                "pg_roles",
                "pg_largeobject_metadata",
                "pg_sequences",
                "pg_proc",
                "pg_extension",
            ):
                key = {"pg_sequences": "schemaname, sequencename", "pg_extension": "extname"}.get(catalog, "oid")
                columns = "oid, relname, relacl::text" if catalog == "pg_class" else "*"
                if catalog in ("pg_roles", "pg_largeobject_metadata", "pg_proc"):
                    columns = "oid"
                rows = connection.exec_driver_sql(f"SELECT {columns} FROM {catalog} ORDER BY {key}").all()
                found.append([tuple(map(str, row)) for row in rows])
    database.dispose()
    return found


@pytest.fixture(scope="module")
def sqlite_history(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("attacked") / "history.db"
    shutil.copyfile(sqlite_template, path)
    url = f"sqlite:///{path}"
    fill(url)
    before = everything(url)
    yield url
    assert everything(url) == before


@pytest.fixture(scope="module")
def postgresql_history(postgresql_server: PostgreSQLServer, postgresql_template: str) -> Iterator[str]:
    name = "attacked"
    postgresql_server.execute("CREATE DATABASE {name} TEMPLATE {template}", name=name, template=postgresql_template)
    url = postgresql_server.url(name)
    fill(url)
    before = everything(url)
    yield url
    assert everything(url) == before
    postgresql_server.execute("DROP DATABASE {name} WITH (FORCE)", name=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def history_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_history")
    return url


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


@pytest.mark.parametrize("statement", WRITES)
def test_nothing_can_be_written(history_url: str, statement: str) -> None:
    assert refusal(history_url, statement)


@pytest.mark.parametrize("statement", WRITES_SQLITE)
def test_nothing_can_be_written_or_reached_on_sqlite(sqlite_history: str, statement: str) -> None:
    assert refusal(sqlite_history, statement)


@pytest.mark.parametrize("statement", WRITES_POSTGRESQL)
def test_nothing_can_be_written_or_reached_on_postgresql(postgresql_history: str, statement: str) -> None:
    assert refusal(postgresql_history, statement)


@pytest.mark.parametrize("statement", [*WRITES, *WRITES_SQLITE])
def test_sqlite_itself_refuses_them_unread(sqlite_history: str, statement: str) -> None:
    with pytest.raises(QueryError) as caught:
        list(Rows(SqliteReader(sqlite_history, unread(statement), 5.0)))
    assert sentence(caught.value)


@pytest.mark.parametrize("statement", [*WRITES, *WRITES_POSTGRESQL])
def test_postgresql_itself_refuses_them_unread(postgresql_history: str, statement: str) -> None:
    login = reader_login_url(postgresql_history)
    with pytest.raises(QueryError) as caught:
        list(Rows(PostgresqlReader(login, unread(statement), 5.0)))
    assert sentence(caught.value)


@pytest.mark.parametrize("statement", WITHOUT_EFFECT)
def test_what_postgresql_allows_does_not_last(postgresql_history: str, statement: str) -> None:
    with suppress(QueryError):
        ask(postgresql_history, statement)
    settings = "select current_setting('transaction_read_only'), current_setting('statement_timeout')"
    assert ask(postgresql_history, settings) == [("on", "20s")]
    database = Database(postgresql_history)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT pg_try_advisory_lock(7305921684)").scalar() is True
    database.dispose()


@pytest.mark.parametrize("statement", TABLES)
def test_a_table_behind_the_views_is_refused_with_the_views_names(history_url: str, statement: str) -> None:
    message = refusal(history_url, statement)
    assert "lies behind the views" in message
    assert "batches" in message


@pytest.mark.parametrize("statement", SHADOWS)
def test_a_with_clause_can_not_pass_itself_off_as_a_view(sqlite_history: str, statement: str) -> None:
    assert "is taken by a view" in refusal(sqlite_history, statement)


def test_a_with_clause_named_like_one_within_a_view_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE secret (a)")
        connection.execute("CREATE VIEW shown AS WITH inner AS (SELECT a FROM secret) SELECT a FROM inner")
        connection.execute("INSERT INTO secret VALUES (42)")
        connection.commit()
    url = f"sqlite:///{path}"
    assert ask(url, "select a from shown") == [(42,)]
    assert "is taken by a view" in refusal(url, "with inner as (select * from secret) select * from inner")
    assert "lies behind" in refusal(url, "with other as (select * from secret) select * from other")


@pytest.mark.parametrize("statement", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_is_stopped_in_time(history_url: str, statement: str) -> None:
    assert_stopped(history_url, statement)


@pytest.mark.parametrize("statement", BOMBS_SQLITE, ids=range(len(BOMBS_SQLITE)))
def test_a_bomb_for_sqlite_is_stopped_in_time(sqlite_history: str, statement: str) -> None:
    assert_stopped(sqlite_history, statement)


@pytest.mark.parametrize("statement", BOMBS_POSTGRESQL, ids=range(len(BOMBS_POSTGRESQL)))
def test_a_bomb_for_postgresql_is_stopped_in_time(postgresql_history: str, statement: str) -> None:
    assert_stopped(postgresql_history, statement)


def assert_stopped(url: str, statement: str) -> None:
    started = time.monotonic()
    assert refusal(url, statement, timeout_seconds=0.5)
    assert time.monotonic() - started < 8


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
