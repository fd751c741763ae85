import errno
from pathlib import Path
from threading import Event, Thread

import pytest

from bench.errors import UnavailableError
from tests.waiting import wait_until
from worker.files import is_disk_full, locked, staged


def _make_half(target: Path, error: Exception) -> None:
    with staged(target) as draft:
        draft.write_text("half")
        raise error


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    with staged(target) as draft:
        draft.write_text("half")
        assert not target.exists()
        draft.write_text("whole")
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_the_damaged_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    with staged(target) as draft:
        draft.mkdir()
        (draft / "new").touch()
    assert [file.name for file in target.iterdir()] == ["new"]


def test_a_failure_leaves_nothing_behind_and_the_old_file_in_place(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    target.write_text("old")
    with pytest.raises(ValueError, match="no good"):
        _make_half(target, ValueError("no good"))
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]
    assert target.read_text() == "old"


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".model.partial-12345").mkdir()
    (tmp_path / ".model.partial-12345" / "half").touch()
    (tmp_path / ".other.partial-12345").touch()
    with staged(tmp_path / "model") as draft:
        draft.touch()
    assert sorted(file.name for file in tmp_path.iterdir()) == [".other.partial-12345", "model"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_has_a_sentence(tmp_path: Path, error: Exception) -> None:
    assert is_disk_full(error)
    with pytest.raises(UnavailableError, match=r"the disk that holds .* is full"):
        _make_half(tmp_path / "model", error)
    assert list(tmp_path.iterdir()) == []


def test_one_makes_it_while_the_other_waits(tmp_path: Path) -> None:
    target, may_end, order = tmp_path / "sub" / "model", Event(), []

    def make(name: str, until: Event) -> None:
        with locked(target):
            order.append(f"{name} in")
            until.wait(20)
            order.append(f"{name} out")

    at_once = Event()
    at_once.set()
    first = Thread(target=make, args=("first", may_end))
    first.start()
    wait_until(lambda: order == ["first in"], "the first holds the lock")
    second = Thread(target=make, args=("second", at_once))
    second.start()
    may_end.set()
    first.join(20)
    second.join(20)
    assert order == ["first in", "first out", "second in", "second out"]
