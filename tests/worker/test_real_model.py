"""A real language model answers real questions through the queue, with nothing set but the home."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.worker.processes import stack

#: the question that the project's description asks for
ASKED = (
    "select model, workload, strategy, temperature, accuracy, accuracy_stderr, decode_tokens_per_second, "
    "peak_process_memory_bytes from history order by run_id"
)


@pytest.mark.model
def test_smollm2_answers_paris_through_the_queue(tmp_path: Path, model_home: Path) -> None:
    with stack(tmp_path, f"sqlite:///{tmp_path}/home/history.db", {}) as it:
        del it.environment["BENCHBEAT_DATABASE_URL"]
        (model_home / "cache").mkdir(exist_ok=True)
        (it.home / "cache").symlink_to(model_home / "cache")
        options = {"--workload": "facts", "--strategy": "direct,few_shot", "--items": "4", "--items-seed": "5"}
        words = [word for pair in options.items() for word in pair]
        done = it.call("run", "--model", "smollm2-135m", *words, "--max-new-tokens", "16", timeout_seconds=300)
        assert done.returncode == 0, done.stdout + done.stderr + it.log("home/logs/worker")
        assert "[2/2] " in done.stderr
        assert it.processes() == []
        it.assert_nothing_lost(1)
        answers = _asked(it.call("sql", "-o", "json", "select strategy, text from answers where item_id = 'facts-001'"))
        assert {each["strategy"] for each in answers} == {"direct", "few_shot"}
        assert "Paris" in str(next(each["text"] for each in answers if each["strategy"] == "direct"))
        direct, few_shot = _asked(it.call("sql", "-o", "json", ASKED))
        assert (direct["strategy"], few_shot["strategy"]) == ("direct", "few_shot")
        for row in (direct, few_shot):
            assert None not in row.values()
        sessions = _asked(it.call("sql", "-o", "json", "select load_seconds, session_position from history"))
        assert [each["session_position"] for each in sessions] == [1, 2]
        assert [each["load_seconds"] is not None for each in sessions] == [True, False], "loaded once"


def _asked(done: "subprocess.CompletedProcess[str]") -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows
