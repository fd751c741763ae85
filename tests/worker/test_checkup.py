import shutil
from pathlib import Path

import pytest

from bench.errors import UnavailableError
from db.engine import Database
from db.settings import Settings
from scheduler.broker import ensure_embedded
from tests.db.builders import add_worker
from tests.services import RedisServer
from tests.worker.test_supervise import PROBE
from worker import checkup
from worker.checkup import Finding, look
from worker.readings import NoReadings


@pytest.fixture(autouse=True)
def _probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the device be looked at without a process of its own."""
    monkeypatch.setattr(checkup, "probe_device", lambda device: PROBE)


@pytest.fixture
def file(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in look(settings)}


def test_a_bare_machine_is_told_what_is_missing_and_nothing_is_made(tmp_path: Path, home: Path) -> None:
    settings = Settings(home=tmp_path / "new")
    findings = found(settings)
    assert not settings.home.exists()
    assert findings["home"].found == f"{settings.home} (made at the first use)"
    assert findings["database"] == Finding("database", "ok", f"{settings.home / 'history.db'} (made at the first use)")
    assert findings["redis"].state == "ok"
    assert findings["redis"].found.startswith("not running; started on demand from ")
    assert findings["device"].found == "cpu: Test CPU, 8.0 GiB, torch 2"
    assert findings["smollm2-135m"].remedy == "benchbeat models fetch smollm2-135m"
    assert (findings["workers"].state, findings["workers"].found) == ("note", "none is running")
    for finding in findings.values():
        assert bool(finding.remedy) == (finding.state != "ok"), finding


def test_what_could_disturb_a_measurement_unseen_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "readings_of_this_machine", lambda probe: NoReadings())
    assert found(Settings(home=home))["disturbances"] == Finding(
        *("disturbances", "ok", "read: nothing; can't be read: processors, GPU, heat, memory, swap, power, sleep")
    )
    monkeypatch.undo()
    monkeypatch.setattr(checkup, "probe_device", lambda device: PROBE)
    said = found(Settings(home=home))["disturbances"].found
    assert said.startswith("read: processors, ")
    assert said.endswith("sleep") or "sleep; can't be read: " in said


def test_what_is_there_is_named(home: Path, file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    add_worker(database)
    database.dispose()
    ensure_embedded(home)
    (home / "cache" / "converted" / "abc").mkdir(parents=True)
    findings = found(Settings(home=home, database_url=f"sqlite:///{file}"))
    assert findings["workers"] == Finding("workers", "ok", "worker-a (Test CPU)")
    assert findings["redis"].found.startswith("embedded, on 127.0.0.1:")
    assert findings["database"] == Finding("database", "ok", f"sqlite:///{file}")
    assert findings["smollm2-135m"] == Finding("smollm2-135m", "ok", "fetched")


def test_a_database_that_is_none_is_told(home: Path) -> None:
    (home / "history.db").write_text("no database")
    findings = found(Settings(home=home))
    assert findings["database"].state == "missing"
    assert "file is not a database" in findings["database"].found
    assert findings["workers"].found == "unknown: the database does not answer"


def test_a_redis_that_is_set(home: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Settings(home=home, broker_url=redis_server.url)
    assert found(there)["redis"] == Finding("redis", "ok", redis_server.url)
    away = Settings(home=home, broker_url="redis://:secret@127.0.0.1:1/0")
    finding = found(away)["redis"]
    assert finding.state == "missing"
    assert "secret" not in finding.found


def test_a_machine_without_redis_or_torch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "find_server_binary", lambda: None)
    monkeypatch.setattr(checkup, "find_spec", lambda name: None)

    def missing(device: str) -> None:
        raise UnavailableError("torch is not installed: pip install 'benchbeat[worker]'")

    monkeypatch.setattr(checkup, "probe_device", missing)
    findings = found(Settings(home=home))
    assert findings["redis"].state == findings["torch"].state == findings["device"].state == "missing"
    assert "pip install 'benchbeat[embedded]'" in findings["redis"].remedy
    assert findings["torch"].remedy.startswith("pip install 'benchbeat[worker]'")
    assert findings["smollm2-135m"].found == "not fetched, and pip is not here"


@pytest.mark.parametrize(("variable", "state"), [("HF_TOKEN", "ok"), ("OTHER", "note")])
def test_a_token(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, state: str) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv(variable, "hf_secret")
    finding = found(Settings(home=home))["hub token"]
    assert finding.state == state
    assert "hf_secret" not in str(finding)


@pytest.mark.parametrize("free_gib", [1, 100])
def test_a_full_disk_is_told(home: Path, monkeypatch: pytest.MonkeyPatch, free_gib: int) -> None:
    class Usage:
        free = free_gib * 2**30

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage)
    finding = found(Settings(home=home))["disk"]
    assert (finding.state, finding.found) == ("note" if free_gib == 1 else "ok", f"{free_gib} GiB free")
