"""The clips of the workload `dictation` that the project brings."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.worker import tiny_whisper
from worker.audio import SAMPLE_RATE, decode
from worker.word_errors import word_errors

DATA = Path(__file__).parents[2] / "bench" / "data"
LINES = [json.loads(line) for line in (DATA / "dictation.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(autouse=True)
def _files_are_read() -> None:
    tiny_whisper.read_own_files()


def test_each_clip_stands_in_the_list_once() -> None:
    names = [line["audio"] for line in LINES]
    assert len(set(names)) == len(names) == 30
    assert {f"dictation/{file.name}" for file in (DATA / "dictation").iterdir()} == set(names)
    assert len({line["answer"] for line in LINES}) == len(LINES)
    assert len({line["id"] for line in LINES}) == len(LINES)


def test_the_levels_are_alike_in_number_and_unlike_in_length() -> None:
    assert Counter(line["level"] for line in LINES) == {1: 10, 2: 10, 3: 10}
    assert {line["language"] for line in LINES} == {"en"}
    longest = {level: max(len(line["answer"].split()) for line in LINES if line["level"] == level) for level in (1, 2)}
    shortest = min(len(line["answer"].split()) for line in LINES if line["level"] == 3)
    assert longest[1] < shortest
    assert longest[2] < shortest
    for line in LINES:
        has_names_or_numbers = any(letter.isdigit() for letter in line["answer"])
        assert has_names_or_numbers == (line["level"] == 2), line["answer"]


def test_all_clips_together_are_small() -> None:
    assert sum(file.stat().st_size for file in (DATA / "dictation").iterdir()) < 3_000_000


@pytest.mark.parametrize("line", LINES, ids=lambda line: str(line["id"]))
def test_a_clip_is_16_khz_mono_flac_as_long_as_its_text(line: dict[str, Any]) -> None:
    path = DATA / line["audio"]
    about = soundfile.info(path)
    assert (about.format, about.subtype, about.samplerate, about.channels) == ("FLAC", "PCM_16", SAMPLE_RATE, 1)
    samples = decode(path, line["id"])
    assert 1.0 < len(samples) / SAMPLE_RATE < 15.0
    assert 0.2 < len(samples) / SAMPLE_RATE / len(line["answer"].split()) < 0.7
    assert 0.2 < abs(samples).max() < 0.9


@pytest.mark.parametrize("line", LINES, ids=lambda line: str(line["id"]))
def test_a_text_is_its_own_transcript(line: dict[str, Any]) -> None:
    found = word_errors(line["answer"], [line["answer"]], line["language"])
    assert found.errors == 0
    assert found.words >= 5
