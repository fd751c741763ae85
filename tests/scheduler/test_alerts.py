"""Messages about schedules' batches: when there is one, what it says, and that it is sent once."""

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Row, select, update

from bench.errors import InputError
from db.engine import Database, now
from db.jobs import fail_job
from db.runs import store_measurement
from db.tables import alert, job
from scheduler.alerts import Message, Send, Sent, senders, tell
from scheduler.watch import watch
from tests.db import builders
from tests.db.builders import add_jobs, add_worker, claimed_by, job_row, measurement, new_job
from tests.scheduler.test_watch import QUIET


class Recorder:
    """A way of sending that keeps what it is given."""

    def __init__(self, outcome: Sent | None = None) -> None:
        self.outcome = outcome or Sent(True)
        self.messages: list[Message] = []

    def __call__(self, message: Message) -> Sent:
        self.messages.append(message)
        return self.outcome


def nightly(database: Database, jobs: int = 1) -> list[int]:
    """Queue a schedule's batch."""
    return add_jobs(database, [new_job(builders.SPEED_SPEC)] * jobs, schedule="nightly")


def measured(database: Database, seconds: float = 0.5) -> None:
    worker = add_worker_once(database)
    claimed = claimed_by(database, worker)
    assert store_measurement(
        database, claimed.id, claimed.attempt, "machine-a", measurement({"latency_seconds": seconds})
    )


def add_worker_once(database: Database) -> Any:
    number = len(builders.runs(database)) + 1
    return add_worker(database, f"worker-{number}", queues=("any.4", "machine.machine-a.cpu"))


def failed(database: Database, reason: str) -> None:
    claimed = claimed_by(database, add_worker(database, f"failing-{reason}"))
    fail_job(database, claimed.id, claimed.attempt, error=reason, max_attempts=1)


def alerts(database: Database) -> list[Row[Any]]:
    with database.read() as connection:
        return list(connection.execute(select(alert).order_by(alert.c.batch_id)))


def expire(database: Database) -> None:
    """Let the time pass after which a message is tried again."""
    with database.write() as connection:
        connection.execute(update(alert).values(lease_until=now() - 1.0))


def test_a_batch_in_which_all_is_well_is_no_message(database: Database) -> None:
    way = Recorder()
    nightly(database)
    assert tell(database, [way]) == []  # it has not ended
    measured(database)
    watch(database)
    assert tell(database, [way]) == []
    assert [row.state for row in alerts(database)] == ["quiet"]
    assert way.messages == []


def test_a_batch_that_nobody_scheduled_is_no_message(database: Database) -> None:
    add_jobs(database, [new_job(builders.SPEED_SPEC)])
    failed(database, "gone")
    assert tell(database, [Recorder()]) == []
    assert alerts(database) == []


def test_failures_are_told_once_with_their_reasons(database: Database) -> None:
    way = Recorder()
    (batch_id,) = {job_row(database, job_id).batch_id for job_id in nightly(database, 3)}
    failed(database, "the model is gated")
    failed(database, "the hub can't be reached")
    measured(database)
    assert tell(database, [way]) == []  # a run waits to be judged
    watch(database)
    (told,) = tell(database, [way])
    assert (told.batch_id, told.arrived, told.title) == (batch_id, True, "benchbeat nightly: 2 failed")
    assert tell(database, [way]) == []
    (message,) = way.messages
    assert "3 jobs, 1 done, 2 failed, 0 cancelled" in message.body
    assert "  1 x the model is gated\n" in message.body
    assert message.facts["KIND"] == "failure"
    (row,) = alerts(database)
    assert (row.state, row.title, row.body, row.error) == ("sent", message.title, message.body, None)


def test_a_batch_that_measured_nothing_says_so(database: Database) -> None:
    nightly(database)
    failed(database, "gone")
    (told,) = tell(database, [Recorder()])
    assert told.title == "benchbeat nightly: 1 failed, nothing measured"


def test_a_slow_down_is_told_when_it_is_confirmed_and_not_before(database: Database) -> None:
    way = Recorder()
    for value in QUIET:
        nightly(database)
        measured(database, value)
        watch(database)
        assert tell(database, [way]) == []
    nightly(database)
    measured(database, 0.6)
    state = watch(database)[0].state
    while state == "suspected":
        assert tell(database, [way]) == []
        measured(database, 0.6)
        state = watch(database)[0].state
    assert state == "confirmed"
    (told,) = tell(database, [way])
    assert told.title == "benchbeat nightly: 1 slower"
    assert "Slower, confirmed by" in way.messages[0].body
    assert "nothing that is recorded changed with it" in way.messages[0].body
    assert way.messages[0].facts["SLOWER"] == "1"
    nightly(database)
    measured(database, 0.6)
    watch(database)
    assert tell(database, [way]) == []  # alerted once


def test_a_suspicion_that_was_none_is_silence(database: Database) -> None:
    for value in (*QUIET, 0.6):
        nightly(database)
        measured(database, value)
        watch(database)
    measured(database, 0.5)
    assert watch(database)[0].state == "refuted"
    assert tell(database, [Recorder()]) == []
    assert {row.state for row in alerts(database)} == {"quiet"}


def test_who_is_faster_sends_it_alone(database: Database) -> None:
    nightly(database)
    failed(database, "gone")
    others = Recorder()

    def slow(message: Message) -> Sent:
        assert tell(database, [others]) == []
        return Sent(True)

    assert [each.arrived for each in tell(database, [slow])] == [True]
    assert others.messages == []


def test_what_did_not_arrive_is_tried_again_later_but_not_for_ever(database: Database) -> None:
    way = Recorder(Sent(False, "the mail server is away"))
    nightly(database)
    failed(database, "gone")
    for _ in range(5):
        (told,) = tell(database, [way])
        assert (told.arrived, told.error) == (False, "the mail server is away")
        assert tell(database, [way]) == []
        expire(database)
    assert tell(database, [way]) == []
    (row,) = alerts(database)
    assert (row.state, row.tries, row.error) == ("failed", 5, "the mail server is away")


def test_what_arrived_one_way_is_not_sent_again_for_the_other(database: Database) -> None:
    ways: list[Send] = [Recorder(), Recorder(Sent(False, "no such channel"))]
    nightly(database)
    failed(database, "gone")
    (told,) = tell(database, ways)
    assert (told.arrived, told.error) == (True, "no such channel")
    expire(database)
    assert tell(database, ways) == []


def test_who_listens_from_now_on_hears_nothing_of_last_week(database: Database) -> None:
    (job_id,) = nightly(database)
    failed(database, "gone")
    with database.write() as connection:
        connection.execute(update(job).where(job.c.id == job_id).values(finished_at=now() - 7 * 86_400.0))
    assert tell(database, [Recorder()]) == []
    assert alerts(database)[0].state == "quiet"


MESSAGE = Message("benchbeat nightly: 1 failed", "one line\nanother", {"KIND": "failure", "BATCH": "7"})

_COMMAND = """
import json, os, sys
names = ("BENCHBEAT_ALERT_TITLE", "BENCHBEAT_ALERT_KIND", "BENCHBEAT_ALERT_BATCH", "BENCHBEAT_DATABASE_URL")
facts = {name: os.environ.get(name) for name in names}
json.dump(facts | {"body": sys.stdin.read()}, open(sys.argv[1], "w"))
"""


def test_a_command_gets_the_message_and_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBEAT_DATABASE_URL", "postgresql://me:sesame@host/db")
    script, heard = tmp_path / "tell me.py", tmp_path / "heard.json"
    script.write_text(_COMMAND)
    (way,) = senders(None, f"{sys.executable} '{script}' {heard}")
    assert way(MESSAGE) == Sent(True)
    assert json.loads(heard.read_text()) == {
        "BENCHBEAT_ALERT_TITLE": MESSAGE.title,
        "BENCHBEAT_ALERT_KIND": "failure",
        "BENCHBEAT_ALERT_BATCH": "7",
        "BENCHBEAT_DATABASE_URL": None,
        "body": "one line\nanother\n",
    }


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    (way,) = senders(None, f"{sys.executable} -c 'import sys; sys.exit(\"no network\")'")
    assert way(MESSAGE) == Sent(False, f"{sys.executable} ended with exit code 1: no network")
    script = tmp_path / "tell-me"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (way,) = senders(None, f"{script} --now")
    script.unlink()
    assert way(MESSAGE) == Sent(False, f"there is no command {script}")


@pytest.mark.parametrize(
    ("urls", "command", "said"),
    [
        ("json://127.0.0.1:1 nosuch://sesame", None, "target 2 (nosuch) is none that apprise knows"),
        ("sesame", None, "target 1 (no scheme) is none that apprise knows"),
        ("htps://hooks.example.com/sesame", None, "target 1 (htps) is none that apprise knows"),
        (None, "mail 'me", "can't be read"),
        (None, "no-such-command-here --now", "there is no command 'no-such-command-here'"),
    ],
)
def test_a_target_that_is_none_is_refused_without_its_password(
    urls: str | None, command: str | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError) as caught:
        senders(urls, command)
    assert "sesame" not in caplog.text
    assert said in str(caught.value)
    assert "BENCHBEAT_ALERT_" in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_without_targets_there_is_no_way() -> None:
    assert senders(None, None) == senders(" ", " ") == []


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give a webhook on loopback, and what it hears."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/hook", heard
    server.shutdown()
    server.server_close()


def test_apprise_reaches_a_webhook(hook: tuple[str, list[dict[str, Any]]]) -> None:
    url, heard = hook
    (way,) = senders(url, None)
    assert way(MESSAGE) == Sent(True)
    (posted,) = heard
    assert (posted["title"], posted["message"]) == (MESSAGE.title, MESSAGE.body)


def test_a_webhook_that_is_away_is_named(hook: tuple[str, list[dict[str, Any]]]) -> None:
    url, heard = hook
    (way,) = senders(f"{url} json://127.0.0.1:9/away", None)
    outcome = way(MESSAGE)
    assert outcome.arrived
    assert outcome.error is not None
    assert outcome.error.startswith("not delivered by ")
    assert len(heard) == 1
