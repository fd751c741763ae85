"""Writing a batch: all of it or nothing, and what it refers to once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import exc, select

from bench.workloads import Item, Workload
from db.engine import Database
from db.submissions import NewBatch, batch_of_key, insert_batch
from db.tables import batch, item, model, strategy, workload
from tests.db.builders import (
    BATCH,
    FACTS,
    MODEL,
    MODEL_HASH,
    QUALITY_SPEC,
    SPEED_SPEC,
    WORKLOAD_HASH,
    add_jobs,
    job_row,
    new_job,
    row_counts,
)


def submit(database: Database, new: NewBatch, jobs: int = 1) -> int:
    """Write a batch of equal jobs."""
    with database.write() as connection:
        return insert_batch(connection, new, [new_job()] * jobs)


def test_a_batch_is_stored_as_it_was_given(database: Database) -> None:
    batch_id = submit(database, replace(BATCH, name="nightly", key="today", sweep_hash="abc", priority=7), jobs=3)
    with database.read() as connection:
        row = connection.execute(select(batch)).one()
    assert (row.id, row.name, row.key, row.sweep_hash, row.priority) == (batch_id, "nightly", "today", "abc", 7)
    assert row_counts(database)["job"] == 3


def test_a_quality_job_is_stored_as_it_was_given(database: Database) -> None:
    spec = QUALITY_SPEC.model_copy(update={"temperature": 0.3, "device": "mps", "machine": "machine-a"})
    (job_id,) = add_jobs(database, [new_job(spec, queue="machine.machine-a.mps", memory_mib=1234)], priority=7)
    row = job_row(database, job_id)._asdict()
    assert row.pop("queued_at") > 1.7e9
    assert row == {
        "id": job_id,
        "batch_id": 1,
        "spec": spec.canonical(),
        "model": "tiny",
        "workload": "facts",
        "strategy": "direct",
        "temperature": 0.3,
        "precision": "float32",
        "prompt_tokens": None,
        "new_tokens": None,
        "device": "mps",
        "machine": "machine-a",
        "model_hash": "model-hash",
        "workload_hash": "facts-hash",
        "strategy_hash": "direct-hash",
        "queue": "machine.machine-a.mps",
        "session_key": "tiny-float32",
        "memory_mib": 1234,
        "priority": 7,
        "state": "queued",
        "attempt": 0,
        "failures": 0,
        "worker_id": None,
        "lease_until": None,
        "cancel_requested": False,
        "progress": None,
        "error": None,
        "repeat_of": None,
        "reason": None,
        "started_at": None,
        "finished_at": None,
    }


def test_a_speed_job_has_lengths_and_no_strategy(database: Database) -> None:
    (job_id,) = add_jobs(database, [new_job(SPEED_SPEC)])
    row = job_row(database, job_id)
    assert (row.prompt_tokens, row.new_tokens) == (32, 8)
    assert row.strategy is row.strategy_hash is row.temperature is None


def test_jobs_keep_the_order_of_the_sweep(database: Database) -> None:
    specs = [QUALITY_SPEC.model_copy(update={"seed": seed}) for seed in range(700)]
    jobs = add_jobs(database, [new_job(spec) for spec in specs])
    assert jobs == sorted(jobs)
    assert len(jobs) == 700
    for place in (0, 1, 350, 699):
        assert job_row(database, jobs[place]).spec == specs[place].canonical()


def test_what_a_batch_refers_to_is_stored_with_it(database: Database) -> None:
    add_jobs(database)
    with database.read() as connection:
        assert connection.execute(select(model)).all() == [
            (MODEL_HASH, "tiny", MODEL.model_dump_json(exclude_defaults=True))
        ]
        assert connection.execute(select(strategy)).all() == [("direct-hash", "direct", "[]")]
        stored = connection.execute(select(workload).where(workload.c.hash == WORKLOAD_HASH)).one()
        items = connection.execute(select(item).order_by(item.c.position)).all()
    assert (stored.name, stored.task, stored.kind) == ("facts", "text", "quality")
    again = Workload.model_validate_json(stored.definition).model_copy(
        update={"items": tuple(Item.model_validate_json(each.body) for each in items)}
    )
    assert again == FACTS
    assert [(each.prompt, each.expected, each.level, each.language) for each in items] == [
        ("The capital of France?", "Paris", 1, "en"),
        ("The red planet?", "Mars | the planet Mars", 2, None),
    ]


def test_what_is_known_already_is_stored_once(database: Database) -> None:
    add_jobs(database)
    before = row_counts(database)
    add_jobs(database)
    after = row_counts(database)
    assert {name for name in after if after[name] != before[name]} == {"batch", "job"}


def test_a_question_with_any_characters_is_stored(database: Database) -> None:
    odd = FACTS.model_copy(update={"items": (Item(id="odd", prompt="a\0b\u2028é🎈", answer="c\0"),)})
    add_jobs(database, workloads={WORKLOAD_HASH: odd})
    with database.read() as connection:
        row = connection.execute(select(item)).one()
    assert (row.prompt, row.expected) == ("a\N{REPLACEMENT CHARACTER}b\u2028é🎈", "c\N{REPLACEMENT CHARACTER}")
    # what the worker is given is the very item
    assert Item.model_validate_json(row.body) == odd.items[0]


def test_a_key_is_taken_once(database: Database) -> None:
    first = submit(database, replace(BATCH, key="today"))
    before = row_counts(database)
    with pytest.raises(exc.IntegrityError):
        submit(database, replace(BATCH, key="today", models={MODEL_HASH: MODEL, "other": MODEL}))
    assert row_counts(database) == before
    with database.read() as connection:
        assert batch_of_key(connection, "today") == (first, "sweep-hash")
        assert batch_of_key(connection, "tomorrow") is None


def test_batches_without_a_key_are_their_own(database: Database) -> None:
    assert submit(database, BATCH) != submit(database, BATCH)
    assert row_counts(database)["batch"] == 2


def test_a_fault_half_way_stores_nothing(database: Database) -> None:
    jobs = [new_job(), new_job(model_hash="unknown"), new_job()]
    with pytest.raises(exc.IntegrityError), database.write() as connection:
        insert_batch(connection, BATCH, jobs)
    assert not any(row_counts(database).values())


def test_of_submitters_with_one_key_one_wins(database: Database) -> None:
    together = Barrier(4)

    def race(_: int) -> int | None:
        own = Database(database.url)
        together.wait()
        try:
            return submit(own, replace(BATCH, key="today"))
        except exc.IntegrityError:
            return None
        finally:
            own.dispose()

    with ThreadPoolExecutor(4) as pool:
        won = [batch_id for batch_id in pool.map(race, range(4)) if batch_id is not None]
    assert len(won) == 1
    assert row_counts(database)["job"] == 1


def test_submitters_of_the_same_workloads_in_other_orders_don_t_block_each_other(database: Database) -> None:
    add_jobs(database)  # the model is known, so that nobody waits for it
    names = [f"{number:02}" for number in range(30)]
    together = Barrier(2)

    def race(ordered: list[str]) -> int:
        own = Database(database.url)
        together.wait()
        try:
            return submit(own, replace(BATCH, workloads=dict.fromkeys(ordered, FACTS)))
        finally:
            own.dispose()

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(race, [names, names[::-1]]))) == 2
    assert row_counts(database)["workload"] == 2 + len(names)
