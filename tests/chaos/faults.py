"""Faults that strike a site at random. Each leaves the site able to go on; the supervisor starts again what died."""

import base64
import json
import os
import pickle
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from uuid import uuid4

import psutil
from redis.exceptions import RedisError

from scheduler.app import RUN_JOB
from tests.chaos.session import Behaviour
from tests.chaos.site import LEASE_SECONDS, Site
from tests.chaos.worker import POINTS, arm

Fault = Callable[[Site, Random], None]

_QUEUE = "any.1"


def pause(seconds: float) -> None:
    """Let a fault last: time is what it consists of."""
    time.sleep(seconds)


def _victim(site: Site, dice: Random) -> int | None:
    alive = [each.pid for each in site.workers if each.poll() is None]
    return dice.choice(alive) if alive else None


def _signal(pid: int | None, *numbers: signal.Signals) -> None:
    for number in numbers:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            pause(0.05)


def kill_worker(site: Site, dice: Random) -> None:
    """Kill -9 a worker."""
    _signal(_victim(site, dice), signal.SIGKILL)


def kill_at_a_point(site: Site, dice: Random) -> None:
    """Have a worker killed in a moment that matters."""
    arm(site.home, dice.choice(POINTS))


def kill_session(site: Site, dice: Random) -> None:
    """Kill -9 a session."""
    for worker in site.workers:
        session = site.session_of(worker)
        if session is not None:
            with suppress(psutil.Error):
                session.kill()
            return


def stop_worker(site: Site, dice: Random) -> None:
    """Suspend a worker past its lease."""
    victim = _victim(site, dice)
    _signal(victim, signal.SIGSTOP)
    pause(LEASE_SECONDS * 1.5)
    _signal(victim, signal.SIGCONT)


def term_worker(site: Site, dice: Random) -> None:
    """Ask a worker to stop, once or twice, in one of three ways."""
    number = dice.choice([signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
    _signal(_victim(site, dice), *[number] * dice.randint(1, 2))


def kill_redis(site: Site, dice: Random) -> None:
    """Kill -9 Redis; the supervisor starts it again."""
    server = site.redis_process()
    if server is not None:
        with suppress(psutil.Error):
            server.kill()
            server.wait(5)
    pause(dice.uniform(0, 1))


def freeze_redis(site: Site, dice: Random) -> None:
    """Suspend Redis for longer than any client waits."""
    server = site.redis_process()
    if server is None:
        return
    with suppress(psutil.Error):
        server.suspend()
        pause(dice.uniform(1, 4))
        server.resume()


def flush_redis(site: Site, dice: Random) -> None:
    """FLUSHALL."""
    with suppress(RedisError):
        site.redis().flushall()


def kill_clients(site: Site, dice: Random) -> None:
    """CLIENT KILL of all."""
    with suppress(RedisError):
        site.redis().client_kill_filter(_type="normal", skipme=True)


def fill_redis(site: Site, dice: Random) -> None:
    """Redis has no memory left for a second."""
    with suppress(RedisError):
        site.redis().config_set("maxmemory", 1000)
        pause(1)
        site.redis().config_set("maxmemory", 0)


def message(body: bytes, task: str = RUN_JOB, content_type: str = "application/json") -> str:
    """Return a message as kombu writes it."""
    delivery = {"exchange": "", "routing_key": _QUEUE}
    properties = {"body_encoding": "base64", "delivery_tag": uuid4().hex, "delivery_info": delivery}
    headers = {"lang": "py", "id": uuid4().hex, "task": task}
    parts = {"content-encoding": "utf-8", "content-type": content_type, "headers": headers, "properties": properties}
    return json.dumps({"body": base64.b64encode(body).decode(), **parts})


POISON = {
    "garbage": "garbage{",
    "a pickle": message(pickle.dumps([1]), content_type="application/x-python-serialize"),
    "an unknown task": message(b'[["ls"], {}, {}]', task="os.system"),
}


def poison(site: Site, dice: Random) -> None:
    """Put a message that is none into the queue."""
    with suppress(RedisError):
        site.redis().lpush(_QUEUE, dice.choice(sorted(POISON.values())))


def double_messages(site: Site, dice: Random) -> None:
    """Send the message of one job eight times."""
    if site.accepted:
        body = json.dumps([[dice.choice(site.accepted)], {}, {}]).encode()
        with suppress(RedisError):
            site.redis().lpush(_QUEUE, *[message(body) for _ in range(8)])


def database_away(site: Site, dice: Random) -> None:
    """Keep everybody from the database for a while."""
    with site.away():
        pause(dice.uniform(0.5, 3))


def cancel_one(site: Site, dice: Random) -> None:
    """Cancel a job, whatever it does."""
    site.cancel(dice.choice(site.accepted))


def crash_loop(site: Site, dice: Random) -> None:
    """Submit a job that ends its session every time."""
    site.submit(0, Behaviour.CRASH)


def scale(site: Site, dice: Random) -> None:
    """Have one to three workers from now on."""
    wanted = dice.randint(1, 3)
    for process in site.workers[wanted:]:
        _signal(process.pid, signal.SIGTERM)
    site.keep(wanted)


#: what the storm draws from
FAULTS: dict[str, Fault] = {
    "kill a worker": kill_worker,
    "kill it at a point": kill_at_a_point,
    "kill a session": kill_session,
    "suspend a worker": stop_worker,
    "stop a worker": term_worker,
    "kill Redis": kill_redis,
    "freeze Redis": freeze_redis,
    "flush Redis": flush_redis,
    "drop Redis' clients": kill_clients,
    "fill Redis": fill_redis,
    "poison": poison,
    "a message eight times": double_messages,
    "database away": database_away,
    "cancel": cancel_one,
    "crash loop": crash_loop,
    "scale": scale,
}
