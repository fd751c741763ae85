"""Pictures and clips on their way from a submitter's file to a worker's session."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image
from sqlalchemy import event, func, select

from bench import media as limits
from bench.errors import InputError
from bench.library import load_library
from bench.media import sha256_of
from bench.sweep import Sweep, read_sweep
from db.engine import Database
from db.tables import media
from scheduler.submit import submit
from tests.db.builders import add_worker, claimed_by
from worker.media import MediaFiles
from worker.orders import OrderMaker
from worker.protocol import Order

SWEEP = """
[[sweep]]
model = "looker"
workload = "own"

[models.looker]
task = "vision"
source = "hub:nobody/looker"
memory_gib = { float32 = 0.5 }

[workloads.own]
task = "vision"
items = "items.jsonl"
score = "contains"
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a sweep whose workload shows two pictures."""
    (tmp_path / "pictures").mkdir()
    lines = []
    for colour in ("red", "blue"):
        Image.new("RGB", (8, 8), colour).save(tmp_path / "pictures" / f"{colour}.png")
        lines.append({"id": colour, "image": f"pictures/{colour}.png", "prompt": "Which colour?", "answer": colour})
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "sweep.toml").write_text(SWEEP)
    return tmp_path


def sweep_of(folder: Path) -> Sweep:
    return read_sweep(folder / "sweep.toml", load_library(folder))


def ordered(database: Database, sweep: Sweep, home: Path) -> Order:
    submit(database, sweep)
    job = claimed_by(database, add_worker(database, uuid4().hex, queues=("any.1",)))
    return OrderMaker(database, MediaFiles(database, home=home, data_dir=home / "data")).order(job)


def test_a_picture_travels_with_its_workload(database: Database, folder: Path, tmp_path: Path) -> None:
    wanted = {sha256_of(path.read_bytes()): path.read_bytes() for path in (folder / "pictures").iterdir()}
    sweep = sweep_of(folder)
    for path in (folder / "pictures").iterdir():
        path.unlink()
    order = ordered(database, sweep, tmp_path / "home")
    assert {digest: path.read_bytes() for digest, path in order.media.items()} == wanted
    assert [prompt.item.image in order.media for prompt in order.prompts] == [True, True]
    assert Order.model_validate_json(order.model_dump_json()) == order


def test_what_is_there_already_is_not_stored_or_fetched_again(database: Database, folder: Path, tmp_path: Path) -> None:
    asked: list[str] = []
    ordered(database, sweep_of(folder), tmp_path / "home")
    event.listen(database._writer, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement))
    ordered(database, sweep_of(folder), tmp_path / "home")
    assert not [statement for statement in asked if "media.content" in statement or "INTO media" in statement]
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(media)).scalar_one() == 2


def test_media_too_large_to_travel_must_lie_on_the_worker(
    database: Database, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_TRAVELLING_BYTES", 10)
    home = tmp_path / "home"
    sweep = sweep_of(folder)
    with pytest.raises(InputError, match=r"item '(red|blue)': there is no .*; media of over 64 MiB must lie"):
        ordered(database, sweep, home)
    (home / "data").mkdir(parents=True)
    (folder / "pictures").rename(home / "data" / "pictures")
    order = ordered(database, sweep, home)
    assert {path.name for path in order.media.values()} == {"red.png", "blue.png"}
    (home / "data" / "pictures" / "red.png").write_bytes(b"another")
    with pytest.raises(InputError, match=r"item 'red': .*red\.png is not the file that was submitted"):
        ordered(database, sweep, home)


def test_a_path_that_leads_out_of_the_data_folder_is_not_opened(
    database: Database, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_TRAVELLING_BYTES", 10)
    text = (folder / "items.jsonl").read_text().replace("pictures/", "../" + folder.name + "/pictures/")
    (folder / "items.jsonl").write_text(text)
    with pytest.raises(InputError, match="leads out of this worker's data_dir"):
        ordered(database, sweep_of(folder), tmp_path / "home")
