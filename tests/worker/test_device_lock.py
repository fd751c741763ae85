import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from bench.errors import UnavailableError
from tests.waiting import wait_until
from worker.device_lock import held, lock_folder

HOLD = """
import sys
from pathlib import Path
from worker.device_lock import held
with held(sys.argv[2], Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(folder: Path, key: str) -> "subprocess.Popen[str]":
    """Start a process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder), key]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _waits(child: "subprocess.Popen[str]") -> bool:
    """Whether a process waits for a lock, as Linux shows it: the arrow marks who waits."""
    locks = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f" {child.pid} " in line for line in locks)


def _is_held(folder: Path, key: str) -> bool:
    descriptor = os.open(folder / f"benchbeat-{key}.lock", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_the_seconds_that_were_waited_are_given(tmp_path: Path) -> None:
    with held("machine", tmp_path) as waited:
        assert 0 <= waited < 1
        assert _is_held(tmp_path, "machine")
    assert not _is_held(tmp_path, "machine")


def test_the_lock_is_freed_by_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="measuring failed"), held("machine", tmp_path):
        raise RuntimeError("measuring failed")
    assert not _is_held(tmp_path, "machine")


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="who waits is seen on Linux only")
def test_two_processes_never_hold_it_at_once_and_death_frees_it(tmp_path: Path) -> None:
    with _holder(tmp_path, "machine") as first, _holder(tmp_path, "machine") as second:
        wait_until(lambda: _waits(first) or _waits(second), "one of the two waits")
        holding, waiting = (first, second) if _waits(second) else (second, first)
        assert holding.stdout is not None
        assert waiting.stdout is not None
        assert holding.stdout.readline() == "held\n"
        holding.kill()
        assert waiting.stdout.readline() == "held\n"
        waiting.kill()
    wait_until(lambda: not _is_held(tmp_path, "machine"), "the kernel frees the lock of the dead")


def test_that_one_waits_is_said_only_where_somebody_else_holds_it(tmp_path: Path) -> None:
    said: list[str] = []
    with _holder(tmp_path, "machine") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"

        def let_go() -> None:
            said.append("waiting")
            first.kill()

        with held("machine", tmp_path, on_wait=let_go):
            assert said == ["waiting"]
    with held("machine", tmp_path, on_wait=let_go):
        assert said == ["waiting"]


def test_each_device_has_a_lock_of_its_own(tmp_path: Path) -> None:
    with held("machine", tmp_path), held("cuda-GPU-1", tmp_path), held("cuda-GPU-2", tmp_path):
        assert _is_held(tmp_path, "machine")
    assert len(list(tmp_path.iterdir())) == 3


def test_every_user_may_use_the_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with held("machine", tmp_path):
            pass
    finally:
        os.umask(before)
    files = list(tmp_path.iterdir())
    assert [file.name for file in files] == ["benchbeat-machine.lock"]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o666


def test_a_file_that_was_replaced_while_waiting_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "benchbeat-machine.lock"
    waited: list[float] = []

    def take() -> None:
        with held("machine", tmp_path) as seconds:
            waited.append(seconds)
            assert _is_held(tmp_path, "machine")

    with held("machine", tmp_path):
        old = path.stat().st_ino
        thread = Thread(target=take)
        thread.start()
        wait_until(lambda: _opened_elsewhere(path), "the other one has the file open")
        # The old file is still open, so that the new one can't get its number.
        path.unlink()
        path.touch()
    thread.join(20)
    assert len(waited) == 1
    assert path.stat().st_ino != old


def _opened_elsewhere(path: Path) -> bool:
    """Whether this process has the file open twice."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.path.realpath(link) == str(path) for link in links if os.path.lexists(link)) >= 2


def test_the_file_is_never_removed(tmp_path: Path) -> None:
    with held("machine", tmp_path):
        number = (tmp_path / "benchbeat-machine.lock").stat().st_ino
    with held("machine", tmp_path):
        assert (tmp_path / "benchbeat-machine.lock").stat().st_ino == number


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "benchbeat-machine.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError, match=r"benchbeat-machine\.lock can't be used"), held("machine", tmp_path):
        pass


def test_the_first_place_that_everybody_may_write_to_wins(tmp_path: Path) -> None:
    private, shared, other = tmp_path / "private", tmp_path / "shared", tmp_path / "other"
    for place, mode in ((private, 0o755), (shared, 0o1777), (other, 0o1777)):
        place.mkdir()
        place.chmod(mode)
    missing = tmp_path / "missing"
    assert lock_folder((missing, private, shared, other)) == shared
    assert lock_folder((missing, private)) == private
    with pytest.raises(UnavailableError, match="no place for the device's lock"):
        lock_folder((missing,))


def test_this_machine_has_a_place_outside_home_and_temporary_folders() -> None:
    place = lock_folder()
    assert place in (Path("/run/lock"), Path("/dev/shm"), Path("/Users/Shared"))
