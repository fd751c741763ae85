"""Every service of docker-compose.yml as the command it runs, against servers with its users, with and without TLS."""

import base64
import json
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis.exceptions import AuthenticationError, NoPermissionError
from sqlalchemy import text

from bench.errors import UnavailableError
from db.engine import Database
from scheduler.ring import Bell
from tests.deploy.certificates import make_certificates
from tests.deploy.compose import command_of
from tests.deploy.deployment import Deployment, deployment
from tests.waiting import wait_until
from tests.worker import tiny
from tests.worker.processes import START_SECONDS, speed_sweep


@pytest.fixture(scope="module", params=["plain", "tls"])
def it(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    # Not pytest's folder: as root PostgreSQL runs as another user, for whom it is closed.
    server_folder = Path(tempfile.mkdtemp(prefix="benchbeat-pg-"))
    try:
        folder = tmp_path_factory.mktemp(f"deploy-{request.param}")
        with deployment(folder, server_folder, tls=request.param == "tls") as made:
            migrated = made.run("migrate")
            assert migrated.returncode == 0, migrated.stderr
            # A warning would say that `benchbeat sql` can't log in.
            assert migrated.stderr == ""
            yield made
    finally:
        shutil.rmtree(server_folder, ignore_errors=True)


@pytest.fixture(scope="module")
def model(it: Deployment) -> Path:
    """Give a tiny model where the worker opens weights."""
    return tiny.build(it.ground.volume("worker-cpu-data") / "models" / "tiny", "qwen2")


def submit(it: Deployment, model: Path, jobs: int, *options: str) -> int:
    """Submit a sweep as the service `benchbeat`; returns its batch."""
    file = it.ground.folder / "sweep.toml"
    file.write_text(speed_sweep({"tiny": model}, jobs))
    done = it.run("benchbeat", "submit", str(file), "-o", "json", *options)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return int(json.loads(done.stdout)[0]["batch"])


def states(it: Deployment, batch: int) -> list[str]:
    """Return the states of a batch's jobs."""
    with it.database("benchbeat") as connection:
        return [state for (state,) in connection.execute("SELECT state FROM jobs WHERE batch = %s", [batch])]


def jobs_of(it: Deployment, batch: int) -> set[str]:
    """Return what the tasks that ran a batch's jobs return."""
    with it.database("benchbeat") as connection:
        rows = connection.execute("SELECT job_id FROM jobs WHERE batch = %s", [batch])
        return {f"job {number} done" for (number,) in rows}


def a_ring(it: Deployment) -> Any:
    """Return a message as kombu keeps it, which rings for a job that isn't there."""
    with Bell(it.url("benchbeat", "BENCHBEAT_BROKER_URL")) as bell, it.redis("admin") as client:
        bell.ring({"machine.nobody": [10**9]})
        return json.loads(str(client.rpop("machine.nobody")))


def denied(it: Deployment) -> set[tuple[str, str]]:
    """Return who was refused what since the last call."""
    with it.redis("admin") as client:
        entries = client.acl_log()
        client.acl_log_reset()
    return {(each["username"], each["object"]) for each in entries}


def test_migrations_may_run_again(it: Deployment) -> None:
    done = it.run("migrate")
    assert (done.returncode, done.stderr) == (0, "")
    assert "has schema" in done.stdout


def test_the_healthcheck_of_postgresql_passes(it: Deployment) -> None:
    test = it.services["postgres"]["healthcheck"]["test"]
    place = it.ground.places["postgres:5432"].partition(":")[2]
    # Its own TLS end does not know how pg_isready asks: it is asked as the others are.
    command = [it.programs / test[1], *test[2:], "-p", place]
    assert subprocess.run(command, capture_output=True, text=True).returncode == 0


def test_beat_ticks_rings_and_is_refused_nothing(it: Deployment, model: Path) -> None:
    denied(it)
    batch = submit(it, model, 2)
    with it.redis("admin") as client:
        client.delete("any.1")
        it.start("beat")
        wait_until(lambda: client.llen("any.1") == 2, "beat has rung for what nobody rings for", START_SECONDS)

    def seen() -> float:
        with it.database("benchbeat") as connection:
            row = connection.execute("SELECT max(seen_at) FROM beat WHERE stopped_at IS NULL").fetchone()
        return float(row[0] or 0) if row else 0.0

    first = wait_until(seen, "beat has ticked")
    wait_until(lambda: seen() > first, "beat has ticked again")
    assert denied(it) == set()
    assert "tick failed" not in it.log("beat")
    cancelled = it.run("benchbeat", "cancel", "--batch", str(batch))
    assert cancelled.returncode == 0, cancelled.stderr
    assert states(it, batch) == ["cancelled"] * 2


def test_a_worker_runs_a_batch_to_its_end_and_flower_sees_it(it: Deployment, model: Path) -> None:
    denied(it)
    page = it.start("flower")
    asking = FlowerClient(it)
    wait_until(lambda: page.poll() is not None or asking.answers(), "Flower answers", START_SECONDS)
    with it.redis("admin") as client:
        # What a worker kept aside that was lost a month ago.
        client.hset("unacked", "old", json.dumps([a_ring(it), "any.1", "any.1"]))
        client.zadd("unacked_index", {"old": 1.0})
    it.start("worker-cpu")
    batch = submit(it, model, 3)
    wait_until(lambda: set(states(it, batch)) == {"done"}, f"batch {batch} is done", START_SECONDS)
    wait_until(lambda: jobs_of(it, batch) <= asking.jobs(), "Flower shows which jobs ran")
    with it.redis("admin") as client:
        wait_until(lambda: not client.hlen("unacked"), "the worker has put back what was kept aside")
    # Flower asks what remote control would answer, and may not read the answers.
    assert {(user, thing) for user, thing in denied(it) if ".reply.celery.pidbox" not in thing} == set()
    assert "permission" not in it.log("worker-cpu")
    assert "Failed to capture" not in it.log("flower")


def test_who_submits_may_schedule_ask_and_measure_again(it: Deployment, model: Path) -> None:
    it.start("beat")
    it.start("worker-cpu")
    batch = submit(it, model, 1, "--key", "once")
    assert submit(it, model, 1, "--key", "once") == batch
    wait_until(lambda: states(it, batch) == ["done"], f"batch {batch} is done", START_SECONDS)
    file = str(it.ground.folder / "sweep.toml")
    for words in (
        ("schedule", "add", "nightly", file, "--cron", "0 2 * * *", "--timezone", "Europe/Zurich"),
        ("schedule", "trigger", "nightly"),
        ("schedule", "pause", "nightly"),
        ("schedule", "show", "nightly"),
        ("schedule", "remove", "nightly"),
        ("rerun", "--batch", str(batch)),
        ("status",),
        ("history",),
        ("sql", "select count(*) from history"),
        ("db", "check"),
    ):
        done = it.run("benchbeat", *words)
        assert done.returncode == 0, (words, done.stderr)
    assert {each for each in denied(it) if ".reply.celery.pidbox" not in each[1]} == set()


@pytest.mark.parametrize(
    ("user", "commands"),
    [
        ("submitter", ["BRPOP any.1 1", "DEL any.1", "LRANGE any.1 0 -1", "HGETALL unacked", "PUBLISH other x"]),
        ("beat", ["BRPOP any.1 1", "DEL any.1", "HGETALL unacked", "PUBLISH /0.celery.pidbox shutdown"]),
        ("worker", ["LRANGE any.1 0 -1", "PUBLISH /0.celery.pidbox shutdown", "SET own 1", "EVAL return 0"]),
        ("flower", ["LPUSH any.1 x", "LLEN any.1", "SADD _kombu.binding.any.1 x", "HGETALL unacked"]),
    ],
)
def test_a_user_of_redis_is_refused_what_its_service_does_not_need(
    it: Deployment, user: str, commands: list[str]
) -> None:
    everybody = ["FLUSHALL", "FLUSHDB", "CONFIG GET *", "KEYS *", "SCAN 0", "ACL LIST", "CLIENT LIST", "SHUTDOWN"]
    everybody += ["INFO", "MONITOR", "GET other", "LPUSH other x", "SUBSCRIBE other", "SAVE", "ROLE"]
    with it.redis(user) as client:
        assert client.ping()
        for command in [*everybody, *commands]:
            with pytest.raises(NoPermissionError):
                client.execute_command(*command.split())
    denied(it)


def test_a_worker_with_a_submitter_s_login_ends_with_a_sentence(it: Deployment) -> None:
    wrong = it.environment("worker-cpu") | {"BENCHBEAT_BROKER_URL": it.url("benchbeat", "BENCHBEAT_BROKER_URL")}
    command = command_of(it.services["worker-cpu"], it.ground)
    done = subprocess.run(command, env=wrong, cwd=it.ground.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "lets this login not take jobs" in done.stderr
    assert "A worker needs the user `worker`" in done.stderr
    assert "Traceback" not in done.stderr
    denied(it)


def test_nobody_enters_redis_without_a_password(it: Deployment) -> None:
    with it.redis("submitter") as client:
        arguments = client.connection_pool.connection_kwargs | {"username": None, "password": None}
        connection = client.connection_pool.connection_class(**arguments)
        with pytest.raises(AuthenticationError):
            connection.connect()  # says who it is first


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM run",
        "DELETE FROM sample",
        "DELETE FROM job",
        "UPDATE run SET batch_id = 1",
        "UPDATE alembic_version SET version_num = '1'",
        "TRUNCATE job",
        "DROP TABLE job",
        "ALTER TABLE job ADD COLUMN x int",
        "CREATE TABLE own (x int)",
        "CREATE TEMPORARY TABLE own (x int)",
        "CREATE ROLE own",
        "ALTER ROLE benchbeat_owner PASSWORD 'mine'",
        "COPY job TO PROGRAM 'true'",
        "SET ROLE benchbeat_owner",
    ],
)
def test_the_services_may_not_change_what_was_measured_nor_the_tables(it: Deployment, statement: str) -> None:
    with it.database("worker-cpu") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_what_only_the_owner_may_do_is_said_in_a_sentence(it: Deployment) -> None:
    database = Database(it.url("benchbeat"))
    said = r"The login benchbeat_app may not do this \(permission denied for table sample\)"
    with pytest.raises(UnavailableError, match=said), database.write() as connection:
        connection.execute(text("DELETE FROM sample"))
    database.dispose()
    done = it.run("migrate", "benchbeat", "db", "prune", "--keep-samples", "90d")
    assert done.returncode == 0, done.stderr


def test_a_postgresql_that_is_not_trusted_is_not_used(it: Deployment, tmp_path: Path) -> None:
    url = it.url("benchbeat")
    if "sslmode=verify-full" not in url:
        pytest.skip("without TLS there is no certificate")
    theirs = make_certificates(tmp_path / "theirs", "127.0.0.1") / "ca.crt"
    mistrusting = Database(url.replace(str(it.ground.certificates / "ca.crt"), str(theirs)))
    with pytest.raises(UnavailableError, match="certificate verify failed"), mistrusting.read():
        pass
    mistrusting.dispose()


def test_the_reader_reads_views_and_the_owner_is_nobody_elsewhere(it: Deployment) -> None:
    with it.database("benchbeat", "BENCHBEAT_READER_URL") as connection:
        connection.execute("SELECT * FROM history")
        for statement in (b"SELECT * FROM run", b"SELECT * FROM alembic_version"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE own (x int)")
    with it.database("migrate") as connection:
        query = "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(query).fetchone() == (False, False, False)


def test_no_password_is_in_the_log_of_a_server_or_a_service(it: Deployment) -> None:
    secrets = [value for name, value in it.variables.items() if name.endswith("_PASSWORD")]
    logs = [file.read_text(errors="replace") for file in it.ground.folder.glob("*.log")]
    logs.append((it.ground.volume("private") / "users.acl").read_text())
    assert secrets
    assert logs
    assert not [secret for secret in secrets for text in logs if secret in text]


class FlowerClient:
    """Flower's answers."""

    def __init__(self, it: Deployment) -> None:
        port = next(each for each in command_of(it.services["flower"], it.ground) if each.startswith("--port="))
        self._url = f"http://127.0.0.1:{port.partition('=')[2]}"
        login = it.services["flower"]["environment"]["FLOWER_BASIC_AUTH"]
        self._headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}

    def answers(self) -> bool:
        """Return whether its healthcheck passes."""
        return bool(self._get("/healthcheck"))

    def jobs(self) -> set[str]:
        """Return what the tasks that it saw succeed returned, like `job 7 done`."""
        tasks: dict[str, dict[str, Any]] = json.loads(self._get("/api/tasks") or "{}")
        return {str(task["result"]).strip("'") for task in tasks.values() if task["state"] == "SUCCESS"}

    def _get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(urllib.request.Request(self._url + path, headers=self._headers)) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""
