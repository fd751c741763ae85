"""The process that reads texts: what it says, how it ends, and what is done without it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from bench.readability import FEWEST_WORDS, plain_prose, readability
from tests.waiting import wait_until
from worker.reader import Passage, Reader, _may_be_read

LONG = "The river runs from the hills to the sea, and many small towns stand on its banks. People fish there all year."
GERMAN = "Der Hund lief über die Straße. Die Katze schlief im Haus. Am Abend kamen die Kinder und spielten im Garten."
#: answers 50 to each line, or what the beginning of the text says
SCRIPT = """
import json, sys
for line in sys.stdin:
    text = json.loads(line)[0]
    if text.startswith("end"): sys.exit(3)
    if text.startswith("sleep"): sys.stdin.read()
    print("babble" if text.startswith("babble") else 50, flush=True)
"""


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


def scripted(patience_seconds: float = 60.0) -> Reader:
    return Reader((sys.executable, "-S", "-c", SCRIPT), patience_seconds)


def passage(beginning: str = "and") -> Passage:
    return Passage(beginning + " so on" * FEWEST_WORDS)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def is_over(process: psutil.Process) -> bool:
    """Whether a process has ended, be its end still to be read by whoever is its parent."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_it_says_what_the_formula_says(reader: Reader) -> None:
    passages = [
        Passage(LONG),
        Passage("Seven."),
        Passage(GERMAN, "de"),
        Passage(LONG, "en", ("bullets 3", "words 20..30")),
        Passage(LONG, "pl"),
        Passage("lines\n\u2028and \x00 \ud800 odd letters " * 9),
    ]
    assert reader.read(passages) == [readability(*one) for one in passages]
    before = children()
    assert reader.read(passages[:1]) == [readability(LONG)]
    assert children() == before, "one process for all"


def test_short_texts_start_nothing(reader: Reader) -> None:
    before = children()
    assert reader.read([Passage("word " * (FEWEST_WORDS - 1)), Passage("")]) == [None, None]
    assert reader.read([]) == []
    assert children() == before


@pytest.mark.parametrize("text", ["a|b|c|d|e" * 5, "[a b](c)" * 19, "- x\n" * 20, "a\u00a0b" * 10, "a_b " * 20])
def test_no_text_that_can_be_read_is_taken_for_short(text: str) -> None:
    assert _may_be_read(text) or len(plain_prose(text).split()) < FEWEST_WORDS


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [("end", "ended with exit code 3"), ("sleep", "did not answer within 0.2 s"), ("babble", "Expecting value")],
)
def test_what_goes_wrong_costs_the_readability_of_one_job(
    beginning: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader = scripted(0.2 if beginning == "sleep" else 60.0)
    before = children()
    assert reader.read([passage()]) == [50]
    assert reader.read([passage(), passage(beginning), Passage("short")]) == [None, None, None]
    assert "The readability of 3 answers is not measured: " in caplog.text
    assert reason in caplog.text
    assert children() == before
    assert reader.read([passage()]) == [50]
    reader.close()
    assert children() == before


def test_one_that_died_in_between_is_started_again() -> None:
    reader, before = scripted(), children()
    assert reader.read([passage()]) == [50]
    (number,) = children() - before
    died = psutil.Process(number)
    died.kill()
    wait_until(lambda: is_over(died), "dead")
    assert reader.read([passage()]) == [50]
    reader.close()
    assert children() == before


def test_one_that_can_t_be_started_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert Reader(("/nowhere/at/all",)).read([passage()]) == [None]
    assert "not measured: [Errno 2]" in caplog.text


def test_it_ends_with_whoever_holds_it() -> None:
    reader, before = scripted(), children()
    reader.read([passage()])
    assert len(children() - before) == 1
    del reader
    assert children() == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_parent_however_that_ends(number: signal.Signals) -> None:
    code = f"from worker.reader import *; r = Reader(); print(r.read([Passage({LONG!r})]), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().decode() == f"[{readability(LONG)}]\n"
        (child,) = psutil.Process(parent.pid).children()
        os.kill(parent.pid, number)
        parent.wait(20)
    wait_until(lambda: is_over(child), "gone")
