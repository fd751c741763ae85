"""Profiled jobs in a real session: their traces, and what is said where there is none."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.catalog import ModelEntry
from tests.worker.sessions import Child, entry, quality, running, speed
from worker.profiling import STEPS
from worker.traces import trace_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="module")
def child(folder: Path) -> Iterator[Child]:
    """Give a session that tests share."""
    with running(folder) as made:
        yield made


@pytest.fixture(scope="module")
def qwen(tiny_qwen: Path) -> ModelEntry:
    return entry(f"file:{tiny_qwen}")


def operators(file: Path) -> list[str]:
    """Return the names of the operators of a trace, in the order of their begin."""
    found: list[dict[str, Any]] = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    called = [each for each in found if each.get("cat") == "cpu_op"]
    return [each["name"] for each in sorted(called, key=lambda each: each["ts"])]


def test_a_trace_holds_so_many_steps_whatever_the_job_does(child: Child, folder: Path, qwen: ModelEntry) -> None:
    for job_id, new_tokens in ((1, 20), (2, 60)):
        measured = child.measure(speed(qwen, job_id, new_tokens=new_tokens, profile=True))
        assert measured.figures.latency_seconds is not None
        file = trace_file(folder / "home", job_id, 1)
        # A step looks its tokens up once.
        assert operators(file).count("aten::embedding") == STEPS
        assert file.stat().st_size < 2**20
        assert "aten::" in file.with_name(f"job-{job_id}-1.txt").read_text()
    assert sorted(each.name for each in file.parent.iterdir()) == [
        *("job-1-1.json.gz", "job-1-1.txt", "job-2-1.json.gz", "job-2-1.txt"),
    ]


def test_answers_are_traced_too_and_are_the_same(child: Child, folder: Path, qwen: ModelEntry) -> None:
    questions = {"one?": "1", "What comes after two?": "3"}
    plain = child.measure(quality(qwen, questions, 3))
    profiled = child.measure(quality(qwen, questions, 4, profile=True))
    assert [each.text for each in profiled.answers] == [each.text for each in plain.answers]
    assert not trace_file(folder / "home", 3, 1).exists()
    assert 0 < operators(trace_file(folder / "home", 4, 1)).count("aten::embedding") <= STEPS


def test_a_job_of_few_steps_has_no_trace_and_the_log_says_so(child: Child, folder: Path, qwen: ModelEntry) -> None:
    measured = child.measure(quality(qwen, {"one?": "1"}, 5, profile=True, max_new_tokens=1))
    assert len(measured.answers) == 1
    assert not trace_file(folder / "home", 5, 1).exists()
    assert "no trace of job-5-1.json.gz: the model made no 4 steps" in child.log.read_text()


def test_a_trace_that_cant_be_written_fails_no_job(child: Child, folder: Path, qwen: ModelEntry) -> None:
    # A folder where the file should be.
    trace_file(folder / "home", 6, 1).mkdir(parents=True)
    assert child.measure(speed(qwen, 6, new_tokens=20, profile=True)).figures.latency_seconds is not None
    assert "no trace of job-6-1.json.gz: " in child.log.read_text()
