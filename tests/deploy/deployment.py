"""The services of docker-compose.yml in processes of this machine."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis

from tests.commands import ROOT, UNWATCHED
from tests.deploy.certificates import make_certificates, tls_end
from tests.deploy.compose import BASE, TLS, Ground, command_of, environment_of, read_compose, read_environment
from tests.deploy.servers import (
    free_port,
    postgresql_programs,
    redis_speaks_tls,
    running_postgresql,
    running_redis,
)
from tests.services import stop_process

_TIMEOUT_SECONDS = 120.0


class Deployment:
    """All services of a compose file, with their servers running."""

    def __init__(self, services: Mapping[str, Any], ground: Ground, variables: Mapping[str, str]) -> None:
        self.services, self.ground, self.variables = services, ground, variables
        self.programs: Path = Path()
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service's process, with a home of its own and short pauses."""
        home = self.ground.volume(f"{name}-data")
        return environment_of(
            self.services[name],
            self.ground,
            BENCHBEAT_HOME=str(home),
            XDG_CONFIG_HOME=str(home / "config"),
            BENCHBEAT_TICK_SECONDS="0.5",
            BENCHBEAT_LEASE_SECONDS="3",
            **UNWATCHED,
        )

    def run(self, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a service to its end; `words` take the place of its command, as with `docker compose run`."""
        service = self.services[name] | ({"command": list(words)} if words else {})
        return subprocess.run(
            command_of(service, self.ground),
            env=self.environment(name),
            cwd=self.ground.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        """Return a service's process, started unless it runs."""
        if name not in self._started or self._started[name].poll() is not None:
            with (self.ground.folder / f"{name}.log").open("ab") as log:
                self._started[name] = subprocess.Popen(
                    command_of(self.services[name], self.ground),
                    env=self.environment(name),
                    cwd=self.ground.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        return self._started[name]

    def log(self, name: str) -> str:
        """Return what a service wrote."""
        return (self.ground.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Stop the services."""
        for process in self._started.values():
            stop_process(process)

    def url(self, name: str, variable: str = "BENCHBEAT_DATABASE_URL") -> str:
        """Return a URL of a service, as its process gets it."""
        return self.environment(name)[variable]

    def redis(self, user: str) -> "Redis":
        """Return a client of Redis as one of its users."""
        services = {"submitter": "benchbeat", "beat": "beat", "worker": "worker-cpu"}
        url = self.url("flower", "CELERY_BROKER_URL")
        if user in services:
            url = self.url(services[user], "BENCHBEAT_BROKER_URL")
        if user == "admin":
            password = self.variables["REDIS_FLOWER_PASSWORD"]
            url = url.replace("//flower:", "//admin:").replace(password, self.variables["REDIS_ADMIN_PASSWORD"])
        return Redis.from_url(url, decode_responses=True, protocol=2)

    def database(self, name: str, variable: str = "BENCHBEAT_DATABASE_URL") -> "psycopg.Connection[Any]":
        """Return a connection to PostgreSQL with a service's login."""
        return psycopg.connect(self.url(name, variable), autocommit=True)


def variables_of(folder: Path) -> dict[str, str]:
    """Return the .env that deploy/make-env.sh makes."""
    file = folder / ".env"
    make_env(file)
    return read_environment(file)


def make_env(file: Path) -> "subprocess.CompletedProcess[str]":
    """Run deploy/make-env.sh for a file."""
    script = ROOT / "deploy" / "make-env.sh"
    return subprocess.run(["sh", script], env=os.environ | {"ENV_FILE": str(file)}, capture_output=True, text=True)


@contextmanager
def deployment(folder: Path, server_folder: Path, *, tls: bool) -> Iterator[Deployment]:
    """Run the servers of the compose file, with TLS ends before those that speak none; stop everything at the end."""
    with ExitStack() as stack:
        certificates = make_certificates(folder / "certificates", "127.0.0.1") if tls else folder
        programs = postgresql_programs(tls=tls)
        ends = {"postgres": tls and programs is None, "redis": tls and not redis_speaks_tls(folder)}
        programs = programs or postgresql_programs(tls=False)
        assert programs
        ports = {"postgres": free_port(), "redis": free_port()}
        variables = variables_of(folder)
        words = {"6379": str(ports["redis"]), "--port=5555": f"--port={free_port()}"}
        words["--address=0.0.0.0"] = "--address=127.0.0.1"
        inside = Ground(folder, certificates, {}, words)
        plain = read_compose(BASE, variables=variables)
        services = read_compose(BASE, TLS, variables=variables) if tls else plain

        def served(name: str) -> Any:
            return (plain if ends[name] else services)[name]

        secure: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(certificates / "ca.crt")}
        options = secure if tls and not ends["redis"] else {}
        stack.enter_context(running_redis(served("redis"), inside, ports["redis"], **options))
        own = tls and not ends["postgres"]
        stack.enter_context(
            running_postgresql(served("postgres"), inside, programs, ports["postgres"], server_folder, tls=own)
        )
        for name in ("postgres", "redis"):
            if ends[name]:
                ports[name] = stack.enter_context(tls_end(ports[name], certificates, name))
        places = {"postgres:5432": f"127.0.0.1:{ports['postgres']}", "redis:6379": f"127.0.0.1:{ports['redis']}"}
        made = Deployment(services, Ground(folder, certificates, places, words), variables)
        made.programs = programs
        stack.callback(made.close)
        yield made
