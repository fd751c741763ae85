import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import checksums
from worker.checksums import Checksums, sha256_of


@pytest.fixture
def known(tmp_path: Path) -> Checksums:
    return Checksums(tmp_path / "cache" / "checksums.json")


def _count(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Record the files that are read to be hashed."""
    read: list[Path] = []

    def hash_and_note(path: Path) -> str:
        read.append(path)
        return sha256_of(path)

    monkeypatch.setattr(checksums, "sha256_of", hash_and_note)
    return read


def test_a_hash_is_remembered_over_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = _count(monkeypatch)
    file = tmp_path / "weights"
    file.write_bytes(b"GGUF and more")
    expected = hashlib.sha256(b"GGUF and more").hexdigest()
    for _ in range(3):
        assert Checksums(tmp_path / "checksums.json").of(file) == expected
    assert read == [file]


def test_another_content_has_another_hash(tmp_path: Path, known: Checksums) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = known.of(file)
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert known.of(file) == hashlib.sha256(b"two").hexdigest() != first


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"x": 1}'])
def test_a_damaged_memory_is_no_failure(tmp_path: Path, content: str) -> None:
    (tmp_path / "checksums.json").write_text(content)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert Checksums(tmp_path / "checksums.json").of(file) == hashlib.sha256(b"one").hexdigest()


def test_an_entry_of_the_wrong_shape_is_hashed_again(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    (tmp_path / "checksums.json").write_text(f'{{"{file.resolve()}": [3]}}')
    assert Checksums(tmp_path / "checksums.json").of(file) == hashlib.sha256(b"one").hexdigest()


def test_files_that_are_gone_are_forgotten(tmp_path: Path, known: Checksums) -> None:
    gone, stays = tmp_path / "gone", tmp_path / "stays"
    for file in (gone, stays):
        file.write_text(file.name)
    known.of(gone)
    gone.unlink()
    known.of(stays)
    text = (tmp_path / "cache" / "checksums.json").read_text()
    assert f"{stays}" in text
    assert f'{gone}"' not in text


def test_a_missing_file_can_t_be_hashed(tmp_path: Path, known: Checksums) -> None:
    with pytest.raises(FileNotFoundError):
        known.of(tmp_path / "none")


@given(names=st.permutations(["a", "b", "c/d"]))
def test_a_folder_s_hash_depends_on_names_and_contents_only(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("folder")
    (folder / "c").mkdir()
    for name in names:
        (folder / name).write_text(name)
    known = Checksums(folder / "checksums.json")
    lines = "".join(f"{name}\0{hashlib.sha256(name.encode()).hexdigest()}\n" for name in ["a", "b", "c/d"])
    assert known.of_folder(folder, names) == hashlib.sha256(lines.encode()).hexdigest()
