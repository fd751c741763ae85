"""Passwords of the database and of Redis, and the hub's token, are shown nowhere while the whole stack works."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from redis import Redis
from sqlalchemy import make_url, select

from db.tables import metadata
from scheduler.app import make_app
from tests.commands import run_command
from tests.services import RedisServer, running_postgresql, running_redis
from tests.waiting import wait_until
from tests.worker.processes import START_SECONDS, Stack, model_tables, stack

DATABASE_WORD = "p@ss-of-the/database"
BROKER_WORD = "word-of-the-broker"
TOKEN = "token-of-the-hub"
WEB_TOKEN = "token-of-the-web-pages"
SECRETS = (DATABASE_WORD, "p%40ss-of-the", BROKER_WORD, TOKEN, WEB_TOKEN)

#: commands that need the database or Redis
COMMANDS = (
    ("status",),
    ("history",),
    ("sql", "select 1"),
    ("cancel", "1"),
    ("db", "check"),
    ("db", "upgrade"),
    ("worker",),
    ("beat",),
    ("up",),
    ("submit", "--model", "smollm2-135m", "--workload", "facts", "--items", "1"),
    ("doctor",),
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a Redis that asks for a password."""
    with running_redis(tmp_path_factory.mktemp("guarded")) as server:
        with Redis.from_url(server.url) as client:
            client.config_set("requirepass", BROKER_WORD)
        yield server


@pytest.fixture
def it(tmp_path: Path, tiny_qwen: Path, postgresql_url: str, guarded: RedisServer) -> Iterator[Stack]:
    """Give a stack whose every service has a password, that logs as JSON and takes remote control."""
    database = make_url(postgresql_url).set(password=DATABASE_WORD).render_as_string(hide_password=False)
    with stack(
        tmp_path,
        database,
        {"tiny-qwen": tiny_qwen},
        BENCHBEAT_BROKER_URL=f"redis://:{BROKER_WORD}@127.0.0.1:{guarded.port}/0",
        BENCHBEAT_LOG_FORMAT="json",
        BENCHBEAT_REMOTE_CONTROL="true",
        BENCHBEAT_WEB_TOKEN=WEB_TOKEN,
        HF_TOKEN=TOKEN,
    ) as made:
        yield made


def assert_no_secret(text: str, where: str) -> None:
    """No secret stands in a text."""
    assert [secret for secret in SECRETS if secret in text] == [], where


def test_the_whole_stack_shows_no_password_and_says_what_it_does(it: Stack) -> None:
    up = it.up()
    (it.folder / "gone").mkdir()
    empty = model_tables({"gone": it.folder / "gone"})
    broken = it.submit(empty + '[[sweep]]\nmodel = "gone"\nworkload = "speed"\nprompt_tokens = 4\nnew_tokens = 2\n')
    it.wait_ended(broken)
    assert [each.state for each in it.jobs(broken)] == ["failed"]
    batch = it.submit_speed(2)
    it.wait_ended(batch)

    # ps
    ours = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = " ".join(process.cmdline())
            assert_no_secret(line, line)
            ours += str(it.home) in line
    assert ours >= 3  # worker, beat and a session
    [worker] = [each for each in psutil.Process(up.pid).children() if "worker" in each.cmdline()]
    [session] = [each for each in worker.children() if "worker.session" in each.cmdline()]
    inherited = session.environ()
    assert not {"BENCHBEAT_DATABASE_URL", "BENCHBEAT_BROKER_URL", "BENCHBEAT_WEB_TOKEN"} & set(inherited)
    assert inherited["HF_TOKEN"] == TOKEN  # weights are fetched with it

    # Remote control was asked for.
    app = make_app(it.broker)
    wait_until(lambda: app.control.ping(timeout=0.5), "the worker answers", START_SECONDS)
    app.close()

    asked = it.call(
        "sql", "SELECT libraries ->> 'launch' AS launched_by, count(*) FROM history GROUP BY 1", "-o", "json"
    )
    [row] = json.loads(asked.stdout)
    assert (row["launched_by"].split()[0], row["count"]) == ("up", 2)

    up.terminate()
    assert up.wait(60) == 0

    # The logs, as they were asked for.
    lines = [json.loads(line) for line in it.log("up").splitlines() if line.startswith("{")]
    [id_of_worker] = [each.id for each in it.workers()]
    done = [line for line in lines if line["message"].startswith("job ") and "done" in line["message"]]
    assert [(line["job"], line["batch"], line["attempt"]) for line in done] == [
        (each.id, batch, 1) for each in it.jobs(batch)
    ]
    assert {(line["machine"], line["worker"], line["level"]) for line in done} == {
        ("test-machine", id_of_worker, "info")
    }
    assert_no_secret(it.log("up"), "the log")
    for file in it.home.rglob("*"):
        if file.is_file():
            assert_no_secret(file.read_text(encoding="utf-8", errors="replace"), str(file))

    # The database.
    with it.database.read() as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(select(table)):
                assert_no_secret(str(row), table.name)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_that_fails_shows_no_password(home: Path, guarded: RedisServer, arguments: tuple[str, ...]) -> None:
    away: dict[str, Any] = {
        "BENCHBEAT_DATABASE_URL": "postgresql://me:p%40ss-of-the%2Fdatabase@127.0.0.1:1/history",
        "BENCHBEAT_READER_URL": "postgresql://me:p%40ss-of-the%2Fdatabase@127.0.0.1:1/history",
        "BENCHBEAT_BROKER_URL": f"redis://:{BROKER_WORD}@127.0.0.1:1/0",
        "HF_TOKEN": TOKEN,
    }
    done = run_command(*arguments, "--verbose", **away)
    assert_no_secret(done.stdout + done.stderr, str(arguments))
    if arguments != ("doctor",):
        assert done.returncode != 0
        assert "127.0.0.1" in done.stderr


@pytest.fixture(scope="module")
def strict_postgresql() -> Iterator[Path]:
    """Run a PostgreSQL that asks everybody but its superuser for a password; give its socket's folder."""
    with running_postgresql() as server:
        with psycopg.connect(host=str(server.socket_folder), user="postgres", autocommit=True) as connection:
            rules = connection.execute("SHOW hba_file").fetchone()
            assert rules is not None
            Path(rules[0]).write_text("local all postgres trust\nlocal all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE ROLE me LOGIN PASSWORD 'another'")
        yield server.socket_folder


@pytest.mark.parametrize("arguments", [("status",), ("beat",), ("worker",), ("sql", "select 1")], ids=" ".join)
def test_a_wrong_password_of_the_database_is_not_repeated(
    home: Path, strict_postgresql: Path, arguments: tuple[str, ...]
) -> None:
    url = f"postgresql://me:p%40ss-of-the%2Fdatabase@/postgres?host={strict_postgresql}"
    done = run_command(*arguments, "--verbose", BENCHBEAT_DATABASE_URL=url, BENCHBEAT_BROKER_URL="redis://127.0.0.1:1")
    assert done.returncode == 2
    assert "password authentication failed" in done.stderr
    assert_no_secret(done.stdout + done.stderr, str(arguments))


@pytest.mark.parametrize("arguments", [("beat",), ("worker",)], ids=" ".join)
def test_a_wrong_password_is_not_repeated(home: Path, guarded: RedisServer, arguments: tuple[str, ...]) -> None:
    url = f"redis://:{TOKEN}@127.0.0.1:{guarded.port}/0"
    done = run_command(*arguments, "--verbose", BENCHBEAT_BROKER_URL=url)
    assert done.returncode == 2
    assert "wrong password" in done.stderr
    assert_no_secret(done.stdout + done.stderr, str(arguments))
