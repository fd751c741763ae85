"""`submit`: what is queued, what is said, and what a Redis that is away changes."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import func, select

from db.engine import Database
from db.status import batch_status, jobs_of_batch
from db.tables import batch, job
from db.workers import mark_stopped
from tests.cli.conftest import Command
from tests.commands import run_command
from tests.db.builders import add_worker
from tests.services import RedisServer, running_redis

SMALL = ("--model", "smollm2-135m", "--workload", "facts")


def rings(broker_url: str, queue: str = "any.1") -> int:
    """Return how many rings wait."""
    with Redis.from_url(broker_url) as client:
        return int(client.llen(queue))


def count(database: Database) -> tuple[int, int]:
    """Return the number of batches and of jobs."""
    with database.read() as connection:
        return (
            connection.execute(select(func.count()).select_from(batch)).scalar_one(),
            connection.execute(select(func.count()).select_from(job)).scalar_one(),
        )


def test_a_submission_is_stored_and_rung_for(benchbeat: Command, history: Database, redis: str) -> None:
    done = benchbeat("submit", *SMALL, "--strategy", "direct,few_shot", "--items", "12", "--priority", "-5")
    assert (done.code, done.out, done.err) == (0, "batch 1: options: 2 jobs (1 model, 1 workload)\n", "")
    assert rings(redis) == 2
    with history.read() as connection:
        jobs, stored = jobs_of_batch(connection, 1), batch_status(connection, 1)
    assert [each.what for each in jobs] == ["smollm2-135m facts direct float32", "smollm2-135m facts few_shot float32"]
    assert (stored.name, stored.priority, stored.queued) == ("options", -5, 2)


def test_options_given_twice_or_with_commas_are_lists(benchbeat: Command, home: Path) -> None:
    arguments = ("--temperature", "0.3, 0.5", "--temperature", "0.7", "--seed", "1,2,", "-o", "json", "--dry-run")
    specs = json.loads(benchbeat("submit", *SMALL, *arguments).out)
    assert [(spec["temperature"], spec["seed"]) for spec in specs] == [(t, s) for t in (0.3, 0.5, 0.7) for s in (1, 2)]


def test_a_stop_rule_is_given_in_one_option(benchbeat: Command, home: Path) -> None:
    arguments = ("--model", "smollm2-135m", "--workload", "speed", "--stop", "target=0.1, max_iterations=7")
    done = benchbeat("submit", *arguments, "--stop", "target=0.2", "--dry-run", "-o", "json")
    stops = [json.loads(spec["stop"]) for spec in json.loads(done.out)]
    assert [(stop["target"], stop["max_iterations"], stop["min_iterations"]) for stop in stops] == [
        (0.1, 7, 5),
        (0.2, 30, 5),
    ]


def test_a_dry_run_shows_the_jobs_and_stores_nothing(benchbeat: Command, home: Path) -> None:
    done = benchbeat("submit", *SMALL, "--strategy", "direct,few_shot,direct", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines() == [
        "axis      values            n",
        "--------  ----------------  -",
        "model     smollm2-135m      1",
        "workload  facts             1",
        "strategy  direct, few_shot  2",
        "",
        "model         workload  strategy  temperature  precision",
        "------------  --------  --------  -----------  ---------",
        "smollm2-135m  facts     direct              0  float32",
        "smollm2-135m  facts     few_shot            0  float32",
        "",
    ]
    assert done.err == (
        "options: 2 jobs (1 model, 1 workload); 1 duplicate dropped; nothing was stored\n"
        "How long it will take is not known yet: no such job was measured before.\n"
    )
    assert not list(home.iterdir())


def test_a_dry_run_needs_no_token(benchbeat: Command, home: Path) -> None:
    assert benchbeat("submit", "--model", "llama-3.2-3b", "--workload", "facts", "--dry-run").code == 0


@pytest.mark.parametrize("variable", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
def test_a_gated_model_is_queued_where_there_is_a_token(
    benchbeat: Command, history: Database, redis: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "hf_x")
    assert benchbeat("submit", "--model", "llama-3.2-3b", "--workload", "facts").code == 0
    assert count(history) == (1, 1)


def test_a_token_that_was_logged_in_counts(benchbeat: Command, history: Database, redis: str, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "token").write_text("hf_x")
    assert benchbeat("submit", "--model", "llama-3.2-3b", "--workload", "facts").code == 0


def test_a_sweep_file_is_queued_under_its_name_unless_another_is_given(
    benchbeat: Command, history: Database, redis: str
) -> None:
    Path("night.toml").write_text('priority = 3\n[[sweep]]\nmodel = "smollm2-135m"\nworkload = "facts"\n')
    assert benchbeat("submit", "night.toml").out == "batch 1: night: 1 job (1 model, 1 workload)\n"
    benchbeat("submit", "night.toml", "--name", "by hand", "--priority", "9")
    with history.read() as connection:
        both = [(each.name, each.priority) for each in (batch_status(connection, 1), batch_status(connection, 2))]
    assert both == [("night", 3), ("by hand", 9)]


def test_a_key_makes_a_second_try_harmless(benchbeat: Command, history: Database, redis: str) -> None:
    assert benchbeat("submit", *SMALL, "--key", "k").code == 0
    again = benchbeat("submit", *SMALL, "--key", "k")
    assert (again.code, again.out) == (0, "batch 1: queued before with this key\n")
    assert count(history) == (1, 1)
    assert rings(redis) == 1


@pytest.mark.parametrize("output", ["json", "jsonl", "csv", "md"])
def test_programs_are_told_the_batch(benchbeat: Command, history: Database, redis: str, output: str) -> None:
    asked = (*SMALL, "--items", "3,4", "--key", "k", "-o", output)
    first, second = benchbeat("submit", *asked), benchbeat("submit", *asked)
    assert (first.code, second.code, first.err, second.err) == (0, 0, "", "")
    shown = {
        "json": '[\n{"batch": 1, "name": "options", "jobs": 2, "created": true}\n]\n',
        "jsonl": '{"batch": 1, "name": "options", "jobs": 2, "created": true}\n',
        "csv": "batch,name,jobs,created\r\n1,options,2,true\r\n",
        "md": "| batch | name | jobs | created |\n| ---: | --- | ---: | --- |\n| 1 | options | 2 | true |\n",
    }[output]
    assert (first.out, second.out) == (shown, shown.replace("true", "false"))


def test_a_key_with_another_sweep_is_refused(benchbeat: Command, history: Database, redis: str) -> None:
    benchbeat("submit", *SMALL, "--key", "k")
    other = benchbeat("submit", *SMALL, "--key", "k", "--items", "3")
    assert (other.code, other.out, other.err) == (
        2,
        "",
        "Error: --key: the key 'k' belongs to batch 1, which holds another sweep; give a new key\n",
    )
    assert count(history) == (1, 1)


@pytest.mark.parametrize("key", ["", "a\tb"])
def test_a_key_that_is_no_line_of_text_is_refused(benchbeat: Command, history: Database, redis: str, key: str) -> None:
    done = benchbeat("submit", *SMALL, "--key", key)
    assert (done.code, done.err) == (2, "Error: --key: must be a text of 1 to 200 characters on one line\n")
    assert count(history) == (0, 0)


def test_without_redis_nothing_is_stored(
    benchbeat: Command, history: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", "redis://:sesame@127.0.0.1:1/0")
    done = benchbeat("submit", *SMALL)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "Error: Redis at redis://127.0.0.1:1/0 can't be reached (Connection refused). "
        "Start one with `redis-server`, or unset BENCHBEAT_BROKER_URL to use the embedded one.\n"
    )
    assert count(history) == (0, 0)


def test_without_an_embedded_redis_to_start_nothing_is_stored(
    benchbeat: Command, history: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHBEAT_BROKER_URL")
    monkeypatch.setattr("scheduler.redis_server.find_server_binary", lambda: None)
    done = benchbeat("submit", *SMALL)
    assert (done.code, done.out) == (2, "")
    assert count(history) == (0, 0)


def test_a_redis_that_goes_away_after_it_answered_costs_a_warning(
    benchbeat: Command, history: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", "redis://:sesame@127.0.0.1:1/0")
    monkeypatch.setattr("scheduler.broker.check_broker", lambda url: None)
    done = benchbeat("submit", *SMALL)
    assert (done.code, done.out) == (0, "batch 1: options: 1 job (1 model, 1 workload)\n")
    assert done.err == (
        "Warning: Redis at redis://127.0.0.1:1/0 does not answer (Connection refused)\n"
        "The jobs are queued all the same, and run once the workers have Redis again.\n"
    )
    assert count(history) == (1, 1)


def test_a_frozen_redis_holds_a_submitter_up_for_less_than_ten_seconds(
    benchbeat: Command, history: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as server:
        freeze(server)
        began = time.monotonic()
        try:
            done = run_command("submit", *SMALL, BENCHBEAT_BROKER_URL=server.url)
        finally:
            os.kill(server.pid, signal.SIGCONT)
    assert time.monotonic() - began < 10
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: Redis at {server.url} can't be reached (")
    assert count(history) == (0, 0)


def freeze(server: RedisServer) -> None:
    """Stop a server's process."""
    os.kill(server.pid, signal.SIGSTOP)


def test_down_leaves_redis_to_a_worker_that_was_started_by_itself(
    benchbeat: Command, history: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHBEAT_BROKER_URL")
    benchbeat("submit", *SMALL)
    add_worker(history, machine_id="test-machine", pid=os.getpid())
    kept = f"a worker that was started by itself runs on (process {os.getpid()}), and Redis with it; stop it first\n"
    assert benchbeat("down").out == kept
    mark_stopped(history, "worker-a")
    assert benchbeat("down").out == "stopped the embedded Redis\n"


def test_down_stops_redis_also_where_the_database_can_not_be_had(
    benchbeat: Command, history: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHBEAT_BROKER_URL")
    benchbeat("submit", *SMALL)
    monkeypatch.setenv("BENCHBEAT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    done = benchbeat("down")
    assert (done.code, done.out) == (0, "stopped the embedded Redis\n")
    assert "can't be used" in done.err


def test_an_embedded_redis_is_started_on_demand(
    benchbeat: Command, history: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHBEAT_BROKER_URL")
    assert benchbeat("submit", *SMALL).err == ""
    assert benchbeat("down").out == "stopped the embedded Redis\n"
    assert benchbeat("down").out == "nothing was running\n"
    assert count(history) == (1, 1)


def test_a_home_is_made_at_the_first_use(benchbeat: Command, home: Path, redis: str, tmp_path: Path) -> None:
    other = tmp_path / "a" / "new home"
    assert benchbeat("--home", str(other), "submit", *SMALL).code == 0
    assert (other / "history.db").stat().st_mode & 0o077 == 0
    assert not (home / "history.db").exists()


def test_waiting_ends_with_the_batch(benchbeat: Command, history: Database, redis: str) -> None:
    benchbeat("submit", *SMALL, "--key", "k")
    benchbeat("cancel", "1")
    waited = benchbeat("submit", *SMALL, "--key", "k", "--wait")
    assert waited.code == 4
    assert waited.err.splitlines() == ["[1/1] job 1 cancelled: smollm2-135m facts direct float32"]


def test_postgresql_takes_a_submission_too(
    benchbeat: Command, postgresql_url: str, redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBEAT_DATABASE_URL", postgresql_url.replace("postgresql+psycopg", "postgres"))
    # Its workers may be elsewhere, with a token of their own.
    assert benchbeat("submit", "--model", "llama-3.2-3b", "--workload", "facts").code == 0
    assert rings(redis, "any.8") == 1
