"""From a sweep file to the answers, through the command as people type it and real processes."""

import gzip
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until
from tests.worker import tiny
from tests.worker.processes import START_SECONDS, Stack, model_tables, speed_sweep, stack

pytestmark = pytest.mark.alone

#: what a worker's main process may hold in memory
RESIDENT_MIB = 120

QUALITY = """
[workloads.mine]
task = "text"
items = "mine.jsonl"
score = "contains"

[[sweep]]
model = "tiny-a"
workload = "mine"
strategy = ["direct", "chain_of_thought"]
max_new_tokens = 4
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give two tiny models; each needs a session of its own."""
    folder = tmp_path_factory.mktemp("models")
    return {"tiny-a": tiny.build(folder / "a", "qwen2"), "tiny-b": tiny.build(folder / "b", "llama")}


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, models: dict[str, Path]) -> Iterator[Stack]:
    """Give one home for the tests of this file, with a database and a Redis of its own."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "history.db").write_bytes(sqlite_template.read_bytes())
    with stack(folder, f"sqlite:///{folder}/history.db", models) as made:
        yield made


def test_run_ends_by_itself_where_no_worker_can_hold_the_model(it: Stack, models: dict[str, Path]) -> None:
    _run_too_large(it, models)
    assert it.processes() == []


def _run_too_large(it: Stack, models: dict[str, Path]) -> None:
    reason = "in float32 needs 5000.0 GiB; the largest live device has "
    done = it.call("run", str(it.sweep(speed_sweep(models, 1, memory_gib=5000))))
    assert done.returncode == 4
    assert reason in done.stderr
    batch_id = max(it.batches())
    assert it.batch(batch_id).queued == 2
    if it.processes():
        assert reason in " ".join(it.call("status").stdout.split())
    assert "2 cancelled" in it.call("cancel", "--batch", str(batch_id)).stdout


def test_ctrl_c_on_run_leaves_a_batch_that_up_finishes(it: Stack, models: dict[str, Path]) -> None:
    backlog = it.submit_speed(2)
    batch_id = _interrupt_run(it, models)
    assert it.batch(backlog).queued == 2, "what others queued is left alone"
    it.up()
    for each in (backlog, batch_id):
        it.wait_ended(each)
        it.assert_nothing_lost(each)
    assert Counter(each.outcome for each in it.attempts(batch_id))["returned"] == 1
    asked = f"select item_id, prompt, expected, text from answers where batch = {batch_id} order by job_id, item_id"
    answers = json.loads(it.call("sql", "-o", "json", asked).stdout)
    assert [each["item_id"] for each in answers] == ["q0", "q1", "q2"] * 2
    assert (answers[1]["prompt"], answers[1]["expected"]) == ("What is 1?", "1")


def _interrupt_run(it: Stack, models: dict[str, Path]) -> int:
    """Interrupt a `run` in the middle of its batch, and return that."""
    items = [{"id": f"q{number}", "prompt": f"What is {number}?", "answer": str(number)} for number in range(3)]
    (it.folder / "mine.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    long = speed_sweep({"tiny-a": models["tiny-a"]}, 5, seconds=1.5, tables=False)
    before = len(it.batches())
    running = it.start("run", str(it.sweep(model_tables(models) + QUALITY + long)))
    wait_until(lambda: running.poll() is not None or len(it.batches()) > before, "the batch is there", START_SECONDS)
    batch_id = max(it.batches())
    it.wait_measuring(batch_id)
    _is_small_and_idle(it, batch_id)
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 130
    assert it.processes() == []
    left = it.batch(batch_id)
    assert (left.running, left.failed, left.cancelled) == (0, 0, 0)
    assert min(left.done, left.queued) >= 1
    said = it.log("run").splitlines()
    assert said[0].startswith(f"batch {batch_id}: sweep")
    assert sum(line.startswith("[") for line in said) >= 2, "a job that ended is told"
    assert it.redis().keys("batch.*") == [], "the doorbell of its own worker is gone"
    jobs = f"{left.queued} unfinished {'job' if left.queued == 1 else 'jobs'}"
    assert said[-1] == (
        f"Batch {batch_id} keeps {jobs}. Go on with `benchbeat up`, "
        f"or cancel with `benchbeat cancel --batch {batch_id}`."
    )
    return batch_id


def _is_small_and_idle(it: Stack, batch_id: int) -> None:
    """The worker's main process holds no torch, and costs next to nothing while its session measures."""
    [row] = [each for each in it.workers() if each.batch_id == batch_id]
    main = psutil.Process(row.pid)
    assert main.memory_info().rss < RESIDENT_MIB * 2**20
    maps = Path(f"/proc/{row.pid}/maps")
    if maps.exists():  # on Linux
        files = maps.read_text()
        assert "_sqlite3" in files
        assert "torch" not in files
        assert "tokenizers" not in files
    before = _cpu_seconds(main)
    seen = row.seen_at
    wait_until(lambda: max(each.seen_at for each in it.workers()) > seen + 1.5, "a few ticks have passed")
    assert _cpu_seconds(main) - before < 0.3


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_run_leaves_the_work_to_a_worker_that_runs(it: Stack, models: dict[str, Path]) -> None:
    it.up()
    done = it.call("run", str(it.sweep(speed_sweep(models, 1))))
    assert done.returncode == 0
    assert "runs on this machine and does the work" in done.stderr
    _run_too_large(it, models)


def test_batches_on_two_models_take_turns_without_reloading(it: Stack, models: dict[str, Path]) -> None:
    it.up()
    others = {name: models[name] for name in reversed(models)}
    first = it.submit(speed_sweep(models, 4, seconds=0.3))
    waited = it.call("submit", "--wait", str(it.sweep(speed_sweep(others, 4, seconds=0.3))))
    assert waited.returncode == 0, waited.stderr
    second = max(it.batches())
    assert second != first
    assert "[8/8]" in waited.stderr
    it.wait_ended(first)
    runs = [*it.runs(first), *it.runs(second)]
    for batch_id in (first, second):
        it.assert_nothing_lost(batch_id)
    loads = Counter(each.model for each in runs if each.load_seconds is not None)
    assert all(count <= 2 for count in loads.values()), loads
    assert len({each.session for each in runs}) <= 4
    _cancel_in_every_state(it, runs[-1].model)


def _cancel_in_every_state(it: Stack, loaded: str) -> None:
    done, held = (
        it.submit(speed_sweep({loaded: it.models[loaded]}, jobs, seconds=s)) for jobs, s in ((1, 0), (3, 300))
    )
    it.wait_ended(done)
    running = it.wait_measuring(held)
    # Asked for here, since the command's own start would count.
    began = time.monotonic()
    it.cancel(held)
    it.wait_ended(held)
    assert time.monotonic() - began < 3, "about a second, and the rest for a busy machine"
    assert (it.batch(held).cancelled, it.batch(done).done) == (3, 1)
    assert [each.outcome for each in it.attempts(held)] == ["cancelled"]
    assert it.runs(held) == []
    again = it.call("cancel", str(running.id), str(it.jobs(done)[0].id))
    assert again.returncode == 0
    assert "nothing was left to cancel" in again.stdout + again.stderr
    assert it.batch(done).done == 1


def test_ctrl_c_on_up_and_down_leave_nothing_behind(it: Stack) -> None:
    up = it.up()
    held = it.submit_speed(1, seconds=300)
    it.wait_running(held)
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 0
    assert it.processes() == []
    assert [each.state for each in it.jobs(held)] == ["queued"]
    assert it.call("down").stdout == "stopped the embedded Redis\n"
    assert it.call("down").stdout == "nothing was running\n"
    assert it.processes() == []


def test_a_profiled_run_has_a_trace_and_its_speed_does_not_count(it: Stack, models: dict[str, Path]) -> None:
    # By its own worker: one for all would take the long job that the test before has left queued.
    sweep = it.sweep(
        model_tables(models) + '[[sweep]]\nmodel = "tiny-b"\nworkload = "speed"\nprompt_tokens = 9\nnew_tokens = 24\n'
    )
    done = it.call("run", str(sweep), "--profile")
    assert done.returncode == 0, done.stderr
    [said] = [line for line in done.stderr.splitlines() if line.startswith("trace of job ")]
    file = Path(said.split(": ")[1].partition(" (")[0])
    assert file.parent == it.home / "traces"
    assert b"aten::" in gzip.decompress(file.read_bytes())
    asked = "select run_id, contamination from history where prompt_tokens = 9 and new_tokens = 24"
    [run] = json.loads(it.call("sql", "-o", "json", asked).stdout)
    assert run["contamination"] == f"it was profiled (trace: traces/{file.name})"
    latest = f"select run_id from latest where run_id = {run['run_id']}"
    assert json.loads(it.call("sql", "-o", "json", latest).stdout) == []
    assert "1 trace of profiled runs was removed" in it.call("db", "prune", "--keep-samples", "0s").stdout
    assert not file.exists()
