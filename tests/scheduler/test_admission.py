"""What a device holds decides what its worker is given: a Mac with 16 GiB, of which its GPU may use 12."""

import pytest

from bench.library import builtin_library
from bench.sweep import Block, expand
from db.engine import Database
from db.jobs import Claimant, claim
from db.status import waiting_in_vain
from db.workers import live_workers
from report.status import print_job
from scheduler.queues import queues_for
from scheduler.submit import submit
from tests.db.builders import add_worker, claimed_by, job_row

GPU_MIB = 12 * 1024
REFUSED = (
    "deepseek-vl2-small in bfloat16 needs 31.5 GiB; the largest live device has 12.0 GiB (Apple M4, mps): "
    "start a worker on a larger machine, or run it in int4 (10.8 GiB)"
)


def _mac(database: Database, worker_id: str = "mac-mini", memory_mib: int = GPU_MIB) -> Claimant:
    queues = queues_for("mps", "mac", memory_mib)
    return add_worker(
        database,
        worker_id,
        machine_id="mac",
        device="mps",
        device_name="Apple M4",
        memory_mib=memory_mib,
        queues=queues,
    )


def _queue(database: Database, **axes: object) -> None:
    """Queue deepseek-vl2-small in two precisions, the one that is too large first."""
    wanted = {"model": "deepseek-vl2-small", "workload": "shapes", "precision": ["bfloat16", "int4"], "items": 4}
    submit(database, expand([Block(wanted | axes, str)], builtin_library(), name="admission"))


@pytest.mark.parametrize("device", ["any", "mps"])
def test_a_mac_of_16_gib_takes_deepseek_vl2_small_in_int4_and_not_in_bfloat16(database: Database, device: str) -> None:
    mac = _mac(database)
    _queue(database, device=device)
    taken = claimed_by(database, mac)
    assert (taken.spec.model, taken.spec.precision) == ("deepseek-vl2-small", "int4")
    assert claim(database, mac, lease_seconds=60.0) is None
    refused = job_row(database, 1)
    assert (refused.precision, refused.state, refused.attempt) == ("bfloat16", "queued", 0)
    assert refused.memory_mib == 32_256
    # A Mac that holds it takes it.
    assert claimed_by(database, _mac(database, "mac-studio", 48 * 1024)).id == 1


def test_status_gives_both_figures_and_the_precision_that_fits(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    _mac(database)
    _queue(database)
    with database.read() as connection:
        [waiting] = waiting_in_vain(connection, live_workers(connection))
    assert (waiting.queue, waiting.jobs, waiting.reason) == ("any.32", 1, REFUSED)
    print_job(database, 1, "table")
    assert capsys.readouterr().out.splitlines()[1:3] == ["queued", f"waits: {REFUSED}"]
    print_job(database, 2, "table")
    assert "waits" not in capsys.readouterr().out
