"""One job in two processes with a real worker, real sessions and a real, tiny model, on both databases."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.statistics import median
from db.schema import upgrade
from tests.services import running_postgresql
from tests.waiting import wait_until
from tests.worker.processes import START_SECONDS, Stack, model_tables, stack


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def it(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_qwen: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    if request.param == "sqlite":
        url = f"sqlite:///{folder / 'history.db'}"
        upgrade(url)
        with stack(folder, url, {"tiny": tiny_qwen}) as made:
            yield made
    else:
        with running_postgresql() as server:
            server.execute("CREATE DATABASE {name}", name="benchbeat")
            upgrade(server.url("benchbeat"))
            with stack(folder, server.url("benchbeat"), {"tiny": tiny_qwen}) as made:
                yield made


def sweep(it: Stack, *, new_tokens: int, iterations: int) -> str:
    """Return a sweep of one job whose two processes measure half of the iterations each."""
    stop = f"target = 0.0001, min_iterations = {iterations}, max_iterations = {iterations}, max_warmup_iterations = 3"
    return (
        model_tables(it.models)
        + "[[sweep]]\nmodel = 'tiny'\nworkload = 'speed'\nprompt_tokens = 8\nprocesses = 2\n"
        + f"new_tokens = {new_tokens}\nstop = {{ {stop} }}\n"
    )


def asked(it: Stack, statement: str) -> list[dict[str, object]]:
    """Return what `benchbeat sql` answers."""
    done = it.call("sql", statement, "-o", "json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_two_processes_are_one_run_whose_samples_say_where_they_are_from(it: Stack) -> None:
    it.worker()
    batch = it.submit(sweep(it, new_tokens=4, iterations=12))
    assert it.wait_ended(batch).done == 1
    it.assert_nothing_lost(batch)
    (run,) = asked(it, f"select * from history where batch = {batch}")
    assert (run["processes"], run["isolation"], run["iterations"]) == (2, "process", 12)
    assert (run["session_position"], run["warm"] in (True, False)) == (1, True)
    assert isinstance(run["warmup_iterations"], int)
    assert 1 <= run["warmup_iterations"] <= 3
    low, high = (run[f"process_latency_{end}_seconds"] for end in ("low", "high"))
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert 0 < low <= high
    query = f"select process, iteration, latency_seconds from samples where run_id = {run['run_id']} order by iteration"
    samples = asked(it, query)
    assert [(each["process"], each["iteration"]) for each in samples] == [(1 + n // 6, n) for n in range(12)]
    seconds = [float(str(each["latency_seconds"])) for each in samples]
    assert [low, high] == pytest.approx(sorted([median(seconds[:6]), median(seconds[6:])]))
    assert run["latency_seconds"] == pytest.approx(median(seconds))
    assert run["load_seconds"] is not None


def test_an_attempt_whose_second_process_is_killed_is_tried_again_from_the_first(it: Stack) -> None:
    worker = it.worker()
    batch = it.submit(sweep(it, new_tokens=200, iterations=12))
    in_the_second = '"process":2'
    wait_until(lambda: in_the_second in (it.jobs(batch)[0].progress or ""), "the second process works", START_SECONDS)
    os.kill(it.wait_session(worker), signal.SIGKILL)
    # two more sessions are to start
    assert it.wait_ended(batch, 2 * START_SECONDS).done == 1
    it.assert_nothing_lost(batch)
    assert [each.outcome for each in it.attempts(batch)] == ["failed", "done"]
    (run,) = it.runs(batch)
    found = asked(it, f"select process, count(*) as n from samples where run_id = {run.id} group by process order by 1")
    assert [(each["process"], each["n"]) for each in found] == [(1, 6), (2, 6)]
