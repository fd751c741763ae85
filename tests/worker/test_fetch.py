from pathlib import Path

import pytest

from bench.errors import ModelError
from tests.worker.scripted import ENTRY
from worker import fetch
from worker.checksums import sha256_of


def fetched(home: Path, source: str, *options: str, **fields: object) -> int:
    entry = ENTRY.model_copy(update={"name": "own", "source": source, **fields})
    return fetch.main(["--home", str(home), *options, entry.model_dump_json()])


def test_a_folder_is_there_already(home: Path, tiny_qwen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetched(home, f"file:{tiny_qwen}") == 0
    said, errors = capsys.readouterr()
    assert said.startswith("own is here: revision ")
    assert len(said.split()[-1]) == 64
    assert errors == ""


def test_a_gguf_file_is_converted_once(
    home: Path, tiny_gguf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    converted = home / "cache" / "converted" / sha256_of(tiny_gguf)
    calls: list[Path] = []

    def convert(source: Path, target: Path) -> None:
        calls.append(target)

    monkeypatch.setattr(fetch, "ensure_converted_apart", convert)
    assert fetched(home, f"gguf:{tiny_gguf}") == 0
    assert calls == [converted]
    assert capsys.readouterr().out == f"own is here: revision {sha256_of(tiny_gguf)}\n"


@pytest.mark.parametrize(
    ("source", "fields", "fault"),
    [
        ("file:nowhere", {}, "own: there are no weights at "),
        ("file:QWEN", {"sha256": "0" * 64}, "own: the SHA-256 of "),
    ],
)
def test_weights_that_can_not_be_had_are_one_sentence(
    home: Path, tiny_qwen: Path, capsys: pytest.CaptureFixture[str], source: str, fields: dict[str, str], fault: str
) -> None:
    assert fetched(home, source.replace("QWEN", str(tiny_qwen)), **fields) == 2
    said, errors = capsys.readouterr()
    assert said == ""
    assert errors.startswith(f"Error: {fault}")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "said",
    ["org/name is gated: accept the licence and set HF_TOKEN", "the hub has no model org/name, or it is private"],
)
def test_that_a_model_is_gated_is_said_once(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError(said)

    monkeypatch.setattr(fetch, "resolve", refuse)
    assert fetched(home, "hub:org/name", gated=True) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"Error: {said}")
    assert (errors.count("gated"), errors.count("HF_TOKEN")) == (1, 1)


def test_a_path_outside_models_dir_is_refused(home: Path, tiny_qwen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetched(home, f"file:{tiny_qwen}", "--models-dir", str(home)) == 2
    assert "lies outside this worker's models_dir" in capsys.readouterr().err
