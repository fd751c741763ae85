from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table, delete, update

from bench.errors import InputError
from bench.library import load_library
from bench.sweep import Sweep, read_sweep
from db.engine import Database
from db.jobs import Claimed
from db.tables import item, model
from scheduler.submit import submit
from tests.db.builders import add_worker, claimed_by
from worker.orders import OrderMaker

SWEEP = """
[[sweep]]
model = "smollm2-135m"
workload = "WORKLOAD"
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.dispose()


def sweep_of(tmp_path: Path, workload: str, *lines: str) -> Sweep:
    file = tmp_path / "sweep.toml"
    file.write_text(SWEEP.replace("WORKLOAD", workload) + "\n".join(lines))
    return read_sweep(file, load_library(tmp_path))


def claimed(database: Database, sweep: Sweep) -> Claimed:
    submit(database, sweep)
    return claimed_by(database, add_worker(database, queues=("any.1",)))


@pytest.mark.parametrize("strategy", ["direct", "chain_of_thought", "few_shot"])
def test_what_was_submitted_is_what_is_asked(database: Database, tmp_path: Path, strategy: str) -> None:
    sweep = sweep_of(tmp_path, "facts", f'strategy = "{strategy}"', "items = 9", "items_seed = 3")
    job = claimed(database, sweep)
    order = OrderMaker(database).order(job)
    facts = sweep.workloads["facts"]
    items = facts.sample(9, 3)
    assert [each.item for each in order.prompts] == list(items)
    assert [each.messages for each in order.prompts] == [
        sweep.strategies[strategy].messages(facts, each.prompt) for each in items
    ]
    assert (order.job_id, order.attempt, order.spec) == (job.id, 1, sweep.specs[0])
    assert order.model == sweep.models["smollm2-135m"]
    assert order.score == facts.score
    assert order.strategy_hash == job.strategy_hash == sweep.strategies[strategy].digest(facts)


def test_a_speed_job_asks_nothing(database: Database, tmp_path: Path) -> None:
    order = OrderMaker(database).order(claimed(database, sweep_of(tmp_path, "speed", "new_tokens = 4")))
    assert (order.prompts, order.score, order.strategy_hash) == ((), None, None)
    assert order.spec.new_tokens == 4


def test_the_jobs_that_follow_read_nothing_again(database: Database, tmp_path: Path) -> None:
    maker = OrderMaker(database)
    job = claimed(database, sweep_of(tmp_path, "facts", "items = 3"))
    first = maker.order(job)
    with database.write() as connection:
        connection.execute(delete(item))
    assert maker.order(job) == first


@pytest.mark.parametrize(
    ("table", "column", "body", "fault"),
    [
        (model, "entry", '{"name": "own", "shape": "round"}', "its ModelEntry .*shape.*upgrade it"),
        (item, "body", '{"id": "x", "prompt": "?", "answer": "!", "smell": 1}', "its Item .*smell.*upgrade it"),
    ],
)
def test_what_a_newer_benchbeat_wrote_is_told_in_a_sentence(
    database: Database, tmp_path: Path, table: Table, column: str, body: str, fault: str
) -> None:
    job = claimed(database, sweep_of(tmp_path, "facts", "items = 3"))
    with database.write() as connection:
        connection.execute(update(table).values({column: body}))
    with pytest.raises(InputError, match=fault):
        OrderMaker(database).order(job)
