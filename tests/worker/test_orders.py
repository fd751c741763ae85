from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table, delete, update

from bench.errors import InputError
from bench.library import load_library
from bench.sweep import Sweep, read_sweep
from db.engine import Database
from db.jobs import Claimed
from db.tables import item, model, strategy
from scheduler.submit import submit
from tests.db.builders import add_worker, claimed_by
from worker.media import MediaFiles
from worker.orders import OrderMaker
from worker.protocol import HarnessTask

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


def maker_of(database: Database, home: Path) -> OrderMaker:
    return OrderMaker(database, MediaFiles(database, home=home, data_dir=home / "data"))


def sweep_of(tmp_path: Path, workload: str, *lines: str) -> Sweep:
    file = tmp_path / "sweep.toml"
    file.write_text(SWEEP.replace("WORKLOAD", workload) + "\n".join(lines))
    return read_sweep(file, load_library(tmp_path))


def claimed(database: Database, sweep: Sweep) -> Claimed:
    submit(database, sweep)
    return claimed_by(database, add_worker(database, queues=("any.1",)))


@pytest.mark.parametrize("name", ["direct", "chain_of_thought", "few_shot"])
def test_what_was_submitted_is_what_is_asked(database: Database, tmp_path: Path, name: str) -> None:
    sweep = sweep_of(tmp_path, "facts", f'strategy = "{name}"', "items = 9", "items_seed = 3")
    job = claimed(database, sweep)
    order = maker_of(database, tmp_path).order(job)
    facts = sweep.workloads["facts"]
    items = facts.sample(9, 3)
    assert [each.item for each in order.prompts] == list(items)
    assert [each.messages for each in order.prompts] == [
        sweep.strategies[name].messages(facts, each.prompt) for each in items
    ]
    assert (order.job_id, order.attempt, order.spec) == (job.id, 1, sweep.specs[0])
    unread = {"settings": {}, "description": ""}
    assert order.model == sweep.models["smollm2-135m"].model_copy(update=unread)
    assert order.score == facts.score
    assert order.strategy_hash == job.strategy_hash == sweep.strategies[name].digest(facts)


def test_a_speed_job_asks_nothing(database: Database, tmp_path: Path) -> None:
    order = maker_of(database, tmp_path).order(claimed(database, sweep_of(tmp_path, "speed", "new_tokens = 4")))
    assert (order.prompts, order.score, order.strategy_hash) == ((), None, None)
    assert order.spec.new_tokens == 4


def test_the_jobs_that_follow_read_nothing_again(database: Database, tmp_path: Path) -> None:
    maker = maker_of(database, tmp_path)
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
        maker_of(database, tmp_path).order(job)


def test_a_strategy_s_expression_goes_along(database: Database, tmp_path: Path) -> None:
    sweep = sweep_of(
        tmp_path,
        "facts",
        'strategy = "mine"',
        "items = 3",
        "[strategies.mine]",
        'prompt = "Say it: {question}"',
        "output_pattern = 'It is (.*)'",
    )
    order = maker_of(database, tmp_path).order(claimed(database, sweep))
    assert order.output_pattern == "It is (.*)"
    assert all(each.messages[-1]["content"] == f"Say it: {each.item.prompt}" for each in order.prompts)


def test_a_task_of_lm_eval_travels_with_its_files(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "mine.yaml").write_text("task: mine\n")
    sweep = sweep_of(tmp_path, "own", "[workloads.own]", 'lm_eval = "task"')
    order = maker_of(database, tmp_path).order(claimed(database, sweep))
    assert order.harness == HarnessTask(name="mine", files={"mine.yaml": "task: mine\n"})
    assert (order.prompts, order.strategy_hash, order.output_pattern) == ((), None, None)


def test_a_template_that_is_none_is_told_in_a_sentence(database: Database, tmp_path: Path) -> None:
    job = claimed(database, sweep_of(tmp_path, "facts", "items = 3"))
    with database.write() as connection:
        connection.execute(update(strategy).values(definition='{"rules": []}'))
    with pytest.raises(InputError, match="can't read the job's strategy; upgrade it"):
        maker_of(database, tmp_path).order(job)
