"""The services' logs: what a line says, and that no password stands in one."""

import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.reader_role import reader_password
from db.settings import Settings
from scheduler import logs
from scheduler.logs import (
    FIELDS,
    JsonFormatter,
    Redactor,
    TextFormatter,
    log_context,
    name_process,
    redactor,
    set_up_logging,
    with_log_context,
)
from tests.commands import run_python

#: as it is meant, and as it stands in a URL
PASSWORD = 'p@ss:w"rd/ü'
QUOTED = quote(PASSWORD, safe="")
DATABASE = f"postgresql://me:{QUOTED}@db.example.com:5432/history"
BROKER = "rediss://:broker-word@redis.example.com:6379/0"
TOKEN = "hf_" + "A1" * 17

log = logging.getLogger("benchbeat.test")


def settings(home: Path, **given: str) -> Settings:
    """Return settings with passwords."""
    return Settings(home=home, **{"database_url": DATABASE, "broker_url": BROKER, **given})


@pytest.fixture
def undone() -> Iterator[None]:
    """Put back what logging is set up with."""
    from celery.signals import setup_logging

    root, ours, hook = logging.getLogger(), logging.getLogger("benchbeat"), threading.excepthook
    before, levels = root.handlers[:], (root.level, ours.level)
    yield
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    threading.excepthook = hook
    logging.captureWarnings(False)
    setup_logging.disconnect(logs._logging_is_set_up)


@pytest.fixture
def file(home: Path, undone: None) -> Path:
    """Give a log as JSON, set up."""
    set_up_logging(settings(home, log_format="json"), file=home / "logs" / "worker.log")
    return home / "logs" / "worker.log"


def lines(file: Path) -> list[dict[str, object]]:
    """Return the objects of a log."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


# --- what a line says


def test_a_line_of_json_says_when_how_bad_who_and_what(file: Path) -> None:
    before = datetime.now(UTC)
    log.warning("the %s is\naway", "database")
    [line] = lines(file)
    assert list(line) == ["time", "level", "logger", "message"]
    assert (line["level"], line["logger"]) == ("warning", "benchbeat.test")
    assert line["message"] == "the database is\naway"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["time"]))
    assert abs((datetime.fromisoformat(str(line["time"])) - before).total_seconds()) < 60


def test_an_exception_is_one_field(file: Path) -> None:
    try:
        raise ValueError("said so")
    except ValueError:
        log.exception("it failed")
    [line] = lines(file)
    assert line["message"] == "it failed"
    assert str(line["exception"]).startswith("Traceback (most recent call last):\n")
    assert str(line["exception"]).endswith("ValueError: said so")


def test_a_line_says_what_it_is_about(file: Path) -> None:
    name_process(machine="mac", worker="mac-mps-1")
    with log_context(batch=3, job=7), log_context(attempt=2):
        log.info("inside")
        log.info("another", extra={"job": 8})
    log.info("outside")
    inside, another, outside = lines(file)
    about = {"machine": "mac", "worker": "mac-mps-1"}
    assert {name: inside[name] for name in inside if name in FIELDS} == {**about, "batch": 3, "job": 7, "attempt": 2}
    assert another["job"] == 8
    assert {name: outside[name] for name in outside if name in FIELDS} == about


def test_a_context_is_its_thread_s_own_unless_it_is_carried(file: Path) -> None:
    with log_context(job=7):
        threads = [threading.Thread(target=log.info, args=("own",))]
        threads += [threading.Thread(target=with_log_context(log.info), args=("carried",))]
    for thread in threads:
        thread.start()
        thread.join()
    own, carried = lines(file)
    assert ("job" in own, carried["job"]) == (False, 7)


def test_a_context_ends_also_with_an_error(file: Path) -> None:
    with pytest.raises(ValueError, match="over"), log_context(job=7):
        raise ValueError("over")
    log.info("after")
    assert "job" not in lines(file)[0]


def test_a_thread_that_fails_is_logged(file: Path) -> None:
    def fail() -> None:
        raise ValueError(f"can't reach {BROKER}")

    thread = threading.Thread(target=fail, name="tick")
    thread.start()
    thread.join()
    [line] = lines(file)
    assert (line["level"], line["message"]) == ("critical", "the thread tick ended by an error")
    assert str(line["exception"]).endswith("ValueError: can't reach rediss://redis.example.com:6379/0")


def test_text_is_a_line_with_the_traceback_below(home: Path, undone: None, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(settings(home))
    with log_context(job=7):
        log.info("job 7: done")
    log.debug("too much")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO job 7: done\n", capsys.readouterr().err)
    set_up_logging(settings(home), verbose=True)
    log.debug("once")
    assert capsys.readouterr().err.count("once") == 1


def test_libraries_and_celery_log_in_the_same_way(home: Path) -> None:
    code = """
import logging, sys, warnings
from pathlib import Path
from db.settings import load_settings
from scheduler.app import make_app
from scheduler.logs import set_up_logging
set_up_logging(load_settings()[0])
app = make_app("redis://:secret-word@127.0.0.1:1/0")
app.log.setup(loglevel="WARNING")
logging.getLogger("celery.worker").warning("Cannot connect to redis://:secret-word@127.0.0.1:1/0: refused")
logging.getLogger("celery.task").warning("a task")
warnings.warn("redis://:secret-word@host is odd", UserWarning)
"""
    done = run_python(code, BENCHBEAT_LOG_FORMAT="json", BENCHBEAT_BROKER_URL="redis://:secret-word@127.0.0.1:1/0")
    assert done.returncode == 0, done.stderr
    written = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["logger"] for line in written] == ["celery.worker", "celery.task", "py.warnings"]
    assert "secret-word" not in done.stderr
    assert written[0]["message"] == "Cannot connect to redis://127.0.0.1:1/0: refused"


# --- files


def test_a_file_is_set_aside_at_its_size_and_so_many_are_kept(
    home: Path, undone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOG_BYTES", 300)
    file = home / "logs" / "beat.log"
    set_up_logging(settings(home), file=file)
    for number in range(100):
        log.info("line %d", number)
    kept = sorted(file.parent.iterdir())
    assert [each.name for each in kept] == ["beat.log", *(f"beat.log.{number}" for number in range(1, 6))]
    assert max(each.stat().st_size for each in kept) <= 300
    # Nothing between the oldest and the newest is lost.
    said = [int(line.split()[-1]) for each in [*kept[:0:-1], kept[0]] for line in each.read_text().splitlines()]
    assert said == list(range(said[0], 100))


def test_a_log_goes_on_where_an_earlier_process_ended(home: Path, undone: None) -> None:
    file = home / "logs" / "worker.log"
    for word in ("first", "second \udcff"):
        set_up_logging(settings(home), file=file)
        log.info(word)
    assert [line.split()[-1] for line in file.read_text().splitlines()] == ["first", "\\udcff"]


def test_sizes_are_those_of_the_page() -> None:
    assert (logs.LOG_BYTES, logs.LOG_FILES) == (10 * 2**20, 5)


# --- no password


def test_the_settings_passwords_are_hidden_wherever_they_stand(home: Path) -> None:
    redact = redactor(settings(home, reader_url="postgresql://r:reader-word@host/x"), {"HF_TOKEN": "my-hub-token"})
    derived = reader_password(DATABASE)
    assert derived
    for secret in (PASSWORD, QUOTED, "broker-word", "reader-word", "my-hub-token", derived):
        assert redact(f"before {secret} after") == "before *** after"
        assert secret not in redact(repr({"url": secret}) + json.dumps([secret]))
    assert redact(f"{DATABASE} and {BROKER}") == (
        "postgresql://me@db.example.com:5432/history and rediss://redis.example.com:6379/0"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at redis://:unknown@127.0.0.1:6379/0.", "at redis://127.0.0.1:6379/0."),
        ("(postgresql+psycopg://me:unknown@host/db)", "(postgresql+psycopg://me@host/db)"),
        ("'rediss://unknown@host/0'", "'rediss://host/0'"),
        ("sqlite:////home/me/history.db", "sqlite:////home/me/history.db"),
        ("postgresql://me@host/db?sslmode=require&password=unknown", "postgresql://me@host/db?sslmode=require"),
        ("https://example.com/a?b=c%20d", "https://example.com/a?b=c%20d"),
        ("host=h user=me password=unknown dbname=x", "host=h user=me password=*** dbname=x"),
        ("PGPASSWORD='un known' psql", "PGPASSWORD=*** psql"),
        (f"Bearer {TOKEN}", "Bearer ***"),
        ("max_new_token=5 temperature=0", "max_new_token=5 temperature=0"),
        ("http://[broken", "http://[broken"),
        ("redis://:unknown@[broken", "redis://***"),
    ],
)
def test_unknown_passwords_are_hidden_where_they_show_as_such(text: str, shown: str) -> None:
    assert Redactor()(text) == shown


def test_a_short_password_is_hidden_in_urls_only(home: Path) -> None:
    redact = redactor(settings(home, broker_url="redis://:ab@host/0"), {})
    assert redact("a table at redis://:ab@host/0") == "a table at redis://host/0"


def test_a_home_without_passwords_hides_nothing(home: Path) -> None:
    assert redactor(Settings(home=home), {})("nothing to hide") == "nothing to hide"


_TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="*")


@given(st.text(_TEXT, min_size=4, max_size=20), st.text(_TEXT, max_size=30))
def test_a_known_password_never_comes_through(password: str, around: str) -> None:
    url = f"redis://:{quote(password, safe='')}@host/0"
    redact = redactor(Settings(home=Path("/home"), broker_url=url), {})
    try:
        raise ValueError(f"{around}{password}{around}")
    except ValueError as error:
        said = {"msg": "%s %r at %s", "args": (error, [password], url), "exc_info": sys.exc_info()}
    record = logging.makeLogRecord({"name": "benchbeat", **said})
    line = json.loads(JsonFormatter(redact).format(record))
    for text in (TextFormatter(redact).format(record), line["message"], line["exception"]):
        assert password not in text


def test_a_crash_shows_no_password(file: Path) -> None:
    try:
        url = DATABASE
        raise RuntimeError(f"could not connect with {url!r}")
    except RuntimeError:
        log.exception("the tick failed with %s", BROKER)
    text = file.read_text()
    for secret in (PASSWORD, QUOTED, "broker-word"):
        assert secret not in text
    assert "postgresql://me@db.example.com" in text
