"""The attack list: writing, reaching further than the views, and wasting time and memory."""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from bench.errors import QueryError
from db.engine import Database
from db.reader_role import reader_login_url
from db.readonly import Rows
from db.readonly_postgresql import PostgresqlReader
from db.readonly_sqlite import SqliteReader
from db.statement import Statement
from tests.db.asking import LONG, ask, refusal, sentence

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


def unread(text: str) -> Statement:
    return Statement(text, frozenset(), frozenset())


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


def test_a_mountain_of_parentheses_is_dealt_with_in_time(history_url: str) -> None:
    started = time.monotonic()
    with suppress(QueryError):  # the newest SQLite has no limit here, and answers
        ask(history_url, "select " + "(" * 50_000 + "1" + ")" * 50_000)
    assert time.monotonic() - started < 15
