"""What the examples run in: a home with three nights of runs, a Redis, and a folder with the files they name."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from db.engine import Database
from tests.bench.imports.reading import DATA
from tests.commands import ROOT
from tests.db.built_history import build
from tests.db.conftest import postgresql_database, shared_sqlite
from tests.docs.examples import block_of
from tests.services import PostgreSQLServer

__all__ = ["shared_sqlite"]

#: file that an example names -> the file of the tests that stands for it
_IMPORTED = {
    "llama-bench.json": "llama-bench.json",
    "results_2026-11-26T01-10-48.json": "results_tiny-qwen2.json",
    "out/results_2026-11-26T01-10-48.json": "results_tiny-qwen2.json",
}


@pytest.fixture(scope="session")
def shared_postgresql(postgresql_server: PostgreSQLServer, postgresql_template: str) -> Iterator[Database]:
    """Give one PostgreSQL database for all examples."""
    with postgresql_database(postgresql_server, postgresql_template, "benchbeat_documented") as opened:
        yield opened


@pytest.fixture(scope="module")
def documented_history(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a SQLite history of three nights, with the names that examples ask for."""
    path = tmp_path_factory.mktemp("documented") / "history.db"
    shutil.copyfile(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    build(database)
    with database.write() as connection:
        # the speed runs of the last two nights are those of a schedule, and batches of a name
        speeds = "SELECT batch_id FROM run WHERE workload = 'speed' AND precision = 'float32' AND NOT contaminated"
        connection.execute(text(f"UPDATE batch SET name = 'nightly' WHERE id IN ({speeds})"))
        # the pages add their own
        connection.execute(text("DELETE FROM firing"))
        connection.execute(text("DELETE FROM schedule"))
    database.dispose()
    file = sqlite3.connect(path)
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.close()
    return path


@pytest.fixture
def scratch(
    home: Path, tmp_path: Path, broker_url: str, documented_history: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Give the working folder, with a home, a Redis and the files that examples name."""
    shutil.copyfile(documented_history, home / "history.db")
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copyfile(folder / "examples" / "demo.toml", folder / "sweep.toml")
    shutil.copyfile(folder / "examples" / "rivers.jsonl", folder / "rivers.jsonl")
    (folder / "photos.jsonl").write_text(block_of("docs/pictures.md", "json"), encoding="utf-8")
    (folder / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "photos" / "dog.jpg")
    for name, source in _IMPORTED.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(DATA / source, folder / name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", broker_url)
    return folder
