"""`web`: what it refuses, and the real process from its start to Ctrl-C."""

import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from db.engine import Database
from tests.cli.conftest import Command
from tests.commands import command, environment


def test_other_machines_need_a_token(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("web", "--host", "0.0.0.0", "--port", "0")
    assert done.code == 2
    assert "BENCHBEAT_WEB_TOKEN" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_short_token_is_refused(benchbeat: Command, nights: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBEAT_WEB_TOKEN", "short")
    done = benchbeat("web", "--port", "0")
    assert done.code == 2
    assert "short" not in done.err


def test_a_taken_port_is_said(benchbeat: Command, nights: Database) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = benchbeat("web", "--port", port)
    assert (done.code, done.out) == (2, "")
    assert f"port {port} is taken" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(home: Path, nights: Database, number: signal.Signals) -> None:
    process = subprocess.Popen(
        command("web", "--port", "0"),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address + "runs", timeout=20) as answer:
            assert b"smollm2-135m" in answer.read()
            assert "Server" not in answer.headers
        _smuggle(address)
    finally:
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in err


def _smuggle(address: str) -> None:
    """Send requests that hide another one in them: each connection is closed before that would be answered."""
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    hidden = "GET /runs.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for framing in (
        f"Content-Length: {len(hidden)}\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(f"POST /sql HTTP/1.1\r\nHost: 127.0.0.1\r\n{framing}\r\n{hidden}".encode())
            connection.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: connection.recv(65536), b""))
        assert said.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 5"))
        assert b"smollm2" not in said
