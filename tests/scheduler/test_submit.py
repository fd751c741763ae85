"""Submitting: one transaction, and a key that makes a second try harmless."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from bench.errors import InputError
from bench.library import builtin_library
from bench.spec import hash_of
from bench.strategies import Strategy
from bench.sweep import Block, Sweep, expand
from bench.templates import Template
from bench.workloads import Workload
from db import submissions
from db.engine import Database
from db.submissions import batch_of_key
from db.tables import batch, item, job, metadata, model, strategy, workload
from scheduler.submit import Submission, model_hash_of, prepare, submit, workload_hash
from tests.commands import environment

RACER = """
import json, sys
from bench.library import builtin_library
from bench.sweep import Block, expand
from db.engine import Database
from scheduler.submit import submit

database = Database(sys.argv[1])
sweep = expand([Block(json.loads(sys.argv[2]), str)], builtin_library(), name="test")
print("ready", flush=True)
sys.stdin.readline()
done = submit(database, sweep, key="the key")
print(done.batch_id, done.created, done.jobs)
database.dispose()
"""

AXES: dict[str, Any] = {
    "model": "smollm2-135m",
    "workload": ["facts", "speed"],
    "strategy": ["direct", "few_shot"],
    "temperature": 0.0,
}


def sweep(axes: Mapping[str, Any] | None = None, *, name: str = "test", priority: int = 0) -> Sweep:
    """Return a sweep of two quality jobs and one of speed, with axes changed."""
    block = Block({**AXES, **(axes or {})}, lambda key: f"--{key}")
    return expand([block], builtin_library(), name=name, priority=priority)


def counts(database: Database) -> dict[str, int]:
    """Return the rows of every table that holds some."""
    with database.read() as connection:
        found = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }
    return {name: rows for name, rows in found.items() if rows}


def test_a_batch_is_stored_with_all_that_its_jobs_refer_to(database: Database) -> None:
    done = submit(database, sweep(priority=7))
    assert done == Submission(done.batch_id, created=True, jobs=3)
    items = len(builtin_library().workloads["facts"].items)
    assert counts(database) == {"batch": 1, "job": 3, "model": 1, "workload": 2, "strategy": 2, "item": items}
    with database.read() as connection:
        jobs = connection.execute(select(job).order_by(job.c.id)).all()
        stored = connection.execute(select(batch)).one()
    assert [(j.workload, j.strategy, j.state, j.priority, j.queue) for j in jobs] == [
        ("facts", "direct", "queued", 7, "any.1"),
        ("facts", "few_shot", "queued", 7, "any.1"),
        ("speed", None, "queued", 7, "any.1"),
    ]
    assert len({j.session_key for j in jobs}) == 1
    assert (stored.name, stored.key, stored.priority) == ("test", None, 7)


def test_what_is_stored_already_is_not_stored_again(database: Database) -> None:
    submit(database, sweep())
    before = counts(database)
    submit(database, sweep())
    assert counts(database) == {**before, "batch": 2, "job": 6}


def test_a_submission_that_fails_halfway_stores_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(submissions, "insert_jobs", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        submit(database, sweep(), key="k")
    assert counts(database) == {}


def test_the_same_key_with_the_same_sweep_is_the_same_batch(database: Database) -> None:
    first = submit(database, sweep(), key="nightly-1")
    again = submit(database, sweep(name="by another name"), key="nightly-1")
    assert (first.created, again.created) == (True, False)
    assert (again.batch_id, again.jobs) == (first.batch_id, 3)
    assert counts(database)["job"] == 3


@pytest.mark.parametrize(
    "other", [sweep({"temperature": 0.5}), sweep(priority=1), sweep({"strategy": ["few_shot", "direct"]})]
)
def test_the_same_key_with_another_sweep_is_refused(database: Database, other: Sweep) -> None:
    batch_id = submit(database, sweep(), key="k").batch_id
    with pytest.raises(InputError) as caught:
        submit(database, other, key="k")
    assert str(caught.value) == (
        f"--key: the key 'k' belongs to batch {batch_id}, which holds another sweep; give a new key"
    )
    assert counts(database)["batch"] == 1


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 201])
def test_a_key_is_a_line_of_text(database: Database, key: str) -> None:
    with pytest.raises(InputError, match=r"^--key: must be a text of 1 to 200 characters on one line$"):
        submit(database, sweep(), key=key)
    assert counts(database) == {}


def test_of_three_processes_that_race_with_one_key_one_makes_the_batch(database: Database) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, database.url, json.dumps(AXES)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        said = [racer.communicate(timeout=60)[0].split() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    assert sorted(created for _, created, _ in said) == ["False", "False", "True"]
    assert len({batch_id for batch_id, _, _ in said}) == 1
    assert counts(database)["batch"] == 1
    assert counts(database)["job"] == 3


def test_a_submitter_that_looked_too_early_gets_the_batch_of_the_faster_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submit(database, sweep(), key="k")
    too_early = iter([None])
    monkeypatch.setattr("scheduler.submit.batch_of_key", lambda *look: next(too_early, batch_of_key(*look)))
    assert submit(database, sweep(), key="k") == Submission(first.batch_id, created=False, jobs=3)
    assert counts(database)["job"] == 3


def test_preparing_touches_no_database() -> None:
    new, jobs = prepare(sweep({"model": ["smollm2-135m", "qwen2.5-1.5b"], "workload": "facts"}), "k")
    assert [(j.spec.model, j.memory_mib, j.queue) for j in jobs] == [
        ("smollm2-135m", 1024, "any.1"),
        ("smollm2-135m", 1024, "any.1"),
        ("qwen2.5-1.5b", 4096, "any.4"),
        ("qwen2.5-1.5b", 4096, "any.4"),
    ]
    assert {j.model_hash for j in jobs} == set(new.models)
    assert {j.workload_hash for j in jobs} == set(new.workloads)
    assert {j.strategy_hash for j in jobs} == set(new.strategies)
    assert len({j.session_key for j in jobs}) == 2


def test_the_hash_of_a_sweep_is_that_of_the_list_of_its_jobs() -> None:
    new, jobs = prepare(sweep(priority=3), "k")
    listed = [[each.spec.digest(), each.model_hash, each.workload_hash, each.strategy_hash] for each in jobs]
    assert any(each.strategy_hash is None for each in jobs)
    assert new.sweep_hash == hash_of([3, listed])


def test_workloads_of_equal_data_under_two_names_are_two() -> None:
    facts = builtin_library().workloads["facts"]
    assert workload_hash(facts.model_copy(update={"name": "other"})) != workload_hash(facts)
    assert workload_hash(facts.model_copy(update={"items": facts.items[1:]})) != workload_hash(facts)


def test_the_stored_entries_read_back(database: Database) -> None:
    done = sweep()
    submit(database, done)
    with database.read() as connection:
        names = {
            table.name: set(connection.execute(select(table.c.name)).scalars()) for table in (model, workload, strategy)
        }
        prompts = set(connection.execute(select(item.c.prompt)).scalars())
    assert names == {"model": {"smollm2-135m"}, "workload": {"facts", "speed"}, "strategy": {"direct", "few_shot"}}
    assert prompts == {each.prompt for each in done.workloads["facts"].items}


def test_the_hash_of_a_model_is_of_what_a_worker_needs_to_know() -> None:
    entry = builtin_library().models["qwen2.5-1.5b"]
    assert entry.settings
    assert model_hash_of(entry.model_copy(update={"settings": {}, "description": "other"})) == model_hash_of(entry)
    for changed in ({"source": "hub:a/b"}, {"chat_template": "{{ messages }}"}, {"thinking_tokens": 9}):
        assert model_hash_of(entry.model_copy(update=changed)) != model_hash_of(entry)


def test_what_the_submitter_alone_reads_does_not_travel() -> None:
    new, _ = prepare(sweep({"model": "qwen2.5-1.5b", "workload": "facts"}))
    (entry,) = new.models.values()
    assert (entry.settings, entry.description) == ({}, "")
    assert entry.source == builtin_library().models["qwen2.5-1.5b"].source


def test_the_files_of_a_task_are_part_of_its_hash() -> None:
    task = Workload(name="mine", task="text", kind="harness", files={"mine.yaml": "task: mine"})
    assert workload_hash(task) != workload_hash(task.model_copy(update={"files": {"mine.yaml": "task: mine\n"}}))


def test_labels_and_patterns_travel() -> None:
    mine = Strategy(name="mine", output_pattern="is (.*)")
    library = builtin_library()
    own = replace(library, strategies={**library.strategies, "mine": mine})
    block = Block({"model": "smollm2-135m", "workload": "facts", "strategy": "mine"}, str)
    new, (job,) = prepare(expand([block], own, name="x", labels={"team": "blue"}))
    assert new.labels == {"team": "blue"}
    name, definition = new.strategies[job.strategy_hash or ""]
    assert name == "mine"
    assert Template.parse(definition) == mine.template(library.workloads["facts"])
