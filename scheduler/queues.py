"""Queues by device and memory class, and which of them a worker listens to."""

from functools import lru_cache

from bench.spec import JobSpec, hash_of

#: upper bounds of the memory classes, in GiB
CLASSES_GIB = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def memory_class(memory_mib: int) -> int:
    """Return the smallest class that holds `memory_mib`, in GiB; the largest for what is larger still."""
    return next((gib for gib in CLASSES_GIB if memory_mib <= gib * 1024), CLASSES_GIB[-1])


@lru_cache(1024)
def queue_of(device: str, machine: str | None, memory_mib: int) -> str:
    """Return the queue of a job: `mps.16`, `any.4`, or `machine.ID` for one that names its machine."""
    if machine is None:
        return f"{device}.{memory_class(memory_mib)}"
    return f"machine.{machine}" if device == "any" else f"machine.{machine}.{device}"


def queues_for(device: str, machine: str, memory_mib: int) -> tuple[str, ...]:
    """Return the queues of a worker: every class up to the one that contains its device's memory.

    The claim compares the memory itself, so a 12.7 GiB device listens to class 16 and takes no job of 14 GiB.
    """
    largest = memory_class(memory_mib)
    classes = [gib for gib in CLASSES_GIB if gib <= largest]
    shared = [f"{kind}.{gib}" for kind in (device, "any") for gib in classes]
    return (*shared, f"machine.{machine}", f"machine.{machine}.{device}")


def batch_queue(batch_id: int, worker_id: str) -> str:
    """Return the doorbell of a worker that works for one batch only.

    It must not listen to the shared queues: it would eat the rings of jobs that it may not claim, for ever.
    """
    return f"batch.{batch_id}.{worker_id}"


def session_key(spec: JobSpec, model_hash: str) -> str:
    """Return the key of the jobs that can share a loaded model. A worker owns one device, so that is not in it."""
    return _session_key(model_hash, spec.precision, spec.attention, spec.compile)


@lru_cache(1024)
def _session_key(*shared: str | bool) -> str:
    return hash_of(shared)[:32]
