"""Machines and workers: who is there, by the database's clock."""

import pytest
from sqlalchemy import Row, exc, literal, select, update

from db.engine import Database, now
from db.tables import machine, worker
from db.workers import ALIVE_SECONDS, WorkerRow, live_worker_for, live_workers, mark_seen, mark_stopped
from tests.db.builders import MACHINE_FACTS, WORKER_FACTS, add_jobs, add_worker, job_row, row_counts


def row_of(database: Database, worker_id: str) -> Row[tuple[object, ...]]:
    """Return a worker's row."""
    with database.read() as connection:
        return connection.execute(select(worker).where(worker.c.id == worker_id)).one()


def alive(database: Database) -> list[WorkerRow]:
    """Return the live workers."""
    with database.read() as connection:
        return live_workers(connection)


def owner(database: Database, machine_id: str = "machine-a", device: str = "cpu") -> str | None:
    """Return the id of the worker that owns a device."""
    with database.read() as connection:
        found = live_worker_for(connection, machine_id, device)
    return None if found is None else found.id


def silence(database: Database, worker_id: str, seconds: float) -> None:
    """Set a worker's last sign of life to a time ago."""
    with database.write() as connection:
        connection.execute(update(worker).where(worker.c.id == worker_id).values(seen_at=now() - literal(seconds)))


def test_a_worker_is_alive_once_it_is_registered(database: Database) -> None:
    add_worker(database)
    (found,) = alive(database)
    assert 0 <= found.silent_seconds < 10
    expected = WorkerRow(
        id="worker-a",
        machine_id="machine-a",
        device="cpu",
        device_name="Test CPU",
        memory_mib=8192,
        queues=("any.4", "cpu.4"),
        batch_id=None,
        pid=4321,
        job_id=None,
        silent_seconds=found.silent_seconds,
    )
    assert found == expected


def test_a_machine_is_stored_with_its_first_worker_and_renewed_with_the_next(database: Database) -> None:
    add_worker(database)
    with database.write() as connection:
        connection.execute(update(machine).values(os="Older", first_seen_at=5.0))
    add_worker(database, "worker-b")
    with database.read() as connection:
        row = connection.execute(select(machine)).one()
    assert row._asdict() == MACHINE_FACTS | {"first_seen_at": 5.0}


def test_a_worker_s_id_is_taken_once(database: Database) -> None:
    add_worker(database)
    with pytest.raises(exc.IntegrityError):
        add_worker(database)
    assert row_counts(database)["worker"] == 1


def test_workers_of_one_moment_stand_in_one_order(database: Database) -> None:
    add_worker(database, "worker-b")
    add_worker(database)
    with database.write() as connection:
        connection.execute(update(worker).values(started_at=5.0))
    mark_seen(database, "worker-a", job_id=None, loaded=None)
    mark_seen(database, "worker-b", job_id=None, loaded=None)
    assert [each.id for each in alive(database)] == ["worker-a", "worker-b"]


def test_a_sign_of_life_tells_what_the_worker_does(database: Database) -> None:
    (job_id,) = add_jobs(database)
    add_worker(database)
    add_worker(database, "worker-b")
    silence(database, "worker-a", 1000)
    mark_seen(database, "worker-a", job_id=job_id, loaded="tiny-float32")
    first, second = alive(database)
    assert (first.id, first.job_id, second.id, second.job_id) == ("worker-a", job_id, "worker-b", None)
    assert first.silent_seconds < 10
    assert row_of(database, "worker-a").loaded == "tiny-float32"
    mark_seen(database, "worker-a", job_id=None, loaded=None)
    assert alive(database)[0].job_id is None
    assert row_of(database, "worker-a").loaded is None


def test_a_silent_worker_is_gone(database: Database) -> None:
    for name, seconds in (("fresh", 0.0), ("nearly", ALIVE_SECONDS - 10), ("silent", ALIVE_SECONDS + 1)):
        add_worker(database, name)
        silence(database, name, seconds)
    assert [each.id for each in alive(database)] == ["fresh", "nearly"]
    assert alive(database)[1].silent_seconds == pytest.approx(ALIVE_SECONDS - 10, abs=9)


def test_a_stopped_worker_is_gone_and_does_nothing(database: Database) -> None:
    (job_id,) = add_jobs(database)
    add_worker(database)
    mark_seen(database, "worker-a", job_id=job_id, loaded=None)
    mark_stopped(database, "worker-a")
    assert alive(database) == []
    assert row_of(database, "worker-a").job_id is None
    # a heartbeat that comes after it doesn't bring it back
    mark_seen(database, "worker-a", job_id=None, loaded=None)
    assert alive(database) == []


def test_signs_of_a_worker_that_never_was_change_nothing(database: Database) -> None:
    mark_seen(database, "nobody", job_id=None, loaded=None)
    mark_stopped(database, "nobody")
    assert row_counts(database)["worker"] == 0


def test_the_owner_of_a_device(database: Database) -> None:
    assert owner(database) is None
    add_worker(database)
    assert owner(database) == "worker-a"
    assert owner(database, device="auto") == "worker-a"
    assert owner(database, device="cuda") is None
    assert owner(database, machine_id="machine-b") is None


def test_a_worker_of_one_batch_owns_no_device_for_the_others(database: Database) -> None:
    (job_id,) = add_jobs(database)
    add_worker(database, batch_id=job_row(database, job_id).batch_id)
    assert owner(database) is None
    assert len(alive(database)) == 1


def test_a_worker_that_is_gone_owns_no_device(database: Database) -> None:
    add_worker(database)
    silence(database, "worker-a", ALIVE_SECONDS + 1)
    assert owner(database) is None


def test_workers_are_told_oldest_first(database: Database) -> None:
    for name in ("worker-c", "worker-a", "worker-b"):
        add_worker(database, name)
    with database.write() as connection:
        for place, name in enumerate(("worker-b", "worker-c", "worker-a")):
            connection.execute(update(worker).where(worker.c.id == name).values(started_at=float(place)))
    assert [each.id for each in alive(database)] == ["worker-b", "worker-c", "worker-a"]
    assert set(WORKER_FACTS) - {"version"} <= set(WorkerRow.__dataclass_fields__)
