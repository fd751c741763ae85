"""Old runs lose their raw samples, and nothing else."""

import pytest
from sqlalchemy import func, select, text, update

from bench.results import Sample
from db import prune
from db.engine import Database, now
from db.prune import Pruned, count_prunable, free_bytes, prune_samples
from db.runs import store_measurement
from db.tables import answer, run, sample
from tests.db.builders import add_jobs, add_worker, claimed_by, everything, measurement

DAY = 86_400.0
_SAMPLES = 3


def add_runs(database: Database, ages: list[float]) -> list[int]:
    """Add a run of each age in days, with three samples."""
    add_jobs(database, len(ages))
    worker = add_worker(database)
    ids = []
    samples = tuple(
        Sample(iteration=n, batch_size=1, prompt_tokens=1, new_tokens=1, latency_seconds=1.0) for n in range(_SAMPLES)
    )
    for age in ages:
        job = claimed_by(database, worker)
        measured = measurement().model_copy(update={"samples": samples})
        run_id = store_measurement(database, job.id, job.attempt, "machine-a", measured)
        assert run_id is not None
        ids.append(run_id)
        with database.write() as connection:
            connection.execute(update(run).where(run.c.id == run_id).values(started_at=now() - age * DAY))
    return ids


def counts(database: Database) -> dict[int, int]:
    """Return how many samples each run has."""
    with database.read() as connection:
        rows = connection.execute(select(sample.c.run_id, func.count()).group_by(sample.c.run_id)).all()
    return {row[0]: row[1] for row in rows}


def test_the_samples_of_old_runs_go(database: Database) -> None:
    old, young, older = add_runs(database, [91, 89, 400])
    before = everything(database)
    with database.read() as connection:
        assert count_prunable(connection, 90 * DAY) == Pruned(2, 2 * _SAMPLES)
    assert everything(database) == before
    assert list(prune_samples(database, 90 * DAY)) == [Pruned(2, 2 * _SAMPLES)]
    assert counts(database) == {young: _SAMPLES}
    after = everything(database)
    for each in (before, after):
        each["rows"].pop("sample")
        each["rows"].pop("run")
    assert after == before
    with database.read() as connection:
        rows = connection.execute(text("SELECT run_id, samples_pruned_at FROM history")).all()
    pruned = {row.run_id: row.samples_pruned_at for row in rows}
    assert pruned[young] is None
    assert pruned[old] is not None
    assert pruned[older] is not None
    # Safe to repeat.
    assert list(prune_samples(database, 90 * DAY)) == []


def test_what_is_stopped_midway_leaves_whole_runs(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = add_runs(database, [100 + n for n in range(5)])
    monkeypatch.setattr(prune, "_RUNS_AT_ONCE", 2)
    assert next(iter(prune_samples(database, 90 * DAY))) == Pruned(2, 2 * _SAMPLES)
    # The oldest went first.
    assert counts(database) == dict.fromkeys(ids[:3], _SAMPLES)
    assert list(prune_samples(database, 90 * DAY)) == [Pruned(2, 2 * _SAMPLES), Pruned(1, _SAMPLES)]


def test_answers_stay(database: Database) -> None:
    add_runs(database, [400])
    with database.read() as connection:
        before = connection.execute(select(func.count()).select_from(answer)).scalar_one()
    list(prune_samples(database, DAY))
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(answer)).scalar_one() == before


def test_sqlite_says_what_is_free(database: Database) -> None:
    found = free_bytes(database)
    assert (found is not None and found >= 0) if database.is_sqlite else found is None
