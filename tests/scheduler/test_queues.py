"""Queues by device and memory class: a job is rung for where a worker that can hold it listens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.spec import JobSpec
from scheduler.queues import CLASSES_GIB, batch_queue, memory_class, queue_of, queues_for, session_key

MEMORY = st.integers(1, 600 * 1024)
DEVICES = st.sampled_from(["cpu", "cuda", "mps"])
SPEC = JobSpec(model="m", workload="w")


@pytest.mark.parametrize(
    ("memory_mib", "gib"), [(1, 1), (1024, 1), (1025, 2), (4096, 4), (9830, 16), (262_144, 256), (999_999, 256)]
)
def test_a_class_is_the_smallest_that_holds_the_memory(memory_mib: int, gib: int) -> None:
    assert memory_class(memory_mib) == gib


@pytest.mark.parametrize(
    ("device", "machine", "queue"),
    [
        ("mps", None, "mps.16"),
        ("any", None, "any.16"),
        ("any", "mac-1", "machine.mac-1"),
        ("cuda", "mac-1", "machine.mac-1.cuda"),
    ],
)
def test_a_job_waits_in_the_queue_of_its_device_or_its_machine(device: str, machine: str | None, queue: str) -> None:
    assert queue_of(device, machine, 9830) == queue


def test_a_worker_listens_up_to_the_class_of_its_memory() -> None:
    # a Mac of 12.7 GiB
    assert queues_for("mps", "mac-1", 13_004) == (
        *("mps.1", "mps.2", "mps.4", "mps.8", "mps.16"),
        *("any.1", "any.2", "any.4", "any.8", "any.16"),
        *("machine.mac-1", "machine.mac-1.mps"),
    )


@given(
    DEVICES, st.sampled_from(["cpu", "cuda", "mps", "any"]), st.sampled_from([None, "here", "there"]), MEMORY, MEMORY
)
def test_a_worker_listens_where_a_job_waits_that_it_can_hold(
    own: str, device: str, machine: str | None, needed: int, has: int
) -> None:
    listens = queue_of(device, machine, needed) in queues_for(own, "here", has)
    if device in ("any", own) and machine in (None, "here") and needed <= has:
        assert listens
    if device not in ("any", own) or machine == "there":
        assert not listens


@given(MEMORY)
def test_classes_grow_with_memory(memory_mib: int) -> None:
    gib = memory_class(memory_mib)
    assert gib in CLASSES_GIB
    assert gib * 1024 >= memory_mib or gib == CLASSES_GIB[-1]
    assert memory_class(memory_mib + 1) >= gib


def test_a_worker_for_one_batch_has_a_doorbell_of_its_own() -> None:
    doorbell = batch_queue(3, "w-1")
    assert doorbell != batch_queue(3, "w-2")
    assert doorbell not in queues_for("cpu", "here", 600 * 1024)


@pytest.mark.parametrize(
    "changes", [{"workload": "v"}, {"temperature": 0.5}, {"batch_size": 4}, {"device": "cpu"}, {"prompt_tokens": 9}]
)
def test_jobs_share_a_loaded_model_whatever_it_is_asked(changes: dict[str, object]) -> None:
    assert session_key(SPEC.model_copy(update=changes), "hash") == session_key(SPEC, "hash")


@pytest.mark.parametrize("changes", [{"precision": "float16"}, {"attention": "eager"}, {"compile": True}])
def test_jobs_share_no_model_that_is_loaded_otherwise(changes: dict[str, object]) -> None:
    assert session_key(SPEC.model_copy(update=changes), "hash") != session_key(SPEC, "hash")
    assert session_key(SPEC, "other") != session_key(SPEC, "hash")
