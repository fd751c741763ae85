"""Sessions that measure long answers: what reads these is a process of its own, with the same figures."""

import json
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from bench.readability import readability
from tests.waiting import wait_until
from tests.worker.sessions import entry, quality, running
from worker.protocol import Order


def long_answers(folder: Path, job_id: int = 1) -> Order:
    questions = {f"question number {n}": "1" for n in range(4)}
    return quality(entry(f"file:{folder}"), questions, job_id, max_new_tokens=128, repetition_penalty=1.3)


#: measures long answers and says which of the modules that read them are here, and what they read
PROSE = """
import json, sys
from pathlib import Path
from tests.worker.fakes import FakeDevice
from worker.protocol import Order
from worker.session import Session
emitted = []
home = Path(sys.argv[1])
Session(FakeDevice(), emitted.append, home=home, lock_dir=home).run(Order.model_validate_json(sys.stdin.read()))
print(json.dumps([sorted({"textstat", "nltk", "sklearn", "pandas"} & sys.modules.keys()),
    [[one.text, one.readability] for one in emitted[-1].measurement.answers],
    emitted[-1].measurement.environment.libraries]))
"""


def test_what_reads_texts_never_enters_the_session(tmp_path: Path, tiny_qwen: Path) -> None:
    order = long_answers(tiny_qwen)
    done = subprocess.run(
        [sys.executable, "-c", PROSE, str(tmp_path)], input=order.model_dump_json(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    modules, answers, libraries = json.loads(done.stdout)
    assert modules == []
    assert libraries == {"textstat": version("textstat")}
    assert [figure for _, figure in answers] == [readability(text) for text, _ in answers]
    assert any(figure is not None for _, figure in answers)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_reads_texts_stays_for_the_next_job_and_ends_with_the_session(
    tmp_path: Path, tiny_qwen: Path, number: signal.Signals
) -> None:
    with running(tmp_path) as session:
        figures = [session.measure(long_answers(tiny_qwen, job_id)).figures.readability for job_id in (1, 2)]
        assert figures[0] == figures[1] is not None
        (reader,) = psutil.Process(session.process.pid).children()
        session.process.send_signal(number)
        session.process.wait(20)
        wait_until(lambda: not reader.is_running() or reader.status() == psutil.STATUS_ZOMBIE, "gone")
    assert session.log.read_text() == ""
