import errno
import os
import re
from pathlib import Path

import pytest

from tests.db.builders import measurement
from worker.spool import Spool, Spooled


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def spooled(job_id: int = 7, attempt: int = 1, database: str = "sqlite:///h.db") -> Spooled:
    return Spooled(job_id=job_id, attempt=attempt, machine_id="machine-a", database=database, measurement=measurement())


def names(folder: Path) -> list[str]:
    """Return the names of all files, without the part that stands for the history."""
    found = [str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()]
    return sorted(re.sub(r"\.[0-9a-f]{8}\.", ".", name) for name in found)


def test_a_result_comes_back_as_it_was(spool: Spool) -> None:
    path = spool.write(spooled())
    assert list(spool.waiting()) == [(path, spooled())]
    assert names(spool.folder) == ["7.1.json"]


def test_histories_that_take_turns_in_a_home_overwrite_nothing(spool: Spool) -> None:
    for database in ("sqlite:///h.db", "sqlite:///other.db"):
        spool.write(spooled(database=database))
    assert {each.database for _, each in spool.waiting()} == {"sqlite:///h.db", "sqlite:///other.db"}


def test_a_spool_that_never_was_is_empty(spool: Spool) -> None:
    assert list(spool.waiting()) == []
    assert not spool.folder.exists()


def test_the_oldest_comes_first(spool: Spool) -> None:
    for age, job_id in [(10, 3), (30, 1), (20, 2)]:
        os.utime(spool.write(spooled(job_id)), (1e9 - age, 1e9 - age))
    assert [each.job_id for _, each in spool.waiting()] == [1, 2, 3]


def test_a_stored_result_is_removed_once_and_for_all(spool: Spool) -> None:
    path = spool.write(spooled())
    spool.remove(path)
    spool.remove(path)
    assert names(spool.folder) == []


def test_what_a_crash_left_half_written_is_not_read(spool: Spool) -> None:
    whole = spool.write(spooled(1))
    (spool.folder / "2.1.partial").write_text('{"job_id": 2, ')
    assert [path for path, _ in spool.waiting()] == [whole]


@pytest.mark.parametrize("content", ["", "{", '{"job_id": 8}', "[]", "\x00" * 100])
def test_a_damaged_result_is_set_aside_and_keeps_no_other_from_being_stored(spool: Spool, content: str) -> None:
    good = spool.write(spooled(1))
    (spool.folder / "8.1.json").write_text(content)
    assert [path for path, _ in spool.waiting()] == [good]
    assert names(spool.folder) == ["1.1.json", "8.1.broken"]


def test_a_result_that_came_too_late_is_kept_but_waits_no_more(spool: Spool) -> None:
    spool.set_aside(spool.write(spooled()))
    assert list(spool.waiting()) == []
    assert names(spool.folder) == ["superseded/7.1.json"]


def test_a_result_that_another_worker_stored_meanwhile_is_passed_over(spool: Spool) -> None:
    first, second = spool.write(spooled(1)), spool.write(spooled(2))
    os.utime(first, (1e9, 1e9))
    waiting = spool.waiting()
    assert next(waiting)[0] == first
    second.unlink()
    assert list(waiting) == []
    first.unlink()
    spool.set_aside(first)
    spool.set_broken(first)
    assert names(spool.folder) == []


def test_a_full_disk_leaves_nothing_behind(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        spool.write(spooled())
    assert names(spool.folder) == []


def test_a_result_that_has_to_wait_is_on_the_disk_with_its_name(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    path = spool.write(spooled())
    assert synced == [], "the database takes most of them at once"
    spool.secure(path)
    assert synced == [path.stat().st_ino, spool.folder.stat().st_ino]
    spool.remove(path)
    spool.secure(path)


def test_a_spool_that_can_not_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(FileExistsError):
        Spool(tmp_path / "spool").write(spooled())
