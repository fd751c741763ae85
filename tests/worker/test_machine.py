import platform
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from platformdirs import user_config_path

from bench.errors import UnavailableError
from db.settings import Settings
from worker.machine import machine_id


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file in which the id is kept, in a user's home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return user_config_path("benchbeat", appauthor=False) / "machine-id"


def settings(tmp_path: Path, home: str = "home", machine: str | None = None) -> Settings:
    return Settings(home=tmp_path / home, machine=machine)


def test_a_set_id_wins_and_nothing_is_kept(tmp_path: Path, kept: Path) -> None:
    assert machine_id(settings(tmp_path, machine="rack-4")) == "rack-4"
    assert not kept.exists()


def test_an_id_is_made_once_and_outlives_the_home(tmp_path: Path, kept: Path) -> None:
    made = machine_id(settings(tmp_path))
    assert str(UUID(made)) == made
    assert platform.node() not in made
    assert machine_id(settings(tmp_path, home="another")) == made
    assert kept.read_text() == f"{made}\n"
    assert not kept.is_relative_to(tmp_path / "home")


def test_processes_that_make_it_at_once_agree(tmp_path: Path, kept: Path) -> None:
    together = threading.Barrier(8)

    def ask(number: int) -> str:
        together.wait()
        return machine_id(settings(tmp_path))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert [each.name for each in kept.parent.iterdir()] == ["machine-id"]


@pytest.mark.parametrize("content", ["", "two words\n", "ä", "x" * 65])
def test_a_damaged_id_is_made_anew(tmp_path: Path, kept: Path, content: str) -> None:
    kept.parent.mkdir(parents=True)
    kept.write_text(content, encoding="utf-8")
    made = machine_id(settings(tmp_path))
    assert str(UUID(made)) == made
    assert machine_id(settings(tmp_path)) == made


def test_an_id_that_can_not_be_kept_is_told_with_the_way_out(tmp_path: Path, kept: Path) -> None:
    kept.parent.parent.mkdir(parents=True, exist_ok=True)
    kept.parent.write_text("a file where the folder should be")
    with pytest.raises(UnavailableError, match="set BENCHBEAT_MACHINE to a name of your own"):
        machine_id(settings(tmp_path))
